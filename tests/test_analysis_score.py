"""Scores of runs and cells from rows that the store wrote."""

import numpy as np
import pytest
from simulated import flat, stepping, write_study

from crlscale.errors import CrlscaleError
from crlscale.score import load_scores
from crlscale.store import read_json, read_run_metrics, write_json, write_metrics
from crlscale.study import load_study

LONG = {"evaluations": 8, "env_steps": 8000}


def only_run(folder):
    (cell,) = load_scores(folder).cells
    return cell.runs[0]


def rewrite(folder, run_id, change):
    """Pass every stored row of a run through `change`, or drop it where that gives None."""
    run = folder / "runs" / run_id
    rows = [changed for row in read_run_metrics(run) if (changed := change(row)) is not None]
    write_metrics(run, rows, {})


def test_score_is_the_mean_of_the_last_five_evaluations(results):
    folder = write_study(results, {"depth": [4]}, flat, seeds=1, settings=LONG)
    run = only_run(folder)
    rewrite(folder, run.run_id, lambda row: {**row, "time_at_goal_all": float(row["evaluation"] ** 2)})
    assert only_run(folder).score == (16 + 25 + 36 + 49 + 64) / 5


def test_evaluation_zero_never_counts(results):
    folder = write_study(results, {"depth": [4]}, flat, seeds=1)
    run_id = only_run(folder).run_id
    rewrite(folder, run_id, lambda row: {**row, "time_at_goal_all": 40.0 - 10 * row["evaluation"]})
    assert only_run(folder).score == (30 + 20) / 2
    rewrite(folder, run_id, lambda row: row if row["evaluation"] == 0 else None)
    assert only_run(folder).score is None


def test_a_diverged_run_counts_with_its_last_finite_scores(results):
    folder = write_study(
        results, {"depth": [4]}, flat, seeds=2, settings=LONG, outcome={(4, 1): "diverged"}
    )
    (cell,) = load_scores(folder).cells
    rows = read_run_metrics(folder / "runs" / cell.runs[1].run_id)
    finite = [row["time_at_goal_all"] for row in rows[1:] if np.isfinite(row["time_at_goal_all"])]
    assert len(finite) == 7
    assert cell.runs[1].score == pytest.approx(np.mean(finite[-5:]))
    assert (len(cell.scores), cell.note) == (2, "1 diverged")


@pytest.mark.parametrize("status", ["planned", "running", "failed", "stopped"])
def test_runs_without_an_end_are_missing_and_counted(results, status):
    folder = write_study(results, {"depth": [4]}, flat, outcome={(4, 2): status})
    (cell,) = load_scores(folder).cells
    # nothing has beaten for this run, so it is no longer running
    shown = "lost" if status == "running" else status
    assert (len(cell.scored), len(cell.runs), cell.note) == (2, 3, f"1 {shown}")
    assert cell.runs[2].score is None


def test_hours_are_shared_by_the_runs_of_a_program(results):
    folder = write_study(results, {"depth": [4]}, flat, seeds=1)
    run_id = only_run(folder).run_id
    rewrite(folder, run_id, lambda row: {**row, "train_seconds": 7200.0, "program_runs": 4})
    assert only_run(folder).hours == 0.5


def test_cpu_hours_are_shared_and_unknown_after_a_resume(results):
    folder = write_study(results, {"depth": [4]}, flat, seeds=1)
    run_id = only_run(folder).run_id
    rewrite(folder, run_id, lambda row: {**row, "cpu_seconds": 7200.0, "program_runs": 4})
    assert only_run(folder).cpu_hours == 0.5
    rewrite(folder, run_id, lambda row: {**row, "resumed": row["evaluation"] == 1})
    assert only_run(folder).cpu_hours is None


@pytest.mark.parametrize(("rule", "score"), [("zero", 0.0), ("drop", None)])
def test_diverged_runs_by_the_other_rules(results, rule, score):
    folder = write_study(results, {"depth": [4]}, flat, seeds=2, outcome={(4, 1): "diverged"})
    scores = load_scores(folder, diverged=rule)
    (cell,) = scores.cells
    assert (cell.runs[1].score, cell.note, cell.diverged) == (score, "1 diverged", 1)
    assert scores.listed == ((cell.runs[1].run_id, "diverged"),)


def test_the_goal_set_of_the_config_scores(results):
    folder = write_study(
        results, {"depth": [4]}, flat, seeds=1, settings={"env": "point_u_maze", "goal_set": "near"}
    )
    run = only_run(folder)
    assert run.score is None  # only time_at_goal_all was written
    rewrite(folder, run.run_id, lambda row: {**row, "time_at_goal_near": 3.0})
    assert only_run(folder).score == 3.0


def test_a_study_without_a_finished_run_is_refused(results):
    outcome = {(depth, 0): "failed" for depth in (4, 8)}
    folder = write_study(results, {"depth": [4, 8]}, stepping, seeds=1, outcome=outcome)
    with pytest.raises(CrlscaleError, match="no finished run \\(2 failed\\)"):
        load_scores(folder).require_finished()


def test_runs_of_two_versions_of_crlscale_are_told(tmp_path):
    folder = write_study(tmp_path, {"depth": [4]}, flat, seeds=2)
    first, second = (folder / "runs" / run_id / "status.json" for run_id in load_study(folder).configs)
    for path, version in ((first, "0.1.0"), (second, "0.1.0"), (second, "0.2.0")):
        write_json(path, {**read_json(path), "code_version": version})
        warning = load_scores(folder).warning
        assert (warning is None) == (version == "0.1.0")
    assert warning == f"study {folder.name} was run by crlscale 0.1.0 and 0.2.0"
