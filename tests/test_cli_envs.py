"""`crlscale envs`: every task, and the default."""

from reading_cli import run, run_json

from crlscale.config import DEFAULT_ENV
from crlscale.envs.registry import task_names, task_spec


def test_every_task_as_json(capsys):
    data = run_json(capsys, "envs")
    assert (data["schema"], data["default"]) == (1, DEFAULT_ENV)
    assert [row["name"] for row in data["rows"]] == task_names()
    for row in data["rows"]:
        spec = task_spec(row["name"])
        assert (row["state_size"], row["action_size"]) == (spec.state_size, spec.action_size)
        assert row["goal_sets"] == list(spec.goal_sets)


def test_the_tasks_of_the_issue_are_there(capsys):
    names = {row["name"] for row in run_json(capsys, "envs")["rows"]}
    mazes = ("u", "u2", "u3", "u4", "u5", "u6", "u7", "big", "hardest")
    assert {f"point_{maze}_maze" for maze in mazes} <= names
    assert DEFAULT_ENV in names


def test_table_names_every_task_and_fits_80_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = run(capsys, "envs")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert all(any(line.startswith(f"{name} ") for line in lines) for name in task_names())
    assert f"default: {DEFAULT_ENV}" in out and "N from 2 to 64" in out
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in out
