"""`crlscale status`: all studies, or one cell by cell."""

import json
import os
import pty
import re
import subprocess
import sys
import time

import pytest
from reading_cli import run, run_json
from real_runs import snapshot, wait_for
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


def test_one_study_cell_by_cell(mixed, capsys):
    folder, ids = mixed
    before = snapshot(folder)
    code, out, err = run(capsys, "status", "mixed")
    assert (code, err) == (0, "")
    lines = {line.split()[0]: line.split() for line in out.splitlines() if line.split()}
    assert lines["4"][:2] == ["4", "CDF"] and lines["4"][-4:] == ["1", "failed,", "1", "diverged"]
    # 0 of stopped and planned, 400 of 1600 steps of the running one
    assert lines["8"] == ["8", "S.R", "8%", "7.2", "123", "-"]
    assert "6 runs: 1 complete, 1 running, 1 planned, 1 stopped, 1 diverged, 1 failed" in out
    assert "C complete" in out and "F failed" in out
    assert f"failed: {ids['failed']} killed by signal 9 (out of memory?)" in " ".join(out.split())
    assert snapshot(folder) == before


def test_a_run_that_was_unstable_is_named_with_its_onset(mixed, capsys):
    """A complete one, and a diverged one beside its cause."""
    folder, ids = mixed
    said = "unstable from update 12 on (entropy)"
    for word, cause in (("complete", None), ("diverged", "loss not finite at update 40")):
        status = {"schema_version": 1, "status": word, "cause": cause, "instability": said}
        write_json(folder / "runs" / ids[word] / "status.json", status)
    out = run(capsys, "status", "mixed")[1]
    words = " ".join(out.split())
    assert f"complete: {ids['complete']} {said}" in words
    assert f"diverged: {ids['diverged']} loss not finite at update 40; {said}" in words
    assert words.count(said) == 2 and "1 failed, 1 diverged, 1 unstable" in words
    rows = {row["run_id"]: row for row in run_json(capsys, "status", "mixed")["rows"]}
    assert rows[ids["complete"]]["instability"] == said
    assert rows[ids["running"]]["instability"] is None
    err = run(capsys, "runs", "list", "mixed")[2]
    assert f"complete: {ids['complete']}: {said}\n" in err


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


def test_damaged_study_is_named_beside_the_others(mixed, results, capsys):
    write_study(results, {"width": [16]}, flat, name="sound", seeds=1)
    path = mixed[0] / "study.json"
    path.write_bytes(path.read_bytes()[:20])
    before = snapshot(mixed[0])
    assert str(path) in refused(capsys, "status", "mixed")
    code, out, err = run(capsys, "status")
    assert code == 0 and "sound" in out and str(path) in err
    data = run_json(capsys, "status")
    assert [row["study"] for row in data["rows"]] == ["sound"]
    assert [row["study"] for row in data["unreadable"]] == ["mixed"]
    assert snapshot(mixed[0]) == before


def test_damaged_run_is_shown_as_damaged(mixed, capsys):
    folder, ids = mixed
    path = folder / "runs" / ids["complete"] / "status.json"
    for file in (path, path.with_name("metrics.parquet")):  # else the measurements tell its status
        file.write_bytes(file.read_bytes()[:20])
    before = snapshot(folder)
    data = run_json(capsys, "status", "mixed")
    row = next(row for row in data["rows"] if row["run_id"] == ids["complete"])
    assert row["status"] == "damaged" and str(path) in row["cause"]
    assert data["counts"]["damaged"] == 1
    out = run(capsys, "status", "mixed")[1]
    assert "XDF" in out and "X damaged" in out
    assert run_json(capsys, "status")["rows"][0]["damaged"] == 1
    assert snapshot(folder) == before


def test_totals_and_predicted_end_for_machines(mixed, capsys):
    data = run_json(capsys, "status", "mixed")
    assert data["counts"] == dict.fromkeys(
        ("failed", "diverged", "running", "stopped", "planned", "complete"), 1
    )
    assert data["predicted_end"] is None  # nothing has told its pace
    cell = data["cells"][1]
    assert (cell["depth"], cell["states"]) == (8, ["stopped", "planned", "running"])
    assert 0 < data["done"] < 1


def test_watch_needs_a_terminal(mixed, capsys):
    assert "--watch draws on a terminal" in refused(capsys, "status", "mixed", "--watch")
    code, out, err = run(capsys, "status", "mixed", "--watch", "--json")
    assert (code, out) == (2, "") and json.loads(err)["value"] == "--watch"


def test_tables_fit_80_columns(mixed, results, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for arguments in (("status",), ("status", "mixed")):
        out = run(capsys, *arguments)[1]
        assert max(map(len, out.splitlines())) <= 80
        assert "\x1b" not in out


def test_watch_follows_a_study_to_its_end(mixed):
    """On a terminal of its own: it draws what changes, and leaves when every run has ended."""
    folder, ids = mixed
    terminal, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "crlscale", "status", "mixed", "--watch", "--every", "0.2"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "COLUMNS": "80", "LINES": "30", "TERM": "xterm"},
    )
    os.close(theirs)
    said = b""

    def shows(words: bytes) -> bool:
        nonlocal said
        try:
            said += re.sub(rb"\x1b\[[0-9;]*m", b"", os.read(terminal, 65536))
        except OSError:  # the terminal ends with the process
            assert words in said
        return words in said

    try:
        wait_for(lambda: shows(b"S.R"))
        done = {"schema_version": 1, "status": "complete"}
        write_json(folder / "runs" / ids["stopped"] / "status.json", done)
        wait_for(lambda: shows(b"C.R"))
        for word in ("planned", "running"):
            write_json(folder / "runs" / ids[word] / "status.json", done)
        wait_for(lambda: shows(b"every run has ended"))
        assert process.wait(timeout=120) == 0
    finally:
        process.kill()
        os.close(terminal)
