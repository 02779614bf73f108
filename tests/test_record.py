"""Status, heartbeat and history of a run: what is told, and by whom if the run cannot."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time

import pytest
from real_runs import wait_for

import crlscale
from crlscale import claim, record
from crlscale.errors import CrlscaleError
from crlscale.store import write_metrics


# --- status and heartbeat ------------------------------------------------------------------
def test_record_of_a_run_from_claim_to_end(tmp_path):
    run = tmp_path / "run"
    assert record.read_status(run) == {"status": "planned"}
    claim.claim(run)
    before = time.time()
    entry = record.RunRecord(run, "the-run", total_updates=20)
    entry.update(gradient_steps=3)
    status = record.read_status(run)
    assert before <= status["started"] <= status["heartbeat"] <= time.time()
    known = {"status": "running", "run_id": "the-run", "total_updates": 20, "gradient_steps": 3}
    known |= {"cause": None, "ended": None, "pid": os.getpid(), "host": socket.gethostname()}
    assert known.items() <= status.items()
    entry.end("failed", "because")
    status = record.read_status(run)
    assert (status["status"], status["cause"], status["gradient_steps"]) == ("failed", "because", 3)
    assert status["ended"] >= status["started"]
    assert claim.held(run) is None


def test_heart_beats_while_the_run_runs_and_not_after(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "BEAT_EVERY", 1.0)
    entry = record.RunRecord(tmp_path, "the-run")
    entry.update()
    first = record.read_status(tmp_path)["heartbeat"]
    with record.Heartbeat([entry]):
        wait_for(lambda: record.read_status(tmp_path)["heartbeat"] > first)
        entry.end("complete")
        last = record.read_status(tmp_path)
        time.sleep(2.5)
    assert record.read_status(tmp_path) == last


def test_heartbeat_survives_a_folder_that_refuses(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "BEAT_EVERY", 1.0)
    (tmp_path / "file").write_text("")
    beats = []
    entry = record.RunRecord(tmp_path / "file" / "run", "the-run")
    with record.Heartbeat([entry], launcher=os.getpid(), on_orphan=lambda: beats.append(1)):
        wait_for(lambda: len(beats) > 2)  # the thread goes on looking


def test_orphan_is_told_even_if_the_launcher_died_before_it_looked(tmp_path):
    """The child starts its heartbeat only after its parent is gone."""
    child = f"""
        import os, pathlib, sys, time
        from crlscale.record import Heartbeat
        launcher, folder = int(sys.argv[1]), pathlib.Path({str(tmp_path)!r})
        while os.getppid() == launcher:
            time.sleep(0.05)
        told = []
        with Heartbeat([], launcher, lambda: told.append(1)):
            while not told:
                time.sleep(0.05)
        (folder / "told").write_text("")
    """
    parent = f"""
        import os, subprocess, sys, time
        subprocess.Popen([sys.executable, "-c", {textwrap.dedent(child)!r}, str(os.getpid())])
        print(1, flush=True)
        time.sleep(600)
    """
    arguments = [sys.executable, "-c", textwrap.dedent(parent)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    wait_for((tmp_path / "told").exists)


def test_no_launcher_no_orphan(tmp_path):
    told = []
    with record.Heartbeat([], None, lambda: told.append(1)):
        time.sleep(1.5)
    for launcher in (0, os.getppid()):  # 0: launched, but nobody watches
        with record.Heartbeat([], launcher, lambda: told.append(1)):
            time.sleep(1.5)
    assert told == []


def test_death_that_could_not_be_recorded_keeps_what_was_reported(tmp_path):
    entry = record.RunRecord(tmp_path, "the-run", total_updates=20)
    entry.update(gradient_steps=12)
    record.record_failure(tmp_path, "killed by signal 9", kind="killed")
    status = record.read_status(tmp_path)
    found = tuple(status[key] for key in ("status", "cause", "kind", "attempts"))
    assert found == ("failed", "killed by signal 9", "killed", 1)
    assert (status["gradient_steps"], status["run_id"]) == (12, "the-run")
    record.record_failure(tmp_path / "never started", "exit code 1")
    assert record.read_status(tmp_path / "never started")["status"] == "failed"


def test_failure_of_no_known_kind_is_a_mistake_of_the_program(tmp_path):
    with pytest.raises(ValueError, match="killed, preempted, lost"):
        record.record_failure(tmp_path, "?", kind="odd")


def history(run) -> list[dict]:
    return [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]


def test_every_start_is_counted_and_every_end_is_in_the_history(tmp_path, monkeypatch):
    monkeypatch.setenv("CRLSCALE_JOB", json.dumps({"launcher": "slurm", "job": 17}))
    for status, kind in (("stopped", None), ("failed", "exception"), ("complete", None)):
        entry = record.RunRecord(tmp_path, "the-run")
        entry.begin()
        entry.end(status, "because", kind)
    found = record.read_status(tmp_path)
    assert (found["attempts"], found["launcher"], found["job"]) == (3, "slurm", "17")
    told = [(line["event"], line.get("was"), line["attempts"]) for line in history(tmp_path)]
    assert told == [
        ("started", "planned", 1),
        ("stopped", None, 1),
        ("started", "stopped", 2),
        ("failed", None, 2),
        ("started", "failed", 3),
        ("complete", None, 3),
    ]
    assert [line["kind"] for line in history(tmp_path)[1::2]] == [None, "exception", None]
    assert history(tmp_path)[0]["code_version"] == crlscale.__version__


@pytest.mark.parametrize("job", [None, "", "17", "[]", "{"])
def test_job_that_says_nothing_is_none(tmp_path, monkeypatch, job):
    monkeypatch.delenv("CRLSCALE_JOB", raising=False)
    if job is not None:
        monkeypatch.setenv("CRLSCALE_JOB", job)
    record.RunRecord(tmp_path, "the-run").begin()
    found = record.read_status(tmp_path)
    assert (found["launcher"], found["job"]) == (None, None)


def test_run_that_another_process_took_over_writes_no_more(tmp_path):
    entry = record.RunRecord(tmp_path, "the-run")
    entry.begin()
    theirs = {"pid": 7, "host": "another-host", "born": 1.0}
    (tmp_path / "claim.json").write_text(json.dumps(theirs))
    before = (tmp_path / "status.json").read_bytes()
    for write in (entry.update, entry.beat, lambda: entry.end("complete")):
        with pytest.raises(CrlscaleError, match="taken over by process 7 on another-host"):
            write()
    assert (tmp_path / "status.json").read_bytes() == before
    assert [line["event"] for line in history(tmp_path)] == ["started"]


# --- damage --------------------------------------------------------------------------------
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"{}"])
def test_damaged_status_is_a_failed_run_or_what_its_measurements_say(tmp_path, content):
    """Of status.json nothing is lost but where the run stood: it is tried again, if it must be."""
    path = tmp_path / "status.json"
    path.write_bytes(content)
    found = record.read_status(tmp_path)
    assert (found["status"], found["kind"]) == ("failed", "lost") and str(path) in found["cause"]
    write_metrics(tmp_path, [{"run_id": "the-run"}], {"status": "running"})
    assert record.read_status(tmp_path)["status"] == "failed"
    write_metrics(tmp_path, [{"run_id": "the-run"}], {"status": "complete"})
    assert record.read_status(tmp_path)["status"] == "complete"
    assert path.read_bytes() == content


def test_status_of_a_newer_crlscale_is_refused(tmp_path):
    (tmp_path / "status.json").write_text('{"schema_version": 99, "status": "complete"}')
    with pytest.raises(CrlscaleError, match="has schema 99"):
        record.read_status(tmp_path)
