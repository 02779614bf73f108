"""`crlscale sweep depth --find critical`: what a person and a machine are told; Ctrl-C and resume."""

import json
import signal

import pytest
from reading_cli import run, run_json
from real_runs import crlscale, finish, snapshot, start, statuses, tiny_sweep, wait_for
from simulated import flat, stepping, write_study

SWEEP = ("sweep", "depth", "--find", "critical", "--preset", "smoke", "--study", "found")
GRID = (*SWEEP, "--min", "1", "--max", "32", "--seeds", "5")


def planned(results, score):
    axes = {"depth": [1, 2, 4, 8, 16, 32]}
    return write_study(results, axes, score, seeds=5, name="found")


def test_finding_and_price_are_said(results, capsys):
    folder = planned(results, stepping)
    runs = {path: kept for path, kept in snapshot(folder).items() if "runs" in path.parts}
    code, out, err = run(capsys, *GRID)
    assert code == 0
    words = " ".join(out.split())
    assert "The jump lies between depths 4 and 8: critical depth 8." in words
    record = json.loads((folder / "search.json").read_text())
    assert f"{record['runs_spent']} runs were spent; the full grid has 30." in words
    assert "round 1: 3 at depth 1, 3 at depth 4, 3 at depth 32" in err
    assert "search.json" in err and max(map(len, out.splitlines())) <= 80
    assert {path: kept for path, kept in snapshot(folder).items() if "runs" in path.parts} == runs


def test_for_machines(results, capsys):
    planned(results, flat)
    code, out, _ = run(capsys, *GRID, "--json")
    data = json.loads(out)
    assert (code, data["schema"], data["exit_code"]) == (0, 1, 0)
    assert data["outcome"] in ("flat", "undecided") and data["low"] is None
    assert data["rounds"][0]["ask"] and data["full_grid_runs"] == 30


def test_dry_run_plans_the_grid_and_writes_nothing(results, capsys):
    data = run_json(capsys, *GRID, "--dry-run")
    assert len(data["runs"]) == 30
    assert data["search"] == {
        **{"find": "critical", "first_round_runs": 9, "first_round_depths": [1, 4, 32]},
        **{"most_runs": 30, "max_hours": None, "full_grid_runs": 30},
    }
    budget = ("--max-runs", "12", "--max-hours", "0.5")
    code, out, _ = run(capsys, *GRID, *budget, "--dry-run")
    words = " ".join(out.split())
    assert code == 0 and "9 runs at depths 1, 4, 32 first, at most 12 of the 30 runs" in words
    assert "no new round after 0.5 h" in words and max(map(len, out.splitlines())) <= 80
    grid = [word for word in GRID if word not in ("--find", "critical")]
    assert "search" not in run_json(capsys, *grid, "--dry-run")
    assert list(results.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sweep", "depth", "--max-runs", "9"), "--max-runs ends a search, and none is asked for"),
        (("sweep", "depth", "--max-hours", "0.5"), "--max-hours ends a search"),
        (("sweep", "depth", "--find", "best"), "a search finds `critical`"),
        ((*SWEEP, "--seeds", "1"), "2 seeds or more"),
        ((*SWEEP, "--levels", "4,8"), "3 levels or more"),
        ((*SWEEP, "--max-runs", "8"), "the first round alone has 9 runs"),
    ],
)
def test_mistakes(results, capsys, arguments, words):
    code, _, err = run(capsys, *arguments)
    assert code == 2 and words in err and "; try: " in err
    assert list(results.iterdir()) == []


@pytest.mark.slow
def test_real_search_is_stopped_by_ctrl_c_and_goes_on(results):
    """Six runs of three levels; the first round is stopped while it runs."""
    arguments = tiny_sweep(
        "--find", "critical", "--levels", "1,2,4", "--seeds", "2", "--study", "found"
    )
    arguments += ["--runs-per-process", "2", "--jobs", "2"]
    process = start(*arguments)
    folder = results / "found"
    wait_for(lambda: "running" in statuses_if_planned(folder).values())
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert (code, out.count("The jump")) == (130, 0)
    assert "The same command goes on from there" in err
    before = json.loads((folder / "search.json").read_text())
    assert before["outcome"] is None and len(before["rounds"]) == 1
    code, out, err = crlscale(*arguments)
    assert code == 0, err
    record = json.loads((folder / "search.json").read_text())
    assert record["outcome"] is not None and record["superseded"] == []
    assert record["rounds"][0] == before["rounds"][0]
    assert " ".join(record["sentence"].split()) in " ".join(out.split())
    assert set(statuses(folder).values()) == {"complete"}  # two seeds of three levels are the grid
    kept = snapshot(folder / "runs")
    assert crlscale(*arguments)[0] == 0
    assert snapshot(folder / "runs") == kept


def statuses_if_planned(folder) -> dict:
    return statuses(folder) if (folder / "study.json").exists() else {}
