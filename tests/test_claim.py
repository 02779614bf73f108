"""Claims of a run: of many processes exactly one gets it, and a dead one does not keep it."""

import contextlib
import json
import multiprocessing
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from real_runs import wait_for

from crlscale import claim
from crlscale.errors import CrlscaleError
from crlscale.store import write_json

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
        if claim.claim(folder / str(index)) is None:
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
        if claim.claim(folder) is None:
            with open(folder / "inside", "x"):  # fails if the other one is in here too
                pass
            (folder / "inside").unlink()
            claim.release(folder)


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
    assert claim.held(run) is None
    assert claim.claim(run) is None
    holder = f"process {os.getpid()} on {socket.gethostname()}"
    assert claim.held(run) == claim.claim(run) == holder
    claim.release(run)
    assert claim.held(run) is None
    assert list(run.iterdir()) == []


def test_claim_of_a_killed_process_is_taken_over(tmp_path):
    run = tmp_path / "run"
    program = f"from crlscale.claim import claim; claim({str(run)!r}); print(1, flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        process.stdout.readline()
        assert claim.held(run) == claim.claim(run) == f"process {process.pid} on {DEAD['host']}"
        process.kill()
    assert claim.held(run) is None
    assert claim.claim(run) is None


@pytest.mark.parametrize("beat_age", [0, 50])
@pytest.mark.parametrize("reports", ["claim", "status"])
def test_claim_of_another_host_is_respected_while_it_is_fresh(tmp_path, beat_age, reports):
    run = tmp_path / "run"
    path = leave_claim(run, ELSEWHERE, age=beat_age if reports == "claim" else 5000)
    if reports == "status":
        leave_beat(run, time.time() - beat_age)
    assert claim.held(run) == claim.claim(run) == "process 7 on another-host"
    assert json.loads(path.read_text())["pid"] == 7


@pytest.fixture
def impatient(monkeypatch):
    """A silence of two seconds is death."""
    monkeypatch.setattr(claim, "LOST_AFTER_SECONDS", 2.0)
    monkeypatch.setattr(claim, "LOOK_EVERY", 0.1)


def leave_beat(run: Path, when: float) -> None:
    write_json(run / "status.json", {"status": "running", "heartbeat": when})


@pytest.mark.parametrize("ahead", [-3600, 3600], ids=["old", "of the future"])
def test_silent_claim_of_another_host_falls_once_it_was_watched(tmp_path, impatient, ahead):
    """Also one whose host had a clock that ran ahead, or from before this one was set back."""
    run = tmp_path / "run"
    path = leave_claim(run, ELSEWHERE, age=-ahead)
    leave_beat(run, time.time() + ahead)
    began = time.monotonic()
    assert claim.held(run) == "process 7 on another-host"  # cannot tell yet
    assert claim.claim(run) is None
    assert time.monotonic() - began > 2.0
    assert json.loads(path.read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("ahead", [-3600, 3600])
def test_beating_heart_keeps_its_claim_whatever_its_clock_says(tmp_path, impatient, ahead):
    run = tmp_path / "run"
    leave_claim(run, ELSEWHERE, age=-ahead)
    looks = []

    def beat():
        """Between two looks of the claimant, the other host beats."""
        looks.append(1)
        leave_beat(run, time.time() + ahead)

    leave_beat(run, time.time() + ahead)
    assert claim.claim(run, beat) == "process 7 on another-host"
    assert len(looks) == 1  # a change tells at once


def test_held_sees_a_silent_claim_fall(tmp_path, impatient):
    run = tmp_path / "run"
    leave_claim(run, ELSEWHERE, age=3600)
    assert claim.held(run) is not None
    wait_for(lambda: claim.held(run) is None)
    leave_claim(run, {**ELSEWHERE, "pid": 8}, age=3600)  # another one has come: it is watched anew
    assert claim.held(run) == "process 8 on another-host"


def test_who_lost_its_claim_is_told(tmp_path):
    run = tmp_path / "run"
    assert claim.taken_over(run) is None
    claim.claim(run)
    assert claim.taken_over(run) is None
    leave_claim(run, ELSEWHERE)
    assert claim.taken_over(run) == "process 7 on another-host"


def test_process_with_the_number_of_a_dead_one_does_not_hold_its_claim(tmp_path, impatient):
    mine = psutil.Process().create_time()
    before = {"pid": os.getpid(), "host": socket.gethostname(), "born": mine - 5000}
    leave_claim(tmp_path / "run", before, age=3600)
    assert claim.claim(tmp_path / "run") is None


def test_clock_that_is_set_does_not_free_a_running_run(tmp_path):
    """The start of a process is told in wall time, so it seems to move when the clock is set."""
    moved = {"pid": os.getppid(), "host": socket.gethostname(), "born": 1.0}
    leave_claim(tmp_path / "run", moved)
    assert claim.claim(tmp_path / "run") == f"process {os.getppid()} on {socket.gethostname()}"


@pytest.mark.parametrize("content", ["", "5", "[]", '{"pid": 3}', '{"pid": 3, "host"'])
def test_claim_that_says_nothing_holds_nothing(tmp_path, content):
    leave_claim(tmp_path / "run", content)
    assert claim.held(tmp_path / "run") is None
    assert claim.claim(tmp_path / "run") is None


def test_release_leaves_the_claim_of_another(tmp_path):
    path = leave_claim(tmp_path / "run", ELSEWHERE)
    claim.release(tmp_path / "run")
    assert json.loads(path.read_text()) == ELSEWHERE
    claim.release(tmp_path / "no such run")


def test_claim_below_a_file_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CrlscaleError, match=r"cannot write .*claim\.json.*try: --results"):
        claim.claim(tmp_path / "file" / "run")
    assert claim.held(tmp_path / "file" / "run") is None


def test_a_dead_process_that_nobody_waited_for_does_not_hold_its_claim(tmp_path):
    """In a container without an init it stays a zombie for ever."""
    run = tmp_path / "run"
    program = (
        "import sys; from pathlib import Path; from crlscale.claim import claim;"
        f"print(claim(Path({str(run)!r})), flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "None\n"
        assert f"process {process.pid} " in claim.held(run)
        process.kill()
        wait_for(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
        assert claim.held(run) is None
    assert claim.claim(run) is None


def test_setting_the_clock_does_not_take_a_claim_from_its_owner(tmp_path, monkeypatch):
    """The start of a process is told in wall time."""
    run = tmp_path / "run"
    assert claim.claim(run) is None
    monkeypatch.setattr(claim, "_born", lambda pid: 1.0)
    assert claim.taken_over(run) is None
    claim.release(run)
    assert not (run / "claim.json").exists()


def test_the_same_number_in_another_container_of_that_name_is_another_process(tmp_path):
    """Its heartbeat is watched, as that of another host."""
    me = {**claim._me(), "space": "another"}
    leave_claim(tmp_path / "run", {**me, "pid": 2**22 + 1})
    assert "process" in claim.held(tmp_path / "run")
