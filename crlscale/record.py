"""The record of one run on disk: where it stands, how it ended, how often it began.

status.json is what is true now: planned, running, stopped (resumable), complete, diverged (finished
too), failed with its cause and kind. A running run whose heartbeat is older than LOST_AFTER_SECONDS
is lost and may be claimed by another process (crlscale.claim). history.jsonl has a line for every
start and every end of the run, and is only ever added to.
"""

import contextlib
import json
import os
import socket
import threading
import time
from pathlib import Path

import crlscale
from crlscale import parquet
from crlscale.claim import release, taken_over
from crlscale.errors import CrlscaleError
from crlscale.files import Damaged
from crlscale.store import FINISHED as FINISHED
from crlscale.store import STATUS_SCHEMA, read_run_status, write_json

BEAT_EVERY = 10.0

# why a run failed
KINDS = ("killed", "preempted", "lost", "out_of_memory", "exception", "illegal", "unwritable")


def read_status(run_folder: Path) -> dict:
    """status.json of a run, or {"status": "planned"} if it has none. A run that has a damaged one and
    has not finished counts as failed: it is tried again."""
    try:
        return read_run_status(run_folder)
    except Damaged as damage:
        return {"status": "failed", "kind": "lost", "cause": damage.message}


def record_failure(run_folder: Path, cause: str, kind: str = "exception") -> None:
    """Record the death of a run that could not do so itself; what it had reported stays. `kind` is
    one of KINDS."""
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r} is none of {', '.join(KINDS)}")
    status = read_status(run_folder)
    ended = {"status": "failed", "cause": cause, "kind": kind, "ended": time.time()}
    path = Path(run_folder) / "status.json"
    write_json(path, {**status, "schema_version": STATUS_SCHEMA, **ended})
    add_history(run_folder, "failed", cause=cause, kind=kind, attempts=status.get("attempts"))


def add_history(run_folder: Path, event: str, **facts) -> None:
    """One line of history.jsonl, in one write; a disk that refuses loses the line, not the run."""
    line = {"time": time.time(), "event": event, "pid": os.getpid(), **facts}
    with contextlib.suppress(OSError):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        file = os.open(Path(run_folder) / "history.jsonl", flags, 0o644)
        try:
            os.write(file, (json.dumps(parquet.finite(line)) + "\n").encode())
        finally:
            os.close(file)


class RunRecord:
    """Writes status.json of one run and keeps its heartbeat while the run is running."""

    def __init__(self, run_folder: Path, run_id: str, **fixed):
        self.folder = Path(run_folder)
        self._lock = threading.Lock()
        before = read_status(self.folder)
        self._status = {
            "schema_version": STATUS_SCHEMA,
            "run_id": run_id,
            "status": "running",
            "cause": None,
            "kind": None,
            "attempts": (before.get("attempts") or 0) + 1,
            **started_by(),
            "started": time.time(),
            "ended": None,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "code_version": crlscale.__version__,
            **fixed,
        }
        self._before = before

    def begin(self) -> None:
        """Write the first status and the line of history that an attempt begins."""
        self.update(started=time.time())
        known = ("attempts", "launcher", "job", "host", "code_version")
        facts = {key: self._status[key] for key in known}
        add_history(self.folder, "started", was=self._before["status"], **facts)

    def resumed(self, unrolls: int, replay: bool) -> None:
        """Into the history: that this attempt goes on from a checkpoint."""
        attempts = self._status["attempts"]
        add_history(self.folder, "resumed", unrolls=unrolls, replay=replay, attempts=attempts)

    def update(self, **changes) -> None:
        """Change some keys and write the file with a fresh heartbeat; a run that another process
        has taken over is a CrlscaleError."""
        with self._lock:
            self._status |= changes
            self._write()

    def beat(self) -> None:
        with self._lock:
            if self._status["status"] == "running":
                self._write()

    def end(self, status: str, cause: str | None = None, kind: str | None = None) -> None:
        """Record how the run ended (or stopped) and give the claim back."""
        self.update(status=status, cause=cause, kind=kind, ended=time.time())
        facts = {key: self._status.get(key) for key in ("gradient_steps", "attempts")}
        add_history(self.folder, status, cause=cause, kind=kind, **facts)
        release(self.folder)

    def _write(self) -> None:
        if other := taken_over(self.folder):
            run_id = self._status["run_id"]
            raise CrlscaleError(
                f"{run_id} has been taken over by {other}, since this process did not beat for long",
                value=run_id,
                remedy="nothing: it goes on there",
            )
        self._status["heartbeat"] = time.time()
        write_json(self.folder / "status.json", self._status)


class Heartbeat:
    """A thread that beats for some records while the main thread computes, and calls `on_orphan`
    once process `launcher`, the parent, is gone (None or 0: there is no such parent)."""

    def __init__(self, records: list[RunRecord], launcher: int | None = None, on_orphan=lambda: None):
        self._records = records
        self._done = threading.Event()
        self._launcher = launcher or None
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


def started_by() -> dict:
    """Who launched this process and as which job, from CRLSCALE_JOB as a launcher sets it."""
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        job = json.loads(os.environ["CRLSCALE_JOB"]) if "CRLSCALE_JOB" in os.environ else {}
        found = {key: job.get(key) for key in ("launcher", "job")}
        return {key: None if value is None else str(value) for key, value in found.items()}
    return {"launcher": None, "job": None}
