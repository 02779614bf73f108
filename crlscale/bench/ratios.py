"""Programs that do the same job, timed in turn on the same core: A B A B ..., and their ratios."""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MEASURED_SECONDS = 1.0  # of one turn at least, where a job is shorter
REPEATS = 3  # without a peer; the fastest counts: other work on the machine only ever slows one down


@dataclass(frozen=True)
class Job:
    """What was done: `part` is update, sampler or phase, in seconds of CPU time for one update, for all
    batches of one sampling, or for one phase. None where a part does not know the setting."""

    part: str
    env: str | None = None
    depth: int | None = None
    width: int | None = None
    batch_size: int | None = None
    num_envs: int | None = None


@dataclass(frozen=True)
class Side:
    """One program: `seconds(times)` does the job so many times and tells the CPU time that it took
    (`by_cpu_time` makes one); None of what was not measured."""

    seconds: Callable[[int], float]
    compile_seconds: float | None = None
    temporary_bytes: int | None = None


@dataclass(frozen=True)
class Ratio:
    """Ours beside a peer: medians of the rounds, and the peer's seconds over ours of each round."""

    job: Job
    peer: str
    precision: str
    seconds: float
    peer_seconds: float
    ratios: tuple[float, ...]
    ours: Side
    theirs: Side

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    def as_row(self) -> dict:
        """Its columns (crlscale/bench/columns.py)."""
        return {
            **vars(self.job),
            "peer": self.peer,
            "precision": self.precision,
            "seconds": self.seconds,
            "peer_seconds": self.peer_seconds,
            "ratio": self.ratio,
            "ratio_low": min(self.ratios),
            "ratio_high": max(self.ratios),
            "rounds": len(self.ratios),
            "compile_seconds": self.ours.compile_seconds,
            "peer_compile_seconds": self.theirs.compile_seconds,
            "temporary_megabytes": _mega(self.ours.temporary_bytes),
            "peer_temporary_megabytes": _mega(self.theirs.temporary_bytes),
        }


def compare(
    job: Job, peer: str, ours: dict[str, Side], theirs: Side, rounds: int, least: float | None = None
) -> list[Ratio]:
    """Each of `ours`, by its precision, beside the peer. A turn lasts `least` seconds or one job."""
    sides = {**ours, peer: theirs}
    seconds = in_turn(
        [side.seconds for side in sides.values()], rounds, MEASURED_SECONDS if least is None else least
    )
    taken = dict(zip(sides, seconds, strict=True))
    return [
        Ratio(
            job,
            peer,
            precision,
            statistics.median(taken[precision]),
            statistics.median(taken[peer]),
            tuple(b / a for a, b in zip(taken[precision], taken[peer], strict=True)),
            side,
            theirs,
        )
        for precision, side in ours.items()
    ]


def in_turn(sides: Sequence[Callable[[int], float]], rounds: int, least: float) -> list[list[float]]:
    """Seconds that one job takes each of `sides` in each round. The first job of all, which warms the
    caches, is not counted; the second says how many make a turn."""
    times = []
    for seconds in sides:
        seconds(1)
        times.append(max(1, math.ceil(least / max(seconds(1), 1e-4))))
    taken = [[one(n) / n for one, n in zip(sides, times, strict=True)] for _ in range(rounds)]
    return [list(one) for one in zip(*taken, strict=True)]


def by_cpu_time(run: Callable[[int], object]) -> Callable[[int], float]:
    """`run(times)` in this process, as seconds of its CPU time, which other processes do not inflate."""

    def seconds(times):
        began = time.process_time()
        run(times)
        return time.process_time() - began

    return seconds


def _mega(count: int | None) -> float | None:
    return None if count is None else count / 1e6
