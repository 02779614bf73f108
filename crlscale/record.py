"""The record of one run on disk: who has claimed it, where it stands, how it ended.

status: planned, running, stopped (resumable), complete, diverged (finished too), failed. A running
run whose heartbeat is older than LOST_AFTER_SECONDS is lost and may be claimed by another process.
"""

import contextlib
import fcntl
import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import TextIO

import psutil

from crlscale.files import unwritable
from crlscale.store import LOST_AFTER_SECONDS, STATUS_SCHEMA, read_json, write_json

BEAT_EVERY = 10.0
FINISHED = ("complete", "diverged")


def read_status(run_folder: Path) -> dict:
    """status.json of a run, or {"status": "planned"} if it has none."""
    path = Path(run_folder) / "status.json"
    return read_json(path) if path.exists() else {"status": "planned"}


def claim(run_folder: Path) -> str | None:
    """Claim a run for this process: None when that worked, else who has it."""
    run_folder = Path(run_folder)
    with _own_claim_file(run_folder) as file:
        holder = _parse(file.read())
        if holder is not None and _alive(holder, run_folder):
            return _words(holder)
        file.seek(0)
        file.truncate()
        json.dump(_me(), file)
    return None


def release(run_folder: Path) -> None:
    """Give a claim back, if it is of this process."""
    run_folder = Path(run_folder)
    if (run_folder / "claim.json").exists():
        with _own_claim_file(run_folder) as file:
            if _parse(file.read()) == _me():
                (run_folder / "claim.json").unlink()


def held(run_folder: Path) -> str | None:
    """Who has claimed a run and is alive, or None; claims nothing."""
    try:
        holder = _parse((Path(run_folder) / "claim.json").read_text())
        alive = holder is not None and _alive(holder, Path(run_folder))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _words(holder) if alive else None


def record_failure(run_folder: Path, cause: str, kind: str | None = None) -> None:
    """Record the death of a run that could not do so itself; what it had reported stays. `kind`:
    killed, out_of_memory, preempted, lost, exception, illegal or unwritable."""
    status = read_status(run_folder) | {"schema_version": STATUS_SCHEMA, "status": "failed"}
    status |= {"cause": cause, "kind": kind, "ended": time.time()}
    write_json(Path(run_folder) / "status.json", status)


class RunRecord:
    """Writes status.json of one run and keeps its heartbeat while the run is running."""

    def __init__(self, run_folder: Path, run_id: str, **fixed):
        self.folder = Path(run_folder)
        self._lock = threading.Lock()
        self._status = {
            "schema_version": STATUS_SCHEMA,
            "run_id": run_id,
            "status": "running",
            "cause": None,
            "started": time.time(),
            "ended": None,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "kind": None,
            "attempts": 1 + (read_status(self.folder).get("attempts") or 0),
            **started_by(),
            **fixed,
        }

    def update(self, **changes) -> None:
        """Change some keys and write the file with a fresh heartbeat."""
        with self._lock:
            self._status |= changes
            self._write()

    def beat(self) -> None:
        with self._lock:
            if self._status["status"] == "running":
                self._write()

    def end(self, status: str, cause: str | None = None) -> None:
        """Record how the run ended (or stopped) and give the claim back."""
        self.update(status=status, cause=cause, ended=time.time())
        release(self.folder)

    def _write(self) -> None:
        self._status["heartbeat"] = time.time()
        write_json(self.folder / "status.json", self._status)


class Heartbeat:
    """A thread that beats for some records while the main thread computes, and calls `on_orphan`
    once process `launcher`, the parent, is gone (None: there is no such parent)."""

    def __init__(self, records: list[RunRecord], launcher: int | None = None, on_orphan=lambda: None):
        self._records = records
        self._done = threading.Event()
        self._launcher = launcher
        self._on_orphan = on_orphan
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        passed = 0.0
        while not self._done.wait(1.0):
            passed += 1.0
            if self._launcher not in (None, os.getppid()):
                self._on_orphan()
            if passed % BEAT_EVERY == 0:
                for record in self._records:
                    with contextlib.suppress(Exception):  # a full disk must not end a run between saves
                        record.beat()


def _own_claim_file(run_folder: Path) -> TextIO:
    """The open claim.json, for this process alone until it is closed: of two that see the same
    dead claim only one takes it over. The kernel ends the lock of a process that dies."""
    path = run_folder / "claim.json"
    while True:
        try:
            run_folder.mkdir(parents=True, exist_ok=True)
            file = open(path, "a+")  # noqa: SIM115 (the caller closes it)
        except OSError as refused:
            raise unwritable(path, refused) from None
        fcntl.flock(file, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                file.seek(0)
                return file
        file.close()  # it was given back and removed while we waited


def started_by() -> dict:
    """Which launcher started this process, and as which job of its cluster; None by hand."""
    known = {"launcher": None, "job": None}
    with contextlib.suppress(ValueError, AttributeError):
        told = json.loads(os.environ.get("CRLSCALE_JOB", ""))
        known = {key: told.get(key) for key in known}
    return known


def _me() -> dict:
    return {"pid": os.getpid(), "host": socket.gethostname(), "born": _born(os.getpid())}


def _parse(text: str) -> dict | None:
    """A claim file's content; None if it is empty or was cut short by a kill."""
    with contextlib.suppress(ValueError):
        data = json.loads(text)
        if isinstance(data, dict) and data.keys() >= {"pid", "host", "born"}:
            return data
    return None


def _words(holder: dict) -> str:
    return f"process {holder['pid']} on {holder['host']}"


def _alive(holder: dict, run_folder: Path) -> bool:
    """A process of this host is looked up. One of another host, or of a time before the clock was
    set (its start seems to differ then), counts as alive while its heartbeat is fresh."""
    if holder["host"] == socket.gethostname():
        born = _born(holder["pid"])
        if born is None or born == holder["born"]:
            return born is not None
    claimed = (run_folder / "claim.json").stat().st_mtime
    beat = max(claimed, read_status(run_folder).get("heartbeat", 0.0))
    return time.time() - beat < LOST_AFTER_SECONDS


def _born(pid: int) -> float | None:
    """When process `pid` started: tells a process from a later one with the same number."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return None
