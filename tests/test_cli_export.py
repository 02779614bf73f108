"""`crlscale export`: what was stored arrives in each format, and nothing is written over."""

import json
import math

import pandas as pd
import pyarrow.parquet as pq
import pytest
from reading_cli import run, run_json
from real_runs import snapshot
from simulated import flat, write_study

from crlscale.score import load_scores
from crlscale.store import read_metrics, read_run_metrics


@pytest.fixture
def study(results):
    """Two axes, one of which no file has a column for; a diverged and a planned run."""
    axes = {"depth": [4, 8], "discount": [0.9, 0.95]}
    outcome = {(4, 0.9, 1): "diverged", (8, 0.95, 1): "planned"}
    return write_study(results, axes, flat, seeds=2, outcome=outcome, name="study")


def refused(capsys, *arguments) -> str:
    code, out, err = run(capsys, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    return err


def test_metrics_as_csv(study, tmp_path, capsys):
    out = tmp_path / "metrics.csv"
    code, said, told = run(capsys, "export", "study", "--out", str(out))
    assert (code, said.strip()) == (0, str(out))
    frame, stored = pd.read_csv(out), read_metrics(study)
    assert f"{len(stored)} rows of {len(frame.columns)} columns" in told and "time_at_goal_all" in told
    assert list(frame.columns) == ["run_id", "discount", *stored.columns[1:]]
    pd.testing.assert_frame_equal(
        frame[stored.columns].astype(float, errors="ignore"),
        stored.astype(float, errors="ignore"),
        check_dtype=False,
    )
    configs = json.loads((study / "study.json").read_text())["configs"]
    expected = {run_id: config["discount"] for run_id, config in configs.items()}
    assert (frame["discount"] == frame["run_id"].map(expected)).all()


def test_missing_and_not_a_number_are_told_apart(study, tmp_path, capsys):
    out = tmp_path / "metrics.csv"
    assert run(capsys, "export", "study", "--out", str(out))[0] == 0
    frame = pd.read_csv(out, keep_default_na=False, dtype=str)
    rows = frame[frame["time_at_goal_all"] == "nan"]
    assert len(rows) == 1 and set(rows["success_rate_far"]) == {""}
    table = pq.read_table(export(capsys, tmp_path / "m.parquet"))
    values = [value for value in table.column("time_at_goal_all").to_pylist() if value is not None]
    assert sum(map(math.isnan, values)) == 1
    assert table.column("success_rate_far").null_count == table.num_rows
    records = json.loads(export(capsys, tmp_path / "m.json").read_text())
    assert sum(record["time_at_goal_all"] is None for record in records) == 1


def export(capsys, out, *more):
    assert run(capsys, "export", "study", "--out", str(out), *more)[0] == 0
    return out


def test_parquet_holds_the_rows_as_they_are(study, tmp_path, capsys):
    table = pq.read_table(export(capsys, tmp_path / "metrics.parquet"))
    rows = [
        row for run_folder in sorted((study / "runs").iterdir()) for row in read_run_metrics(run_folder)
    ]
    assert table.num_rows == len(rows)
    for index in (0, len(rows) - 1):
        kept = table.slice(index, 1).to_pylist()[0]
        kept.pop("discount")
        assert kept == rows[index]


def test_runs_and_scores(study, tmp_path, capsys):
    runs = pd.read_csv(export(capsys, tmp_path / "runs.csv", "--what", "runs"))
    assert len(runs) == 8 and sorted(runs["status"].value_counts().items()) == [
        ("complete", 6), ("diverged", 1), ("planned", 1)
    ]  # fmt: skip
    scores = pd.read_csv(export(capsys, tmp_path / "scores.csv", "--what", "scores"))
    stored = {run.run_id: run.score for cell in load_scores(study).cells for run in cell.runs}
    assert scores["discount"].tolist() == runs["discount"].tolist()
    for run_id, score in zip(scores["run_id"], scores["score"], strict=True):
        assert (math.isnan(score) and stored[run_id] is None) or score == pytest.approx(stored[run_id])


def test_goals_of_a_task_without_cells_is_an_empty_table(study, tmp_path, capsys):
    data = run_json(capsys, "export", "study", "--out", str(tmp_path / "g.csv"), "--what", "goals")
    assert data["rows"] == 0 and data["columns"][:3] == ["run_id", "depth", "discount"]


def test_nothing_is_written_over(study, tmp_path, capsys):
    out = tmp_path / "metrics.csv"
    out.write_text("mine")
    assert "exists" in refused(capsys, "export", "study", "--out", str(out))
    assert out.read_text() == "mine"
    export(capsys, out, "--force")
    assert out.read_text().startswith('"run_id"')


def test_results_are_never_written_over(study, capsys):
    before = snapshot(study)
    metrics = next((study / "runs").iterdir()) / "metrics.parquet"
    for out in (metrics, study / "runs" / "new.csv", study / "study.json"):
        words = refused(capsys, "export", "study", "--out", str(out), "--force")
        assert "belongs to the results of study study" in words
    assert snapshot(study) == before


def test_mistakes(study, tmp_path, capsys):
    assert "metrics, goals, blocks, runs, scores" in refused(
        capsys, "export", "study", "--out", str(tmp_path / "x.csv"), "--what", "rows"
    )
    assert ".csv, .parquet, .json" in refused(
        capsys, "export", "study", "--out", str(tmp_path / "x.xls")
    )
    assert "no study" in refused(capsys, "export", "studie", "--out", str(tmp_path / "x.csv"))
    assert list(tmp_path.glob("x.*")) == []


def test_damaged_run_is_left_out_and_named(study, tmp_path, capsys):
    (broken, *_) = (path for path in study.glob("runs/*/metrics.parquet"))
    broken.write_bytes(broken.read_bytes()[:300])
    code, _, told = run(capsys, "export", "study", "--out", str(tmp_path / "m.csv"))
    assert code == 0
    assert f"warning: damaged, left out: {broken.parent.name}" in told
