"""The one command line that every launcher starts, `python -m crlscale run STUDY RUN_ID...`, and
the record of a death that it could not tell of itself."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from crlscale.claim import held
from crlscale.files import unwritable
from crlscale.record import FINISHED, read_status, record_failure

LAST_LINES = 5
EXIT_REFUSED = 2  # a CrlscaleError
STOPPED = (75, 130)


@dataclass
class Child:
    """A started group: its process, when it was started [unix s], how many processes of this
    machine had been killed for want of memory by then (None: not known), and by which signal it
    has been asked to stop."""

    folder: Path
    group: list[str]
    process: subprocess.Popen
    began: float
    memory_kills: int | None
    asked: int | None = None

    def ask(self, number: int) -> None:
        """Ask it by signal `number` to save and stop."""
        self.asked = number
        self.process.send_signal(number)


def start_child(
    folder: Path,
    group: list[str],
    launcher: str,
    job: str | None = None,
    cores: Sequence[int] = (),
    gpus: Sequence[str] = (),
) -> Child:
    """Start the group as a child of this process, on `cores` and `gpus` if given, its output appended
    to log.txt of its first run. It stops by itself when this process dies. A folder that refuses is
    a CrlscaleError."""
    folder = Path(folder).resolve()
    command = [sys.executable, "-m", "crlscale", "run", str(folder), *group]
    environment = {**os.environ, "CRLSCALE_JOB": json.dumps({"launcher": launcher, "job": job})}
    environment.setdefault("CRLSCALE_DISTRIBUTED", "0")  # a child trains its own runs, even under srun
    if cores:
        environment["CRLSCALE_CPUS"] = ",".join(map(str, cores))
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    began, kills = time.time(), memory_kills()
    with _open_log(folder, group) as log:
        process = subprocess.Popen(
            [*command, f"--launcher={os.getpid()}"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,  # the terminal's Ctrl-C reaches the launcher only
        )
    return Child(folder, list(group), process, began, kills)


def record_death(child: Child) -> None:
    """After the child has ended: record the failure of each of its runs that did not record how
    it ended. Runs that another process works on are its own business; a child that was asked to
    stop before it had begun has not failed; runs that were to come after the one that killed it
    have not begun."""
    code = child.process.returncode
    if child.asked is not None and code in (-child.asked, *STOPPED):
        return
    statuses = [read_status(child.folder / "runs" / run_id) for run_id in child.group]
    has_begun = any((status.get("started") or 0) >= child.began for status in statuses)
    for run_id in child.group:
        run_folder = child.folder / "runs" / run_id
        status = read_status(run_folder)
        told = status["status"] in ("failed", "stopped") and (status.get("ended") or 0) >= child.began
        if told or status["status"] in FINISHED or held(run_folder):
            continue
        if has_begun and (status.get("started") or 0) < child.began:
            continue
        kind, cause = _cause(child, code, status)
        record_failure(run_folder, cause, kind=kind)


def memory_kills() -> int | None:
    """How many processes the kernel has killed for want of memory: in this control group where
    that is counted, else on this machine; None where it is not told."""
    for path in (_own_cgroup() / "memory.events", Path("/proc/vmstat")):
        try:
            lines = path.read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            name, _, number = line.partition(" ")
            if name == "oom_kill":
                return int(number)
    return None


def last_log_lines(folder: Path, group: list[str]) -> str:
    """The last lines that the group said, as one line; at most 300 characters."""
    try:
        text = (folder / "runs" / group[0] / "log.txt").read_bytes()[-4000:].decode(errors="replace")
    except OSError:
        return "no output"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-LAST_LINES:])[-300:] if lines else "no output"


def _cause(child: Child, code: int, status: dict) -> tuple[str, str]:
    """Kind of the failure and its words."""
    said = last_log_lines(child.folder, child.group)
    if code == EXIT_REFUSED:
        return "illegal", f"exit code {code}: {said}"
    if code >= 0:
        return "exception", f"exit code {code}: {said}"
    held_bytes = status.get("peak_memory_bytes") if status["status"] == "running" else None
    memory = f"; {held_bytes / 1e9:.1f} GB at its last heartbeat" if held_bytes else ""
    now = memory_kills()
    if code == -9 and None not in (now, child.memory_kills) and now > child.memory_kills:
        return "out_of_memory", f"killed for want of memory (signal 9){memory}; last: {said}"
    return "killed", f"killed by signal {-code}{memory}; last: {said}"


def _own_cgroup() -> Path:
    try:
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            if line.startswith("0::"):
                return Path("/sys/fs/cgroup") / line[3:].strip().lstrip("/")
    except OSError:
        pass
    return Path("/sys/fs/cgroup")


def _open_log(folder: Path, group: list[str]) -> BinaryIO:
    path = folder / "runs" / group[0] / "log.txt"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "ab")
    except OSError as refused:
        raise unwritable(path, refused) from None
