"""Claims, heartbeats and status of a run: of many processes exactly one gets it."""

import contextlib
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest
from real_runs import wait_for

from crlscale import record
from crlscale.errors import CrlscaleError

TRIES = 400
DEAD = {"pid": 2**22 + 1, "host": socket.gethostname(), "born": 1.0}  # above the largest pid
ELSEWHERE = {"pid": 7, "host": "another-host", "born": 1.0}


def leave_claim(run: Path, content: dict | str, age: float = 0.0) -> Path:
    run.mkdir(parents=True, exist_ok=True)
    path = run / "claim.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    os.utime(path, (time.time() - age,) * 2)
    return path


# --- one of many ---------------------------------------------------------------------------
@contextlib.contextmanager
def started(processes):
    """The processes at work; afterwards all have ended, killed if they would not."""
    processes = list(processes)
    for process in processes:
        process.start()
    try:
        yield processes
        for process in processes:
            process.join(timeout=120)
    finally:
        for process in processes:
            process.kill()
            process.join()


def race(folder, barrier, mine):
    """Claim run after run, each at the same moment as the others; then live until all are done."""
    for index in range(TRIES):
        barrier.wait()
        if record.claim(folder / str(index)) is None:
            mine.put((index, os.getpid()))
    mine.put(None)
    barrier.wait()


@pytest.mark.parametrize("found", [None, DEAD, '{"pid": 1, "ho'], ids=["free", "dead", "cut short"])
def test_of_racing_processes_exactly_one_gets_each_run(tmp_path, found):
    if found is not None:
        for index in range(TRIES):
            leave_claim(tmp_path / str(index), found)
    spawn = multiprocessing.get_context("spawn")
    barrier, mine = spawn.Barrier(3), spawn.Queue()
    claims, ended = [], 0
    with started(
        spawn.Process(target=race, args=(tmp_path, barrier, mine)) for _ in range(3)
    ) as racers:
        while ended < len(racers):
            got = mine.get(timeout=120)
            ended += got is None
            claims += [] if got is None else [got]
    assert sorted(index for index, _ in claims) == list(range(TRIES))
    assert len({pid for _, pid in claims}) > 1  # it was a race
    for index, pid in claims:
        assert json.loads((tmp_path / str(index) / "claim.json").read_text())["pid"] == pid


def give_and_take(folder, barrier):
    """Claim, hold and give back one run many times over."""
    barrier.wait()
    for _ in range(TRIES):
        if record.claim(folder) is None:
            with open(folder / "inside", "x"):  # fails if the other one is in here too
                pass
            (folder / "inside").unlink()
            record.release(folder)


def test_a_claim_that_is_given_back_is_free_for_one(tmp_path):
    run = tmp_path / "run"
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(2)
    with started(spawn.Process(target=give_and_take, args=(run, barrier)) for _ in range(2)) as racers:
        pass
    assert [racer.exitcode for racer in racers] == [0, 0]
    assert not (run / "claim.json").exists()


# --- who is alive --------------------------------------------------------------------------
def test_claim_is_held_until_it_is_given_back(tmp_path):
    run = tmp_path / "run"
    assert record.held(run) is None
    assert record.claim(run) is None
    holder = f"process {os.getpid()} on {socket.gethostname()}"
    assert record.held(run) == record.claim(run) == holder
    record.release(run)
    assert record.held(run) is None
    assert list(run.iterdir()) == []


def test_claim_of_a_killed_process_is_taken_over(tmp_path):
    run = tmp_path / "run"
    program = f"from crlscale.record import claim; claim({str(run)!r}); print(1, flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        process.stdout.readline()
        assert record.held(run) == record.claim(run) == f"process {process.pid} on {DEAD['host']}"
        process.kill()
    assert record.held(run) is None
    assert record.claim(run) is None


@pytest.mark.parametrize("beat_age, taken", [(0, False), (50, False), (70, True)])
@pytest.mark.parametrize("reports", ["claim", "status"])
def test_claim_of_another_host_is_respected_while_its_heart_beats(tmp_path, beat_age, taken, reports):
    run = tmp_path / "run"
    path = leave_claim(run, ELSEWHERE, age=beat_age if reports == "claim" else 5000)
    if reports == "status":
        beat = {"status": "running", "heartbeat": time.time() - beat_age}
        (run / "status.json").write_text(json.dumps(beat))
    holder = None if taken else "process 7 on another-host"
    assert record.held(run) == holder
    assert record.claim(run) == holder
    assert json.loads(path.read_text())["pid"] == (os.getpid() if taken else 7)


def test_process_with_the_number_of_a_dead_one_does_not_hold_its_claim(tmp_path):
    mine = psutil.Process().create_time()
    before = {"pid": os.getpid(), "host": socket.gethostname(), "born": mine - 5000}
    leave_claim(tmp_path / "run", before, age=3600)
    assert record.claim(tmp_path / "run") is None


def test_clock_that_is_set_does_not_free_a_running_run(tmp_path):
    """The start of a process is told in wall time, so it seems to move when the clock is set."""
    moved = {"pid": os.getppid(), "host": socket.gethostname(), "born": 1.0}
    leave_claim(tmp_path / "run", moved)
    assert record.claim(tmp_path / "run") == f"process {os.getppid()} on {socket.gethostname()}"


@pytest.mark.parametrize("content", ["", "5", "[]", '{"pid": 3}', '{"pid": 3, "host"'])
def test_claim_that_says_nothing_holds_nothing(tmp_path, content):
    leave_claim(tmp_path / "run", content)
    assert record.held(tmp_path / "run") is None
    assert record.claim(tmp_path / "run") is None


def test_release_leaves_the_claim_of_another(tmp_path):
    path = leave_claim(tmp_path / "run", ELSEWHERE)
    record.release(tmp_path / "run")
    assert json.loads(path.read_text()) == ELSEWHERE
    record.release(tmp_path / "no such run")


def test_claim_below_a_file_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CrlscaleError, match=r"cannot write .*claim\.json.*try: --results"):
        record.claim(tmp_path / "file" / "run")
    assert record.held(tmp_path / "file" / "run") is None


# --- status and heartbeat ------------------------------------------------------------------
def test_record_of_a_run_from_claim_to_end(tmp_path):
    run = tmp_path / "run"
    assert record.read_status(run) == {"status": "planned"}
    record.claim(run)
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
    assert record.held(run) is None


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
    with record.Heartbeat([], os.getppid(), lambda: told.append(1)):
        time.sleep(1.5)
    assert told == []


def test_death_that_could_not_be_recorded_keeps_what_was_reported(tmp_path):
    entry = record.RunRecord(tmp_path, "the-run", total_updates=20)
    entry.update(gradient_steps=12)
    record.record_failure(tmp_path, "killed by signal 9")
    status = record.read_status(tmp_path)
    assert (status["status"], status["cause"]) == ("failed", "killed by signal 9")
    assert (status["gradient_steps"], status["run_id"]) == (12, "the-run")
    record.record_failure(tmp_path / "never started", "exit code 1")
    assert record.read_status(tmp_path / "never started")["status"] == "failed"
