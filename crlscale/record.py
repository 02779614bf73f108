"""The record of one run on disk: who has claimed it, where it stands, how it ended.

status: planned, running, stopped (resumable), complete, diverged (finished too), failed. A running
run whose heartbeat is older than LOST_AFTER_SECONDS is lost and may be claimed by another process.
"""

import contextlib
import json
import os
import socket
import threading
import time
from pathlib import Path

import psutil

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
    run_folder.mkdir(parents=True, exist_ok=True)
    path = run_folder / "claim.json"
    while True:
        mine = {"pid": os.getpid(), "host": socket.gethostname(), "born": _born(os.getpid())}
        try:
            with open(path, "x") as file:  # exclusive: of two processes only one gets here
                json.dump(mine, file)
            return None
        except FileExistsError:
            holder = _holder(path)
            if holder is not None and _alive(holder, path, run_folder):
                return f"process {holder['pid']} on {holder['host']}"
            # A dead claim: the one process that renames it away may go on to claim anew.
            with contextlib.suppress(FileNotFoundError):
                os.rename(path, path.with_name(f"claim.dead-{os.getpid()}"))
                os.unlink(path.with_name(f"claim.dead-{os.getpid()}"))


def release(run_folder: Path) -> None:
    """Give a claim of this process back."""
    (Path(run_folder) / "claim.json").unlink(missing_ok=True)


def held(run_folder: Path) -> str | None:
    """Who has claimed a run and is alive, or None; claims nothing."""
    path = Path(run_folder) / "claim.json"
    holder = _holder(path)
    if holder is None or not _alive(holder, path, Path(run_folder)):
        return None
    return f"process {holder['pid']} on {holder['host']}"


def record_failure(run_folder: Path, cause: str) -> None:
    """Record the death of a run that could not do so itself; what it had reported stays."""
    status = read_status(run_folder)
    now = time.time()
    write_json(
        Path(run_folder) / "status.json",
        {**status, "schema_version": STATUS_SCHEMA, "status": "failed", "cause": cause, "ended": now},
    )


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
    """A thread that beats for some records while the main thread computes."""

    def __init__(self, records: list[RunRecord], on_orphan=lambda: None):
        self._records = records
        self._done = threading.Event()
        self._parent = os.getppid()
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
            if os.getppid() != self._parent:
                self._on_orphan()
            if passed % BEAT_EVERY == 0:
                for record in self._records:
                    with contextlib.suppress(Exception):  # a full disk must not end a run between saves
                        record.beat()


def _holder(path: Path) -> dict | None:
    """Content of a claim file; None if it is gone or was cut short by a kill."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def _alive(holder: dict, path: Path, run_folder: Path) -> bool:
    if holder["host"] == socket.gethostname():
        return _born(holder["pid"]) == holder["born"]
    beat = max(path.stat().st_mtime, read_status(run_folder).get("heartbeat", 0.0))
    return time.time() - beat < LOST_AFTER_SECONDS


def _born(pid: int) -> float | None:
    """When process `pid` started: tells a process from a later one with the same number."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return None
