"""`crlscale status`: all studies, or one run by run."""

import json
import time

import pytest
from reading_cli import run, run_json
from real_runs import snapshot
from simulated import flat, write_study

from crlscale.record import RunRecord
from crlscale.store import write_json

DEPTHS = {"depth": [4, 8]}


@pytest.fixture
def mixed(results):
    """A study with a run of every kind; returns its folder and run ids by kind."""
    outcome = {(4, 1): "diverged", (4, 2): "failed", (8, 0): "stopped", (8, 1): "planned"}
    folder = write_study(
        results, DEPTHS, flat, outcome=outcome, name="mixed", settings={"env": "chain_4"}
    )
    ids = {(4, 0): "complete", **outcome, (8, 2): "running"}
    config = {(c["depth"], c["seed"]): i for i, c in study_configs(folder).items()}
    ids = {word: config[place] for place, word in ids.items()}
    entry = RunRecord(folder / "runs" / ids["running"], ids["running"], total_env_steps=1600)
    entry.update(env_steps=400, updates_per_second=123.4, time_at_goal=7.25)
    failed = {"schema_version": 1, "status": "failed", "cause": "killed by signal 9 (out of memory?)"}
    write_json(folder / "runs" / ids["failed"] / "status.json", failed)
    return folder, ids


def study_configs(folder) -> dict:
    return json.loads((folder / "study.json").read_text())["configs"]


def test_one_study_run_by_run(mixed, capsys):
    folder, ids = mixed
    before = snapshot(folder)
    code, out, err = run(capsys, "status", "mixed")
    assert code == 0
    lines = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.split()}
    assert {word: lines[run_id][0] for word, run_id in ids.items()} == {word: word for word in ids}
    assert lines[ids["running"]] == ["running", "25%", "123", "7.2"]
    assert lines[ids["planned"]] == ["planned", "-", "-", "-"]
    assert f"failed: {ids['failed']}: killed by signal 9 (out of memory?)" in err
    assert snapshot(folder) == before


def test_one_study_as_json(mixed, capsys):
    _, ids = mixed
    data = run_json(capsys, "status", "mixed")
    assert (data["schema"], data["study"]) == (1, "mixed")
    rows = {row["run_id"]: row for row in data["rows"]}
    assert {rows[run_id]["status"] for run_id in ids.values()} == set(ids)
    assert rows[ids["failed"]]["cause"].startswith("killed by signal 9")
    running = rows[ids["running"]]
    assert (running["env_steps"], running["total_env_steps"], running["depth"]) == (400, 1600, 8)
    assert rows[ids["planned"]]["env_steps"] is None  # missing is missing


def test_run_without_a_heartbeat_is_shown_as_lost(mixed, capsys):
    folder, ids = mixed
    path = folder / "runs" / ids["running"] / "status.json"
    status = json.loads(path.read_text())
    write_json(path, {**status, "heartbeat": time.time() - 61})
    rows = {row["run_id"]: row["status"] for row in run_json(capsys, "status", "mixed")["rows"]}
    assert rows[ids["running"]] == "lost"


def test_all_studies_oldest_first_with_counts(mixed, results, capsys):
    write_study(results, {"width": [16, 32]}, flat, name="another", seeds=1)
    study = results / "another" / "study.json"
    data = json.loads(study.read_text())
    study.write_text(json.dumps({**data, "created": "2020-01-01T00:00:00+00:00"}))
    rows = run_json(capsys, "status")["rows"]
    assert [row["study"] for row in rows] == ["another", "mixed"]
    assert rows[0]["complete"] == 2
    kinds = ("complete", "diverged", "failed", "stopped", "planned", "running")
    assert {kind: rows[1][kind] for kind in kinds} == dict.fromkeys(kinds, 1)
    code, out, err = run(capsys, "status")
    assert (code, err) == (0, "")
    assert out.index("another") < out.index("mixed")


def test_no_study_says_what_to_type(results, capsys):
    code, out, err = run(capsys, "status")
    assert (code, out) == (0, "")
    assert f"no studies in {results}" in err and "crlscale sweep depth --preset smoke" in err
    assert run_json(capsys, "status")["rows"] == []


def test_results_that_are_not_there_hold_no_study(results, capsys):
    assert run_json(capsys, "status", "--results", str(results / "nowhere"))["rows"] == []


def refused(capsys, *arguments) -> str:
    code, out, err = run(capsys, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: ") and "; try: " in err
    return err


def test_unknown_study_lists_those_there_are(mixed, capsys):
    assert "there are: mixed" in refused(capsys, "status", "mixde")


@pytest.mark.parametrize("file", ["study.json", "status.json"])
def test_damaged_file_is_named(mixed, capsys, file):
    folder, ids = mixed
    path = folder / file if file == "study.json" else folder / "runs" / ids["complete"] / file
    path.write_bytes(path.read_bytes()[:20])
    before = snapshot(folder)
    assert str(path) in refused(capsys, "status", "mixed")
    assert str(path) in refused(capsys, "status")
    assert snapshot(folder) == before


def test_tables_fit_80_columns(mixed, results, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for arguments in (("status",), ("status", "mixed")):
        out = run(capsys, *arguments)[1]
        assert max(map(len, out.splitlines())) <= 80
        assert "\x1b" not in out
