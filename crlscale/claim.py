"""Who works on a run: claim.json, which one process has at a time, on one host or on several.

A process of this host is looked up. Of a process of another host only its heartbeat is known, and
two hosts may disagree about the time: a heart that looks old is dead once this process has watched
it for LOST_AFTER_SECONDS of its own and seen no beat.
"""

import contextlib
import fcntl
import functools
import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import psutil

from crlscale.errors import CrlscaleError
from crlscale.files import unwritable
from crlscale.store import LOST_AFTER_SECONDS, read_json

CLOCKS_APART_SECONDS = 5.0  # a beat that is further in the future says nothing
LOOK_EVERY = 1.0

ALIVE, DEAD, UNSURE = "alive", "dead", "unsure"

_seen: dict[Path, tuple[tuple, float]] = {}  # claim -> (its beat, when this process first saw that)


def claim(run_folder: Path, give_up: Callable[[], bool] = lambda: False) -> str | None:
    """Claim a run for this process: None when that worked, else who has it. May watch the claim of
    another host for LOST_AFTER_SECONDS, until `give_up()`."""
    run_folder = Path(run_folder)
    while True:
        with _own_claim_file(run_folder) as file:
            holder = _parse(file.read())
            pulse = DEAD if holder is None else _pulse(holder, run_folder)
            if pulse == DEAD:
                file.seek(0)
                file.truncate()
                json.dump(_me(), file)
                return None
        if pulse == ALIVE or give_up():
            return _words(holder)
        time.sleep(LOOK_EVERY)


def release(run_folder: Path) -> None:
    """Give a claim back, if it is of this process."""
    run_folder = Path(run_folder)
    if (run_folder / "claim.json").exists():
        with _own_claim_file(run_folder) as file:
            if _parse(file.read()) == _me():
                (run_folder / "claim.json").unlink()


def held(run_folder: Path) -> str | None:
    """Who has claimed a run and may be alive, or None; claims nothing and never waits. One that
    asks again and again sees a dead claim of another host fall after LOST_AFTER_SECONDS."""
    holder = _holder(Path(run_folder))
    if holder is None or _pulse(holder, Path(run_folder)) == DEAD:
        return None
    return _words(holder)


def taken_over(run_folder: Path) -> str | None:
    """Who else has the claim now, or None: a process that slept for long may have lost its own."""
    holder = _holder(Path(run_folder))
    return None if holder is None or holder == _me() else _words(holder)


def _holder(run_folder: Path) -> dict | None:
    try:
        return _parse((run_folder / "claim.json").read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None


def _own_claim_file(run_folder: Path) -> TextIO:
    """The open claim.json, for this process alone until it is closed: of two that see the same
    dead claim only one takes it over. The kernel ends the lock of a process that dies."""
    path = run_folder / "claim.json"
    while True:
        try:
            run_folder.mkdir(parents=True, exist_ok=True)
            file = open(path, "a+")  # noqa: SIM115 (the caller closes it)
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as refused:
            raise unwritable(path, refused) from None
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                file.seek(0)
                return file
        file.close()  # it was given back and removed while we waited


def _me() -> dict:
    return _identity(os.getpid())


@functools.cache  # the start of a process is told in wall time: it moves when the clock is set
def _identity(pid: int) -> dict:
    return {"pid": pid, "host": socket.gethostname(), "born": _born(pid), "space": _space()}


def _space() -> str:
    """The numbers of processes mean the same within this: a container has its own, and may have the
    name of its host."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _parse(text: str) -> dict | None:
    """A claim file's content; None if it is empty or was cut short by a kill."""
    with contextlib.suppress(ValueError):
        data = json.loads(text)
        if isinstance(data, dict) and data.keys() >= {"pid", "host", "born"}:
            return data
    return None


def _words(holder: dict) -> str:
    return f"process {holder['pid']} on {holder['host']}"


def _pulse(holder: dict, run_folder: Path) -> str:
    """ALIVE, DEAD or UNSURE. A process of this host is looked up; but the start of a process is told
    in wall time, so after the clock was set only its heartbeat tells."""
    if holder["host"] == socket.gethostname() and holder.get("space", _space()) == _space():
        born = _born(holder["pid"])
        if born is None or born == holder["born"]:
            return DEAD if born is None else ALIVE
    claimed, beat = _last_beats(run_folder)
    if -CLOCKS_APART_SECONDS <= time.time() - max(claimed, beat) < LOST_AFTER_SECONDS:
        return ALIVE  # by both clocks; should they disagree, it looks old before long
    return _watched(run_folder, (holder["pid"], holder["host"], holder["born"], claimed, beat))


def _watched(run_folder: Path, beat: tuple) -> str:
    known, since = _seen.get(run_folder, (None, 0.0))
    now = time.monotonic()
    if known != beat:
        _seen[run_folder] = (beat, now)
        return UNSURE if known is None or known[:3] != beat[:3] else ALIVE
    return DEAD if now - since > LOST_AFTER_SECONDS else UNSURE


def _last_beats(run_folder: Path) -> tuple[float, float]:
    """When the claim was written and when status.json had its heartbeat, as their hosts say."""
    claimed = beat = 0.0
    with contextlib.suppress(OSError):
        claimed = (run_folder / "claim.json").stat().st_mtime
    with contextlib.suppress(CrlscaleError):
        beat = read_json(run_folder / "status.json").get("heartbeat") or 0.0
    return claimed, beat if isinstance(beat, int | float) else 0.0


def _born(pid: int) -> float | None:
    """When process `pid` started: tells a process from a later one with the same number."""
    try:
        process = psutil.Process(pid)
        # a dead one whose parent does not wait for it, as in a container without an init
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None
