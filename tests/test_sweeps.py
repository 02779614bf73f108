"""Every committed study is planned, in full and reduced, on a device where it fits."""

import tomllib
from pathlib import Path

import pytest
from reading_cli import run, run_json

from crlscale.plan import plan_study
from crlscale.study_file import read_study_file

SWEEPS = Path(__file__).parent.parent / "sweeps"
FILES = sorted(SWEEPS.glob("*.toml"))
PUBLISHED = [path for path in FILES if path.name.startswith(("figure-", "table-"))]
FIGURES = {"1", "4", "5", "6", "7", "8", "9", "11", "12", "13", "15", "16", "17"}
# nominal env steps of the published runs [M]; every other task 100
BUDGETS = {
    "ant_u5_maze": 400,
    "humanoid_u_maze": 400,
    "humanoid_big_maze": 400,
    "ant_hardest_maze": 200,
}


def planned(path, reduced=False):
    return plan_study(**read_study_file(path, reduced))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_file_says_its_question_and_every_cell_has_every_seed(path):
    study = planned(path)
    assert study.question.endswith("?")
    assert len(study.configs) == study.seeds * len(study.cells)
    assert path.read_text().startswith("# ")


def test_every_figure_and_table_is_there():
    figures = {path.stem.split("-")[1] for path in PUBLISHED if path.stem.startswith("figure-")}
    assert figures == FIGURES
    assert [path.stem for path in PUBLISHED if path.stem.startswith("table-")] == ["table-2"]


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_published_budget(path):
    study = planned(path)
    assert study.preset == "paper" and study.seeds in (3, 5)
    for config in study.configs.values():
        nominal = 150 if path.stem == "figure-12" else BUDGETS.get(config.env, 100)
        assert config.env_steps == nominal * 1_000_000
        assert (config.num_envs, config.unroll_length, config.updates) == (512, 62, 800)


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_reduced_is_the_same_question_for_two_cores(path):
    full, short = planned(path), planned(path, reduced=True)
    assert short.question == full.question
    assert set(short.axes) == set(full.axes)
    assert len(short.configs) <= 60
    steps = [config.total_env_steps for config in short.configs.values()]
    assert max(steps) <= 500_000
    assert {config.task.family for config in short.configs.values()} <= {"chain", "point", "ant"}


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
@pytest.mark.parametrize("reduced", [False, True], ids=["full", "reduced"])
def test_plan_of_a_device_fits_it_and_80_columns(results, capsys, monkeypatch, path, reduced):
    monkeypatch.setenv("COLUMNS", "80")
    arguments = ("plan", str(path), "--device", "a100", *(["--reduced"] if reduced else []))
    code, out, _ = run(capsys, *arguments)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    if not reduced:
        return
    data = run_json(capsys, "plan", str(path), "--reduced", "--device", "cpu", "--jobs", "2")
    assert data["predicted_hours"] < 4


def test_figure_1_in_full():
    study = planned(SWEEPS / "figure-1.toml")
    assert len(study.configs) == 10 * 5 * 5
    assert study.axes["depth"] == [4, 8, 16, 32, 64] and len(study.axes["env"]) == 10
    assert set(study.cells) == {
        (env, depth) for env in study.axes["env"] for depth in study.axes["depth"]
    }


def test_figure_12_keeps_the_actor_at_512():
    study = planned(SWEEPS / "figure-12.toml")
    layers = {(config.actor_layers, config.critic_layers) for config in study.configs.values()}
    assert layers == {(min(depth, 512), depth) for depth in study.axes["depth"]}
    assert max(study.axes["depth"]) == 1024


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_reduced_names_only_keys_of_a_study(path):
    short = tomllib.loads(path.read_text())["reduced"]
    assert short["preset"] in ("quick", "laptop")
