"""Local launcher: one fresh process a group of runs, a core or more each, nothing shared."""

import itertools
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from crlscale.cost import free_memory, memory_bytes
from crlscale.device import usable_cores
from crlscale.errors import CrlscaleError
from crlscale.fit import require_fit
from crlscale.launch.child import Child, record_death, start_child
from crlscale.launch.contract import Job
from crlscale.study import Study


def visible_gpus() -> list[str]:
    """The GPUs that a process started here would see: those that CUDA_VISIBLE_DEVICES names, else all
    that the system has from NVIDIA."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return list(itertools.takewhile(lambda name: name != "-1", filter(None, named.split(","))))
    return [str(number) for number in range(len(list(Path("/dev").glob("nvidia[0-9]*"))))]


def choose_jobs(study: Study, jobs: int | None, gpus: int = 0) -> int:
    """How many processes at once: as asked, else as many as cores, free memory and `gpus` for each allow.

    A program that does not fit into this machine's memory is a CrlscaleError that names the run and
    the field that makes it so; so is a number of GPUs that is not there."""
    threads, free = study.execution.threads, free_memory()
    need = require_fit(study, memory_bytes, free, "are free")
    check_jobs(jobs)
    fit = max(1, min(len(usable_cores()) // threads, int(free // need)))
    if not gpus:
        return jobs or fit
    there = len(visible_gpus())
    if gpus * (jobs or 1) > there:
        raise CrlscaleError(
            f"{jobs or 1} processes of {gpus} GPUs each: this process sees {there}",
            value=gpus,
            remedy=f"--gpus {gpus} --jobs {there // gpus}" if there >= gpus else "no --gpus",
        )
    return jobs or min(fit, there // gpus)


def check_jobs(jobs: int | None) -> None:
    """A CrlscaleError for less than one process."""
    if jobs is not None and jobs < 1:
        raise CrlscaleError(f"--jobs {jobs}: at least one process", value=jobs, remedy="--jobs 1")


@dataclass
class _Worker:
    job: Job
    child: Child
    slot: int


class LocalLauncher:
    """`jobs` processes on this machine, each pinned to cores of its own as long as there are enough,
    and with `gpus` GPUs of its own (0: each sees all)."""

    leaves_jobs = False

    def __init__(self, folder: Path, study: Study, jobs: int, gpus: int = 0):
        self.folder, self.threads, self.jobs = Path(folder), study.execution.threads, jobs
        self.gpus = gpus
        self.workers: list[_Worker] = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def adopt(self) -> list[Job]:
        return []

    def free(self) -> int:
        return self.jobs - len(self.workers)

    def start(self, groups: list[list[str]]) -> Iterator[Job]:
        for group in groups:
            slot = min(set(range(self.jobs)) - {worker.slot for worker in self.workers})
            cores = usable_cores()
            mine = [cores[(slot * self.threads + i) % len(cores)] for i in range(self.threads)]
            gpus = visible_gpus()[slot * self.gpus : (slot + 1) * self.gpus]
            child = start_child(self.folder, group, "local", cores=mine, gpus=gpus)
            self.workers.append(_Worker(Job(group), child, slot))
            yield self.workers[-1].job

    def ended(self) -> list[Job]:
        ended = [worker for worker in self.workers if worker.child.process.poll() is not None]
        self.workers = [worker for worker in self.workers if worker not in ended]
        for worker in ended:
            try:
                record_death(worker.child)
            except CrlscaleError as refused:  # a full disk; the others go on and save
                print(f"error: {refused}", file=sys.stderr)
        return [worker.job for worker in ended]

    def stop(self, number: int) -> None:
        for worker in self.workers:
            worker.child.ask(number)

    def kill(self) -> None:
        for worker in self.workers:
            worker.child.process.kill()
            worker.child.process.wait()
