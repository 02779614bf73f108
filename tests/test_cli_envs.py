"""`crlscale envs`: every task, one in full, how fast it steps here, how it looks."""

import json
import os

import pytest
from reading_cli import run, run_json

from crlscale.bench import env_steps, speeds
from crlscale.config import DEFAULT_ENV
from crlscale.envs.registry import FAMILIES, task_names, task_spec


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine that remembers nothing yet, whose settings are as before when the test has ended."""
    monkeypatch.setenv("CRLSCALE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))
    monkeypatch.setattr(env_steps, "MEASURED_SECONDS", 0.01)
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    yield tmp_path
    if cores is not None:
        os.sched_setaffinity(0, cores)


# --- the list ------------------------------------------------------------------------------
def test_every_task_as_json(capsys, machine):
    data = run_json(capsys, "envs")
    assert (data["schema"], data["default"]) == (1, DEFAULT_ENV)
    assert [row["name"] for row in data["rows"]] == task_names()
    for row in data["rows"]:
        spec = task_spec(row["name"])
        assert (row["state_size"], row["action_size"]) == (spec.state_size, spec.action_size)
        assert row["goal_sets"] == list(spec.goal_sets)
        assert (row["success_radius"], row["goal_cells"]) == (spec.success_radius, spec.goal_cells)
        assert row["env_step_seconds"] == spec.env_step_seconds
        assert row["speed"] is None


def test_the_tasks_of_the_issue_are_there(capsys):
    names = {row["name"] for row in run_json(capsys, "envs")["rows"]}
    mazes = ("u", "u2", "u3", "u4", "u5", "u6", "u7", "big", "hardest")
    assert {f"{body}_{maze}_maze" for body in ("point", "ant") for maze in mazes} <= names
    assert {f"humanoid_{maze}_maze" for maze in ("u", "big", "hardest")} <= names
    assert {"reacher", "pusher_easy", "pusher_hard", "cheetah", "ant", "ant_ball", "humanoid"} <= names
    moves = {f"arm_{task}_{level}" for task in ("push", "binpick") for level in ("easy", "hard")}
    assert {"arm_reach", "arm_grasp"} | moves <= names
    assert DEFAULT_ENV in names and "ant_push" in names


def test_tables_name_every_task_and_fit_80_columns(capsys, monkeypatch, machine):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = run(capsys, "envs")
    assert code == 0 and err.startswith("next: crlscale envs NAME")
    lines = out.splitlines()
    for name in task_names():
        (line,) = [line for line in lines if line.startswith(f"  {name} ")]
        spec = task_spec(name)
        assert f" {spec.state_size}+{spec.goal_size} " in line
    assert f"default: {DEFAULT_ENV}" in out and "N from 2 to 64" in out
    assert "`crlscale envs --speed`" in " ".join(out.split())
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in out


def test_a_heading_says_what_its_tasks_share(capsys, monkeypatch, machine):
    monkeypatch.setenv("COLUMNS", "80")
    out = " ".join(run(capsys, "envs")[1].split())
    for spec in map(task_spec, task_names()):
        assert f"goal {spec.goal}; success within {spec.success_radius:g}" in out
        assert f"{spec.family.upper()}: " in out and f"source: {spec.source}" in out
    assert "POINT: 200 steps, pure JAX" in out
    assert "ANT: 1000 steps of 0.05 s, spring (also " in out


# --- one task ------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["point_u4_maze", "point_u_pitfall", "chain_8", "ant", "arm_reach"])
def test_one_task_in_full(capsys, machine, name):
    code, out, err = run(capsys, "envs", name)
    assert code == 0 and f"crlscale envs {name} --draw" in err
    spec, text = task_spec(name), " ".join(out.split())
    assert out.startswith(f"{name}\n") and max(map(len, out.splitlines())) <= 80
    for _, radius in spec.radii:
        assert f"{radius:g}" in text
    assert f"source {spec.source}" in text
    assert f"goal sets {', '.join(spec.goal_sets)}; {spec.goal_sets[0]} scores by default" in text
    if spec.maze:
        assert all(f" {row}\n" in out for row in spec.maze.rows)
    if spec.engine:
        assert all(backend in text for backend in spec.engine.backends)


def test_one_task_says_what_ends_it(capsys, machine):
    wanted = {
        "chain_8": "never",
        "point_u_pitfall": "over a pit",
        "ant": "torso below 0.2 m or above 1 m",
        "humanoid": "torso below 1 m or above 2 m",
    }
    for name, words in wanted.items():
        assert f"failure {words}" in " ".join(run(capsys, "envs", name)[1].split())


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.names[0])
def test_options_are_those_that_the_family_understands(capsys, machine, family):
    name = family.names[0]
    out = " ".join(run(capsys, "envs", name)[1].split())
    said = out.split("options ")[1].split(" steps/s ")[0]
    typed = {
        "goals": "goals=single",
        "friction": "friction=",
        "maze": "--maze FILE",
        "stitch": "stitch=",
    }
    for option, words in typed.items():
        assert (words in said) == (option in family.options), option
    (row,) = run_json(capsys, "envs", name)["rows"]
    assert row["legal_options"] == sorted(family.options)


def test_unknown_task_names_near_ones(capsys):
    code, out, err = run(capsys, "envs", "ant_v_maze")
    assert (code, out) == (2, "") and "ant_u_maze" in err


def test_a_maze_of_ones_own_is_a_task(capsys, machine):
    path = machine / "mine.txt"
    path.write_text("#####\n#R.F#\n#####\n")
    out = run(capsys, "envs", "ant_maze", "--maze", str(path))[1]
    assert "2, of them 1 far" in out and " #R.F#\n" in out
    pictures = machine / "pictures"
    arguments = ("envs", "point_maze", "--maze", str(path), "--draw", "--out", str(pictures))
    (row,) = run_json(capsys, *arguments)["rows"]
    assert (pictures / "point_maze-map.png").exists() and row["task"] == "point_maze"
    code, out, err = run(capsys, "envs", "--maze", str(path))
    assert (code, out) == (2, "") and "by name" in err


# --- speed ---------------------------------------------------------------------------------
def test_speed_is_measured_told_and_remembered(capsys, machine):
    code, out, _ = run(capsys, "envs", "chain_2", "--speed")
    assert code == 0
    head, *lines = [line.split() for line in out.splitlines()]
    assert head[:2] == ["task", "envs"] and [line[:2] for line in lines] == [
        ["chain_2", "64"],
        ["chain_2", "256"],
    ]
    known = speeds.known_speeds()["chain_2"]
    assert sorted(known.rates) == [64, 256] and min(known.rates.values()) > 0
    assert [line[2] for line in lines] == [f"{known.rates[n]:,.0f}" for n in (64, 256)]
    text = " ".join(run(capsys, "envs", "chain_2")[1].split())
    assert f"{known.rates[64] / 1e6:.2f} M with 64 envs" in text and f"measured {known.day}" in text
    (row,) = run_json(capsys, "envs", "chain_2")["rows"]
    assert row["speed"]["rates"] == {str(n): rate for n, rate in known.rates.items()}


def test_a_damaged_memory_is_none(machine):
    path = machine / "cache" / "env_speeds.json"
    path.parent.mkdir()
    for text in ("{", "[]", '{"chain_2": {"rates": 3}}', '{"chain_2": []}'):
        path.write_text(text)
        assert speeds.known_speeds() == {}


def test_figures_of_another_device_are_forgotten(machine):
    path = machine / "cache" / "env_speeds.json"
    path.parent.mkdir()
    old = {"rates": {"64": 1.0}, "day": "2026-01-01", "device": "abacus"}
    path.write_text(json.dumps({"chain_2": old, "chain_3": old}))
    speeds.remember_speed(env_steps.EnvBench("chain_2", 256, 0.0, 5.0))
    known = speeds.known_speeds()
    assert known["chain_2"].rates == {256: 5.0} and known["chain_2"].device != "abacus"
    assert known["chain_3"].rates == {64: 1.0}


# --- pictures ------------------------------------------------------------------------------
def test_draw_writes_a_map_and_says_why_there_is_no_frame(capsys, machine):
    out = machine / "pictures"
    data = run_json(capsys, "envs", "point_u_maze", "--draw", "--out", str(out))
    (row,) = data["rows"]
    assert row["files"] == [str(out / f"point_u_maze-map.{kind}") for kind in ("png", "svg")]
    assert all((out / name).stat().st_size > 1000 for name in os.listdir(out))
    assert "pure JAX" in row["no_frame"]


def test_draw_wants_a_name(capsys):
    code, out, err = run(capsys, "envs", "--draw")
    assert (code, out) == (2, "") and "crlscale envs ant_u_maze --draw" in err
    code, out, err = run(capsys, "envs", "ant", "--draw", "--speed")
    assert (code, out) == (2, "") and "--speed" in err
