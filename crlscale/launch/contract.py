"""What a launcher is: it starts groups of runs somewhere, says which have ended, stops them.

Everything else (what is left to do, retries, progress, exit codes) stands once, in watch.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class LaunchOptions:
    """Where and with what the runs are started. `jobs`: groups at once, None for as many as fit;
    `retries`: how often a group that was killed or lost is started again; `memory` in bytes and
    `minutes` of one group, None for the plan's prediction; `slurm`: more flags of sbatch; `wait`:
    False to submit to Slurm and return; `ray_address`: None for a Ray on this machine."""

    launcher: str = "local"
    jobs: int | None = None
    retries: int = 2
    gpus: int = 0
    memory: float | None = None
    minutes: int | None = None
    partition: str | None = None
    slurm: dict[str, str] = field(default_factory=dict)
    wait: bool = True
    ray_address: str | None = None


@dataclass
class Progress:
    """What is known of the runs, for the display: status.json of every run by run id, which are
    running here or elsewhere, which wait in a queue of a cluster, and whether it is stopping.
    `leaves_jobs`: Ctrl-C ends the watching and not the runs."""

    statuses: dict[str, dict]
    running: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    queued: list[str] = field(default_factory=list)
    stopping: bool = False
    leaves_jobs: bool = False

    def count(self, *words: str) -> int:
        return sum(status["status"] in words for status in self.statuses.values())


@dataclass
class Job:
    """One started group. `id` as the cluster names it, None for a process of this machine;
    `waiting`: not yet running; `lost`: how it ended, for the runs that could not tell;
    `final`: no other try is wanted, since the user cancelled it by the means of the cluster or the
    job has used up its tries by itself."""

    group: list[str]
    id: str | None = None
    waiting: bool = False
    lost: str | None = None
    lost_kind: str = "lost"
    final: bool = False


class Launcher(Protocol):
    """Starts `python -m crlscale run STUDY RUN_ID...` for each group. Used as a context; what is
    left when it closes has been stopped, or stays where `leaves_jobs` is True."""

    leaves_jobs: bool

    def __enter__(self) -> "Launcher": ...

    def __exit__(self, *_) -> None: ...

    def adopt(self) -> list[Job]:
        """Jobs that an earlier launcher of this study has left waiting or running."""

    def free(self) -> int:
        """How many more groups it would start now."""

    def start(self, groups: list[list[str]]) -> Iterator[Job]:
        """Start a job for each group; yields each as soon as it is started."""

    def ended(self) -> list[Job]:
        """Jobs that have ended since the last call, each reported once."""

    def stop(self, number: int) -> None:
        """Ask every job to save and stop, as by signal `number`."""

    def kill(self) -> None:
        """End every job at once, and wait for that."""
