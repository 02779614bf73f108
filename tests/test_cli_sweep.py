"""`crlscale sweep`: the plan that it prints, what it refuses, what it leaves alone."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reading_cli import run, run_json
from real_runs import crlscale, read_only, snapshot
from simulated import flat, write_study

from crlscale.methods import METHODS
from crlscale.study import load_study

ROOT = Path(__file__).parent.parent
SMOKE = ("--preset", "smoke", "--set", "env=chain_4")
LEVELS = ",".join(str(level) for level in range(4, 4001, 4))
HUGE = ("--depths", LEVELS, "--widths", LEVELS)
KINDS = {
    "depth": ("--max", "8"),
    "width": ("--max", "32"),
    "batch": ("--max", "128"),
    "grid": ("--depths", "4,8", "--widths", "16,32"),
    "collector": ("--collector-depths", "4,8", "--depths", "4"),
}


def plan(capsys, *arguments) -> dict:
    return run_json(capsys, "sweep", *arguments, "--dry-run")


def refused(capsys, *arguments) -> str:
    """The one line on stderr of a command that must be refused; with --json the same as an object."""
    code, out, err = run(capsys, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert err.startswith("error: ") and "; try: " in err
    code, out, text = run(capsys, *arguments, "--json")
    error = json.loads(text)
    assert (code, out, set(error)) == (2, "", {"error", "value", "try"})
    assert err == f"error: {error['error']}; try: {error['try']}\n"
    return err


# --- the plan ------------------------------------------------------------------------------
def test_plan_of_the_main_job_is_thirty_runs(results, capsys):
    command = ("sweep", "depth", "--min", "2", "--max", "1024", "--dry-run")
    data = run_json(capsys, *command)
    assert len(data["runs"]) == 30
    depths = [2**n for n in range(1, 11)]
    assert [run["config"]["depth"] for run in data["runs"]] == [d for d in depths for _ in range(3)]
    assert [run["config"]["seed"] for run in data["runs"]] == 10 * [0, 1, 2]
    code, out, err = run(capsys, *command)
    assert (code, err) == (0, "")
    assert "10 cells x 3 seeds = 30 runs" in out
    assert [int(n) for n in re.findall(r"^ *(\d+)  ", out, flags=re.MULTILINE)] == depths
    assert list(results.iterdir()) == []


def test_plan_of_several_methods(results, capsys):
    """The written study: each method at both depths, by name in ids and table; one whose update does
    less costs less, and a method without critic has none."""
    data = plan(capsys, "file", str(ROOT / "sweeps" / "methods.toml"), "--seeds", "1")
    runs = {(r["config"]["agent"], r["config"]["depth"]): r for r in data["runs"]}
    assert len(runs) == len(data["runs"]) == 2 * len(METHODS)
    assert "chain_8-td3_her-d32-" in runs["td3_her", 32]["run_id"]
    assert runs["gcbc", 4]["critic_parameters"] == 0 < runs["sac", 4]["critic_parameters"]
    assert runs["gcbc", 32]["train_flops"] < runs["td3_her", 32]["train_flops"]


def test_plan_tells_what_will_run_and_what_it_costs(results, capsys):
    data = plan(capsys, "depth", "--levels", "4,64", "--seeds", "2", *SMOKE)
    assert data["schema"] == 1
    assert data["axes"] == {"depth": [4, 64]}
    assert [run_id for group in data["groups"] for run_id in group] == [
        r["run_id"] for r in data["runs"]
    ]
    for entry in data["runs"]:
        config = entry["config"]
        assert entry["env_steps_per_update"] == pytest.approx(40, rel=0.1)
        assert entry["updates"] == 20
        assert entry["env_steps"] >= config["env_steps"]
        assert entry["predicted_hours"] > 0 and entry["predicted_memory_bytes"] > 1e8
    shallow, deep = data["runs"][0], data["runs"][-1]
    for cost in ("actor_parameters", "critic_parameters", "train_flops", "predicted_hours"):
        assert deep[cost] > shallow[cost]
    longest = max(r["predicted_hours"] for r in data["runs"])
    total = math.fsum(r["predicted_hours"] for r in data["runs"])
    assert longest <= data["predicted_hours"] <= total
    assert data["predicted_peak_memory_bytes"] >= max(r["predicted_memory_bytes"] for r in data["runs"])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_sweep_is_the_study_it_says(results, capsys, kind):
    data = plan(capsys, kind, *KINDS[kind], "--seeds", "1", *SMOKE)
    axes = {
        "depth": {"depth": [2, 4, 8]},
        "width": {"width": [16, 32]},
        "batch": {"batch_size": [64, 128]},
        "grid": {"depth": [4, 8], "width": [16, 32]},
        "collector": {"depth": [4], "collector_depth": [4, 8]},
    }[kind]
    assert data["axes"] == axes
    assert len(data["runs"]) == math.prod(map(len, axes.values()))


def test_options_reach_the_configs(results, capsys):
    data = plan(
        *(capsys, "depth", "--levels", "8", "--seeds", "1", "--preset", "smoke", "--env", "chain_4"),
        *("--set", "width=24", "--set", "discount=0.9", "--study", "mine", "--jobs", "3"),
    )
    config = data["runs"][0]["config"]
    assert (config["depth"], config["width"], config["discount"]) == (8, 24, 0.9)
    assert config["env"] == "chain_4"
    assert (data["study"], data["jobs"]) == ("mine", 3)
    assert data["folder"] == str(results / "mine")


def test_file_gives_the_study_of_the_line_that_says_the_same(results, capsys, tmp_path, monkeypatch):
    path = tmp_path / "mine.toml"
    path.write_text('preset = "smoke"\nseeds = 2\n[axes]\ndepth = [4, 8]\n[set]\nenv = "chain_4"\n')
    from_line = plan(capsys, "depth", "--levels", "4,8", "--seeds", "2", *SMOKE)
    from_file = plan(capsys, "file", str(path))
    assert from_file == from_line
    overridden = plan(capsys, "file", str(path), "--seeds", "3", "--set", "width=24")
    assert overridden == plan(
        capsys, "depth", "--levels", "4,8", "--seeds", "3", *SMOKE, "--set", "width=24"
    )


GRIDS = st.fixed_dictionaries(
    {
        "axes": st.fixed_dictionaries(
            {},
            optional={
                "width": st.lists(st.integers(1, 99), min_size=1, max_size=3, unique=True),
                "env": st.just(["chain_4", "chain_5"]),
                "discount": st.lists(st.sampled_from([0.5, 0.9, None]), min_size=1, unique=True),
                "precision": st.just(["float32", "mixed"]),
                "goal_in_state": st.just([False, True]),
            },
        ),
        "cells": st.just([{"depth": 4, "batch_size": 32}, {"depth": 8, "batch_size": 16}]),
        "when": st.just([]) | st.just([{"where": "depth == 8", "set": {"env_steps": 1600}}]),
        "where": st.just([]) | st.just(["depth <= width", "width != 20"]),
        "set": st.fixed_dictionaries({}, optional={"representation_size": st.integers(1, 9)}),
        "seeds": st.integers(1, 3),
    }
)


def as_toml(value) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {as_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    return json.dumps("null" if value is None else value)


def as_line(grid: dict) -> list[str]:
    def pairs(settings):
        return ",".join(f"{key}={word(value)}" for key, value in settings.items())

    def word(value):
        return "null" if value is None else value if isinstance(value, str) else json.dumps(value)

    line = [f"--axis={key}={','.join(map(word, levels))}" for key, levels in grid["axes"].items()]
    line += [f"--cell={pairs(cell)}" for cell in grid["cells"]]
    line += [f"--when={rule['where']} => {pairs(rule['set'])}" for rule in grid["when"]]
    line += [f"--where={condition}" for condition in grid["where"]]
    line += [f"--set={pairs({key: value})}" for key, value in grid["set"].items()]
    return ["grid", *line, f"--seeds={grid['seeds']}", "--preset=smoke"]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(GRIDS)
def test_line_and_file_are_the_same_study(results, capsys, tmp_path, grid):
    path = tmp_path / "grid.toml"
    path.write_text("preset = 'smoke'\n" + "".join(f"{k} = {as_toml(v)}\n" for k, v in grid.items()))
    on_device = ("--device", "cpu")  # measures nothing here
    from_line = run(capsys, "sweep", *as_line(grid), "--dry-run", "--json", *on_device)
    from_file = run(capsys, "sweep", "file", str(path), "--dry-run", "--json", *on_device)
    assert from_line[:2] == from_file[:2]
    if from_line[0] == 0:
        assert json.loads(from_line[1])["runs"]
    else:  # a filter that leaves nothing
        assert "no cell is left" in from_line[2] and "no cell is left" in from_file[2]


def test_actor_critic_is_the_product_of_two_depths(results, capsys):
    line = ("--actor-depths", "4,8", "--critic-depths", "2,8", "--where", "critic_depth <= actor_depth")
    data = plan(capsys, "actor-critic", *line, "--seeds", "1", *SMOKE)
    pairs = [(run["config"]["actor_depth"], run["config"]["critic_depth"]) for run in data["runs"]]
    assert pairs == [(4, 2), (8, 2), (8, 8)]


def test_a_setting_by_hand_wins_over_the_rules_of_a_file(results, capsys, tmp_path):
    path = tmp_path / "mine.toml"
    rule = '[[when]]\nwhere = "depth == 8"\nset = { env_steps = 1600, discount = 0.5 }\n'
    path.write_text(f'preset = "smoke"\nseeds = 1\n[axes]\ndepth = [4, 8]\n{rule}')
    data = plan(capsys, "file", str(path), "--set", "env_steps=3200")
    configs = [run["config"] for run in data["runs"]]
    assert [config["env_steps"] for config in configs] == [3200, 3200]
    assert configs[1]["discount"] == 0.5


def test_written_depth_study_is_the_line_in_its_comment(results, capsys):
    path = ROOT / "sweeps" / "depth.toml"
    line = re.search(r"`crlscale (sweep depth .*)`", path.read_text())[1]
    assert (
        plan(capsys, "file", str(path))["runs"] == run_json(capsys, *line.split(), "--dry-run")["runs"]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_plan_fits_80_columns(results, capsys, monkeypatch, kind):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = run(capsys, "sweep", kind, *KINDS[kind], "--preset", "paper", "--dry-run")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out


# --- finished, or another's ----------------------------------------------------------------
def finished(results, **options):
    axes = {"depth": [4, 8]}
    settings = {"env": "chain_4"}
    return write_study(results, axes, flat, seeds=2, settings=settings, **options)


LINE = ("sweep", "depth", "--levels", "4,8", "--seeds", "2", *SMOKE)


def test_finished_study_is_a_no_op_that_says_so(results, capsys):
    folder = finished(results, outcome={(8, 1): "diverged"})
    before = snapshot(folder)
    code, out, err = run(capsys, *LINE)
    assert code == 0
    assert f"4 of 4 runs have finished already in {folder}" in err
    assert "nothing to run: the study is finished" in err
    assert f"next: crlscale plot critical-depth {folder.name} --results {results}" in err
    assert f"{folder.name}: time at goal" in out and "1 diverged" in out
    data = json.loads(run(capsys, *LINE, "--json")[1])
    assert (data["schema"], data["exit_code"], data["study"]) == (1, 0, folder.name)
    assert [(row["depth"], row["seeds_diverged"]) for row in data["rows"]] == [(4, 0), (8, 1)]
    assert snapshot(folder) == before


def test_finished_study_is_shown_from_a_folder_that_refuses_writing(results, capsys):
    folder = finished(results)
    with read_only(results):
        code, out, err = run(capsys, *LINE)
    assert code == 0
    assert "nothing to run" in err and folder.name in out


def test_name_with_another_config_is_refused_and_stays(results, capsys):
    finished(results, name="mine")
    before = snapshot(results)
    line = refused(capsys, *LINE, "--study", "mine", "--set", "width=24")
    assert "exists in" in line and "width = 16 there, 24 asked for" in line and "--study NAME" in line
    assert "seeds 2 there, 3" in refused(capsys, *LINE, "--study", "mine", "--seeds", "3")
    assert "threads 1 there, 2" in refused(capsys, *LINE, "--study", "mine", "--threads", "2")
    assert refused(capsys, *LINE, "--study", "mine", "--set", "width=24", "--dry-run") == line
    assert snapshot(results) == before


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_parquet_cut_short_is_a_damaged_run_that_stays(results, capsys, share):
    folder = finished(results)
    path = sorted(folder.glob("runs/*/metrics.parquet"))[0]
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    before = snapshot(results)
    code, out, err = run(capsys, *LINE)
    assert code == 0 and "1 damaged" in out
    assert f"1 damaged, left out here: crlscale runs redo {folder.name} --results {results}" in err
    assert snapshot(results) == before


def test_newer_files_are_refused_and_stay(results, capsys):
    folder = finished(results)
    study = folder / "study.json"
    study.write_text(study.read_text().replace('"schema_version": 2', '"schema_version": 3'))
    before = snapshot(results)
    assert "has schema 3" in refused(capsys, *LINE) and "a newer crlscale" in refused(capsys, *LINE)
    assert snapshot(results) == before


# --- mistakes ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "arguments, words",
    [
        (("depth", "--env", "point_u_mase"), ["near names: point_u_maze", "crlscale envs"]),
        (("depth", "--env", "chain_65"), ["2 to 64 links", "--env chain_8"]),
        (("depth", "--levels", "4,6"), ["nearest legal: 4 and 8", "depth = 4"]),
        (("depth", "--levels", "4,x"), ["not a list of whole numbers", "--levels 4,8,12"]),
        (("depth", "--levels", "0"), ["depth = 0"]),
        (("depth", "--levels", "8,8"), ["names a level twice"]),
        (("depth", "--min", "64", "--max", "2"), ["is above", "--min 2 --max 64"]),
        (("depth", "--min", "3"), ["not a power of two", "--min 4"]),
        (("depth", "--min", "two"), ["--min", "crlscale sweep depth --help"]),
        (("width", "--levels", "0"), ["width = 0", "--set width=256"]),
        (("width", "--min", "0"), ["not a power of two"]),
        (("batch", "--levels", "1"), ["batch_size = 1"]),
        (("depth", "--seeds", "0"), ["at least one seed", "--seeds 3"]),
        (("depth", "--seeds", "-2"), ["at least one seed", "--seeds 3"]),
        (("depth", "--set", "seed=4"), ["--seeds N"]),
        (("depth", "--set", "depth=4"), ["is an axis", "leave --set depth out"]),
        (("depth", "--set", "widht=4"), ["near keys: width", "--set width=VALUE"]),
        (("depth", "--set", "zzz=4"), ["'zzz'; docs/settings.md lists all; try: --set width=VALUE"]),
        (("depth", "--levels", "4", "--seeds", "1000000"), ["1,000,000 runs", "--seeds 5"]),
        (("depth", "--levels", "2,4", "--seeds", "50001"), ["2 cells x 50,001 seeds = 100,002 runs"]),
        (("grid", *HUGE), ["1,000,000 combinations of levels", "fewer levels"]),
        (("grid", *HUGE, "--where", "depth == 4"), ["1,000,000 combinations of levels"]),
        (("depth", "--set", "width=wide"), ["width = 'wide'", "--set width=256"]),
        (("depth", "--set", "width"), ["has no '='"]),
        (("depth", "--set", "discount=2"), ["discount = 2"]),
        (("depth", "--preset", "medium"), ["legal: smoke, quick, laptop, paper"]),
        (("depth", "--study", "a/b"), ["study name", "--study my-study"]),
        (("depth", "--study", ""), ["study name"]),
        (("depth", "--threads", "0"), ["--threads 0"]),
        (("depth", "--seeds-per-program", "0"), ["--seeds-per-program 0"]),
        (("depth", "--jobs", "0"), ["--jobs 0", "--jobs 1"]),
        (("depth", "--jobs", "all"), ["--jobs 'all' is neither auto", "--jobs auto"]),
        (("depth", "--where", "depth >"), ["condition 'depth >' cannot be read"]),
        (("depth", "--where", "depth > 99"), ["no cell is left by 'depth > 99'"]),
        (("grid", "--axis", "widht=4"), ["near keys: width"]),
        (("grid", "--axis", "width"), ["has no '='", "--axis depth=4,8"]),
        (("grid", "--axis", "width=4", "--axis", "width=8"), ["--axis width is given twice"]),
        (("grid", "--axis", "depth=4", "--depths", "4"), ["are the same axis"]),
        (("grid", "--cell", "width"), ["--cell 'width' has no '='"]),
        (("grid", "--depths", "4", "--when", "depth == 4"), ["has no '=>'"]),
        (("grid", "--depths", "4", "--when", "depth == 8 => width=4"), ["holds for no cell"]),
        (("grid", "--depths", "4", "--equal", "size"), ["legal: parameters, update_flops"]),
        (
            ("depth", "--set", "width=1000000"),
            ["GB are free: width = 1000000 makes it so", "--set width="],
        ),
        (("grid",), ["at least one axis", "--depths"]),
        (("grid", "--depths", "4;8"), ["--depths '4;8'"]),
        (("file", "nowhere.toml"), ["no study file nowhere.toml"]),
        (("depth", "--deepest", "4"), ["No such option", "crlscale sweep depth --help"]),
        (("height",), ["No such command 'height'", "crlscale sweep --help"]),
    ],
)
def test_mistake_is_one_line_and_writes_nothing(results, capsys, arguments, words):
    finished(results)
    before = snapshot(results)
    preset = () if "--preset" in arguments or len(arguments) < 2 else ("--preset", "smoke")
    line = refused(capsys, "sweep", *arguments, *preset)
    assert [word for word in words if word not in line] == []
    assert snapshot(results) == before


def test_unknown_subcommand_points_to_the_help(results, capsys):
    assert "; try: `crlscale --help`" in refused(capsys, "sweeep")


def test_results_that_refuse_writing_are_one_line_after_the_plan(results, capsys):
    (results / "file").write_text("")
    below = str(results / "file" / "results")
    with read_only(results):
        for arguments in ((*LINE, "--results", below), LINE):
            code, out, err = run(capsys, *arguments)
            assert (code, err.count("\n")) == (2, 1)
            assert "2 cells x 2 seeds = 4 runs" in out
            assert err.startswith("error: cannot write ") and "; try: --results FOLDER" in err
    assert [path.name for path in results.iterdir()] == ["file"]


def test_an_error_of_a_real_process_has_no_traceback(tmp_path):
    results = str(tmp_path / "results")
    code, out, err = crlscale("sweep", "depth", "--levels", "5", "--results", results, "--json")
    assert (code, out) == (2, "")
    assert set(json.loads(err)) == {"error", "value", "try"} and json.loads(err)["value"] == 5
    assert list(tmp_path.iterdir()) == []


# --- help, pipes and terminals -------------------------------------------------------------
def all_commands():
    import typer

    from crlscale.cli.app import app

    def below(command, words):
        yield words
        for name, child in getattr(command, "commands", {}).items():
            yield from below(child, (*words, name))

    return list(below(typer.main.get_command(app), ()))


@pytest.mark.parametrize("words", all_commands(), ids=" ".join)
def test_help_fits_80_columns_and_has_no_colour_in_a_pipe(capsys, monkeypatch, words):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = run(capsys, *words, "--help")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out
    assert "Example" in out


@pytest.mark.parametrize("words", [(), ("sweep",), ("plot",)])
def test_no_arguments_show_the_help_and_no_error(capsys, words):
    code, out, err = run(capsys, *words)
    assert (code, err) == (2, "")
    assert "Usage: crlscale" in out


def on_a_terminal(*arguments, **environment) -> str:
    """What `crlscale ARGUMENTS` writes to a terminal of 80 columns."""
    import pty

    main, side = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "crlscale", *arguments],
        stdin=side,
        stdout=side,
        stderr=side,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", **environment},
    )
    os.close(side)
    text = b""
    while True:
        try:
            part = os.read(main, 65536)
        except OSError:  # Linux says so when the other side is closed
            break
        if not part:
            break
        text += part
    process.wait()
    os.close(main)
    return text.decode()


COLOUR = re.compile(r"\x1b\[(\d+;)*(3[0-9]|4[0-9]|9[0-7]|10[0-7])(;\d+)*m")


def test_colour_on_a_terminal_unless_no_color_is_set(tmp_path):
    wrong = ("sweep", "depth", "--levels", "5", "--results", str(tmp_path))
    assert COLOUR.search(on_a_terminal(*wrong))
    assert not COLOUR.search(on_a_terminal(*wrong, NO_COLOR="1"))
    assert not COLOUR.search(on_a_terminal("sweep", "depth", "--help", NO_COLOR="1"))


def test_help_starts_neither_jax_nor_pandas():
    program = (
        "import sys; from crlscale.cli.app import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print({'jax', 'pandas', 'pyarrow', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_a_pipe_that_is_closed_early_is_no_error(results):
    command = f"{sys.executable} -m crlscale envs | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=120
    )
    # what to type next is said, or the closed pipe was noticed before
    assert done.stderr == "" or (done.stderr.startswith("next: ") and done.stderr.count("\n") == 1)


def test_dry_run_of_a_study_that_is_there_changes_nothing(results, capsys):
    folder = finished(results)
    created = load_study(folder).created
    before = snapshot(results)
    assert run_json(capsys, *LINE, "--dry-run")["study"] == folder.name
    assert snapshot(results) == before and load_study(folder).created == created
