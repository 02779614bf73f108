"""`crlscale plan`: what it says of a file and of a study, for machines, people and other devices."""

import json
import math
from pathlib import Path

import pytest
from reading_cli import run, run_json
from real_runs import snapshot

from crlscale.devices import DEVICES
from crlscale.plan import plan_study
from crlscale.study import Execution, register_study

ROOT = Path(__file__).parent.parent
FILE = 'preset = "smoke"\nseeds = 2\n[axes]\nenv = ["chain_4", "point_u_maze"]\ndepth = [4, 8]\n'


HUMANOID = ("sweep", "depth", "--preset", "paper", "--env", "humanoid")


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(FILE + "[reduced]\nseeds = 1\naxes = { depth = [2, 4] }\n")
    return str(file)


def test_one_is_singular(results, capsys):
    _, out, _ = run(
        capsys, "sweep", "depth", "--levels", "4", "--seeds", "1", "--dry-run", "--jobs", "1"
    )
    assert "\n1 cell x 1 seed = 1 run, preset quick\n" in out
    assert "in 1 process of 1 core" in " ".join(out.split())


def test_it_is_what_a_dry_run_says_and_writes_nothing(results, capsys, path):
    code, out, err = run(capsys, "plan", path)
    assert (code, out) == run(capsys, "sweep", "file", path, "--dry-run")[:2]
    assert (code, err) == (0, f"next: crlscale sweep file {path}\n")
    assert run_json(capsys, "plan", path) == run_json(capsys, "sweep", "file", path, "--dry-run")
    more = ("--reduced", "--device", "h100", "--jobs", "2")
    wanted = run(capsys, "sweep", "file", path, "--dry-run", *more)
    assert run(capsys, "plan", path, *more)[:2] == wanted[:2]
    assert list(results.iterdir()) == []


def test_runs_and_totals(results, capsys, path):
    data = run_json(capsys, "plan", path, "--jobs", "1")
    runs = data["runs"]
    assert len(runs) == 8 and data["axes"] == {"env": ["chain_4", "point_u_maze"], "depth": [4, 8]}
    for total, key in {
        "total_env_steps": "env_steps",
        "total_updates": "updates",
        "total_train_flops": "train_flops",
        "predicted_run_hours": "predicted_hours",
        "predicted_record_bytes": "record_bytes",
    }.items():
        assert data[total] == pytest.approx(math.fsum(run[key] for run in runs))
    for entry in runs:
        host, device = (entry[f"predicted_{part}_memory_bytes"] for part in ("host", "device"))
        assert entry["predicted_memory_bytes"] == pytest.approx(host + device)
        assert entry["checkpoint_bytes"] > 12 * (entry["actor_parameters"] + entry["critic_parameters"])
    assert data["device"] is None
    # where all programs are in the cache after the first of a cell, a study is quicker than its runs
    assert data["predicted_hours"] < data["predicted_run_hours"]


def test_reduced_is_the_short_version(results, capsys, path):
    data = run_json(capsys, "plan", path, "--reduced")
    assert data["axes"] == {"depth": [2, 4]} and len(data["runs"]) == 2


@pytest.mark.parametrize("device", DEVICES)
def test_other_devices(results, capsys, device):
    file = str(ROOT / "sweeps" / "depth.toml")
    data = run_json(capsys, "plan", file, "--device", device)
    assert data["device"]["name"] == device and data["device"]["source"]
    assert data["predicted_hours"] == pytest.approx(data["predicted_run_hours"])
    four = run_json(capsys, "plan", file, "--device", device, "--jobs", "4")
    assert four["predicted_hours"] == pytest.approx(data["predicted_hours"] / 4)
    out = run(capsys, "plan", file, "--device", device)[1]
    assert f"predicted for 1 x {DEVICES[device].title}" in out


def test_a_study_that_is_there_by_name_or_folder(results, capsys):
    study = plan_study({"depth": [4, 8]}, preset="smoke", seeds=2, name="mine")
    folder, _ = register_study(results, study)
    before = snapshot(results)
    data = run_json(capsys, "plan", "mine")
    assert [entry["run_id"] for entry in data["runs"]] == list(study.configs)
    assert run_json(capsys, "plan", str(folder)) == data
    assert snapshot(results) == before


def test_the_table_fits_80_columns_and_says_once_what_is_the_same(results, capsys, monkeypatch, path):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = run(capsys, "plan", path)
    lines = out.splitlines()
    assert code == 0 and max(map(len, lines)) <= 80
    assert lines[1] == "How does time at goal on 2 tasks change with depth?"
    assert lines[2] == "4 cells x 2 seeds = 8 runs, preset smoke"
    assert len([line for line in lines if line.startswith(("chain_4 ", "point_u_maze "))]) == 4
    assert "each run: " in out and "one update per 40.0 env steps" in out.replace("\n", " ")
    assert "predicted for this machine" in out and "disk: " in out


def test_equal_cells_show_what_was_solved_and_how_nearly(results, capsys):
    line = ("sweep", "grid", "--depths", "4,16", "--equal", "parameters", "--seeds", "1")
    line += ("--reference", "depth=4,width=64", "--dry-run")
    out = run(capsys, *line)[1]
    data = run_json(capsys, *line)
    ratios = data["equal"]["ratios"]
    for entry in data["runs"]:
        words = [str(entry["config"]["width"]), f"{ratios[entry['run_id']]:.3f}"]
        assert any(line.split()[1:3] == words for line in out.splitlines())


def test_grouping_is_told(results, capsys, path):
    data = run_json(capsys, "sweep", "file", path, "--runs-per-process", "4", "--dry-run")
    assert [len(group) for group in data["groups"]] == [2, 2, 2, 2]
    execution = Execution(runs_per_process=4)
    study = plan_study(
        {"env": ["chain_4", "point_u_maze"], "depth": [4, 8]},
        preset="smoke",
        seeds=2,
        execution=execution,
    )
    assert data["groups"] == study.groups


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("plan", "nowhere.toml"), ["no study file nowhere.toml"]),
        (("plan", "nowhere"), ["no study 'nowhere'"]),
        (("plan", "PATH", "--device", "tpu"), ["there are a100, h100, rtx-4090, cpu"]),
        (("plan", "PATH", "--jobs", "many"), ["neither auto nor a whole number", "--jobs auto"]),
        (("plan", "mine", "--reduced"), ["--reduced is for TOML files"]),
        (("sweep", "depth", "--device", "a100"), ["predicts", "--dry-run"]),
        (
            (*HUMANOID, "--device", "rtx-4090", "--dry-run", "--set", "replay_capacity=200000"),
            ["on rtx-4090", "replay_capacity = 200000 makes it so", "--set replay_capacity=25000"],
        ),
        (
            ("sweep", "file", "PATH", "--dry-run", "--set", "width=0"),
            ["PATH: width = 0 is not legal"],
        ),
    ],
)
def test_mistake_is_one_line(results, capsys, path, arguments, words):
    arguments = [path if argument == "PATH" else argument for argument in arguments]
    code, out, err = run(capsys, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert [word for word in words if word.replace("PATH", path) not in err] == []
    assert set(json.loads(run(capsys, *arguments, "--json")[2])) == {"error", "value", "try"}
