"""Local launcher: one fresh process a group of runs, a core or more each, nothing shared.

A process that dies takes no other with it. Ctrl-C and SIGTERM reach the runs as a request to
save and stop at their next chunk; a second Ctrl-C kills them. Runs that another crlscale is
working on are waited for, not repeated.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from crlscale.cost import free_memory, memory_bytes, run_seconds
from crlscale.errors import CrlscaleError
from crlscale.files import unwritable
from crlscale.record import FINISHED, held, read_status, record_failure
from crlscale.stop import EXIT_STOPPED, StopRequest
from crlscale.study import Study

POLL_SECONDS = 0.5


@dataclass
class Progress:
    """What the launcher knows, for the display: status.json of every run by run id, which are
    running here or elsewhere, and whether it is stopping."""

    statuses: dict[str, dict]
    running: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    stopping: bool = False

    def count(self, *words: str) -> int:
        return sum(status["status"] in words for status in self.statuses.values())


@dataclass
class _Worker:
    group: list[str]
    process: subprocess.Popen
    slot: int


def usable_cores() -> list[int]:
    """The cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def choose_jobs(study: Study, jobs: int | None) -> int:
    """How many processes at once: as asked, else as many as cores and free memory allow.

    A program that does not fit into this machine's memory is a CrlscaleError that names it."""
    threads, seeds = study.execution.threads, study.execution.seeds_per_program
    needs = {run_id: memory_bytes(config, seeds) for run_id, config in study.configs.items()}
    largest, need = max(needs.items(), key=lambda item: item[1])
    free = free_memory()
    if need > free:
        raise CrlscaleError(
            f"{largest} needs about {need / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free",
            value=largest,
            remedy="a smaller depth, width or batch size, --set replay_capacity=1000 or --set num_envs=64",
        )
    if jobs is not None and jobs < 1:
        raise CrlscaleError(f"--jobs {jobs}: at least one process", value=jobs, remedy="--jobs 1")
    return jobs or max(1, min(len(usable_cores()) // threads, int(free // need)))


class LocalLauncher:
    """Runs the groups of a study in `jobs` processes; `report` is called twice a second."""

    def __init__(self, folder: Path, study: Study, jobs: int, report: Callable[[Progress], None]):
        self.folder, self.study, self.jobs, self.report = Path(folder), study, jobs, report
        self.progress = Progress({run_id: self._status(run_id) for run_id in study.configs})
        self.workers: list[_Worker] = []
        # The longest first: a short run at the end leaves no core idle for long.
        groups = [g for g in map(self._unfinished, study.groups) if g]
        self.queue = sorted(groups, key=lambda g: -sum(run_seconds(study.configs[i]) for i in g))

    def run(self) -> int:
        """Until every run has ended; 0 if all finished, 1 if some failed, 75 or 130 if stopped."""
        self.report(self.progress)  # as it stands before anything is started
        with StopRequest(patient=True) as stop:
            try:
                while self.queue or self.workers:
                    if stop.wanted is not None:
                        return self._stop(stop)
                    self._start_some()
                    self._wait()
            except BaseException:
                stop.wanted = stop.wanted or signal.SIGTERM
                self._stop(stop)
                raise
        if self.progress.count("failed"):
            return 1
        return EXIT_STOPPED if self.progress.count("stopped") else 0

    # --- one turn ---------------------------------------------------------------------------
    def _start_some(self) -> None:
        waiting, self.progress.elsewhere = self.queue, []
        self.queue = []
        for group in waiting:
            group = self._unfinished(group)
            if any(held(self._run_folder(run_id)) for run_id in group):
                self.progress.elsewhere += group
                self.queue.append(group)
            elif group and len(self.workers) < self.jobs:
                self._start(group)
            elif group:
                self.queue.append(group)

    def _start(self, group: list[str]) -> None:
        threads, cores = self.study.execution.threads, usable_cores()
        slot = min(set(range(self.jobs)) - {worker.slot for worker in self.workers})
        mine = [cores[(slot * threads + i) % len(cores)] for i in range(threads)]
        environment = {**os.environ, "CRLSCALE_CPUS": ",".join(map(str, mine))}
        with self._open_log(group) as log:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "crlscale",
                    "run",
                    str(self.folder.resolve()),
                    *group,
                    f"--launcher={os.getpid()}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,  # the terminal's Ctrl-C reaches the launcher only
            )
        self.workers.append(_Worker(group, process, slot))

    def _wait(self) -> None:
        time.sleep(POLL_SECONDS)
        for worker in list(self.workers):
            if worker.process.poll() is not None:
                self.workers.remove(worker)
                self._ended(worker)
        self._refresh()

    def _ended(self, worker: _Worker) -> None:
        code = worker.process.returncode
        if any(held(self._run_folder(run_id)) for run_id in worker.group):
            self.queue.append(worker.group)  # another crlscale was first: wait for it
            return
        for run_id in worker.group:
            folder = self._run_folder(run_id)
            if self._status(run_id)["status"] in (*FINISHED, "failed", "stopped"):
                continue
            if code < 0:
                cause = f"killed by signal {-code}" + (" (out of memory?)" if code == -9 else "")
            else:
                cause = f"exit code {code}: {self._last_log_line(worker.group)}"
            record_failure(folder, cause)

    def _refresh(self) -> None:
        progress = self.progress
        progress.running = [run_id for worker in self.workers for run_id in worker.group]
        for run_id, status in progress.statuses.items():
            if status["status"] not in FINISHED:
                progress.statuses[run_id] = self._status(run_id)
        self.report(progress)

    # --- stopping -----------------------------------------------------------------------------
    def _stop(self, stop: StopRequest) -> int:
        """Ask every process to save and stop, wait for them; on a second Ctrl-C kill them."""
        self.progress.stopping = True
        for worker in self.workers:
            worker.process.send_signal(stop.wanted)
        while any(worker.process.poll() is None for worker in self.workers) and not stop.insisted:
            time.sleep(POLL_SECONDS)
            self._refresh()
        for worker in self.workers:
            worker.process.kill()
            worker.process.wait()
        return stop.exit_code

    # --- the folder -----------------------------------------------------------------------------
    def _run_folder(self, run_id: str) -> Path:
        return self.folder / "runs" / run_id

    def _status(self, run_id: str) -> dict:
        return read_status(self._run_folder(run_id))

    def _unfinished(self, group: list[str]) -> list[str]:
        return [run_id for run_id in group if self._status(run_id)["status"] not in FINISHED]

    def _open_log(self, group: list[str]) -> BinaryIO:
        path = self._run_folder(group[0]) / "log.txt"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return open(path, "ab")
        except OSError as refused:
            raise unwritable(path, refused) from None

    def _last_log_line(self, group: list[str]) -> str:
        text = (self._run_folder(group[0]) / "log.txt").read_bytes()[-2000:].decode(errors="replace")
        lines = [line for line in text.splitlines() if line.strip()]
        return lines[-1][:300] if lines else "no output"
