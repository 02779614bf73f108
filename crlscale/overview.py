"""Where every run of a study stands, looked at again and again while others write.

A look reads only the status files that changed since the last one, so it may come every second
over a shared file system. A file that cannot be read is a run in the state `damaged`, never an
error of the look."""

import math
import os
import time
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from crlscale.cost import train_flops
from crlscale.errors import CrlscaleError
from crlscale.remaining import Remaining
from crlscale.store import LOST_AFTER_SECONDS, damage_of, is_lost, read_run_status
from crlscale.study import load_study

# every state that a run can be seen in, the worst first
STATES = ("failed", "damaged", "lost", "diverged", "running", "stopped", "planned", "complete")
FAILING = STATES[:3]


@dataclass(frozen=True)
class CellState:
    """The runs of one combination of levels: their states in order of the seeds; `done`, the mean
    share of their training; mean of the last scores; updates/s and seconds left of the running."""

    levels: tuple
    run_ids: tuple[str, ...]
    states: tuple[str, ...]
    done: float
    time_at_goal: float | None
    updates_per_second: float | None
    seconds_left: float | None

    @property
    def urgency(self) -> int:
        """0 for cells that somebody should look at, then those at work, then the rest."""
        words = set(self.states)
        for rank, wanted in enumerate((FAILING, ("running",), ("stopped",))):
            if words.intersection(wanted):
                return rank
        if "planned" in words:
            return 5 if words == {"planned"} else 3
        return 4 if "diverged" in words else 6


class Overview:
    """The study in `folder`. `runs` maps run ids to their status.json as far as it is there; the
    key "status" is always one of STATES."""

    def __init__(self, folder: Path):
        self.folder, self.study = Path(folder), load_study(folder)
        self.runs: dict[str, dict] = {}
        self.looked = 0.0
        self._marks: dict[str, tuple | None] = {}
        self._read: dict[str, dict] = {}
        self._moved: dict[str, float] = {}  # when we saw a file change, by our own clock

    def look(self, now: float | None = None) -> int:
        """Bring `runs` up to date; returns how many files were read. `now`: unix seconds."""
        self.looked = time.time() if now is None else now
        read = 0
        for run_id in self.study.configs:
            folder = f"{self.folder}/runs/{run_id}"
            mark = _mark(f"{folder}/status.json")
            if run_id not in self._read or mark != self._marks[run_id]:
                if run_id in self._read:
                    self._moved[run_id] = time.monotonic()
                self._read[run_id] = _status(folder)
                damaged = self._read[run_id]["status"] == "damaged"
                self._marks[run_id] = _AGAIN if damaged else mark
                read += 1
            status = self._read[run_id]
            lost = is_lost(status, self.looked) and not self._seen_moving(run_id)
            self.runs[run_id] = {**status, "status": "lost"} if lost else status
        return read

    def _seen_moving(self, run_id: str) -> bool:
        """Whether a run wrote while we watched, whatever its host's clock says."""
        return time.monotonic() - self._moved.get(run_id, -math.inf) < LOST_AFTER_SECONDS

    @property
    def counts(self) -> dict[str, int]:
        """Runs by state; the states in the order of STATES, without those that no run has."""
        counts = Counter(status["status"] for status in self.runs.values())
        return {word: counts[word] for word in STATES if counts[word]}

    @property
    def cells(self) -> list[CellState]:
        """In the order of the plan."""
        return [self._cell(levels, run_ids) for levels, run_ids in self.study.cells.items()]

    def named(self, *words: str) -> list[str]:
        """Run ids in these states, in the order of the plan."""
        return [run_id for run_id, status in self.runs.items() if status["status"] in words]

    @property
    def patched(self) -> list[str]:
        """Complete runs of which something had to be made out otherwise: they have a cause."""
        return [run_id for run_id in self.named("complete") if self.runs[run_id].get("cause")]

    @property
    def unstable(self) -> list[str]:
        """Runs in no worse state than stopped whose training was seen to be unstable."""
        fine = self.named("running", "stopped", "complete")
        return [run_id for run_id in fine if self.runs[run_id].get("instability")]

    def done(self, run_id: str) -> float:
        """Share of a run's training that is behind it; a diverged one has nothing before it."""
        return self._remaining.done(run_id, self.runs[run_id])

    @property
    def share_done(self) -> float:
        """Share of the work of the whole study that is behind it, by FLOPs of training."""
        work = self._remaining.work
        return sum(work[run_id] * self.done(run_id) for run_id in self.runs) / sum(work.values())

    @property
    def seconds_left(self) -> float | None:
        """Until the last run ends if as many go on running as do now. None if none runs or can tell
        its pace."""
        running = self.named("running")
        return self._remaining.seconds(self.runs, len(running)) if running else None

    def _cell(self, levels: tuple, run_ids: list[str]) -> CellState:
        statuses = [self.runs[run_id] for run_id in run_ids]
        running = [status for status in statuses if status["status"] == "running"]
        left = [status["seconds_left"] for status in running if status.get("seconds_left") is not None]
        return CellState(
            levels=levels,
            run_ids=tuple(run_ids),
            states=tuple(status["status"] for status in statuses),
            done=sum(map(self.done, run_ids)) / len(run_ids),
            time_at_goal=_mean(statuses, "time_at_goal"),
            updates_per_second=_mean(running, "updates_per_second"),
            seconds_left=max(left, default=None),
        )

    @cached_property
    def _remaining(self) -> Remaining:
        return Remaining(self.study, train_flops)


def log_tail(overview: Overview, run_id: str, lines: int) -> list[str]:
    """The last lines of a run's log, or of the log of the program that it shared; [] without one."""
    group = next((group for group in overview.study.groups if run_id in group), [run_id])
    for name in dict.fromkeys((run_id, group[0])):
        try:
            with open(overview.folder / "runs" / name / "log.txt", "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - 20_000))
                text = file.read().decode(errors="replace")
        except OSError:
            continue
        return [line for line in text.splitlines() if line.strip()][-lines:]
    return []


_AGAIN = ("read it again",)  # the mark of no file


def _mark(path: str) -> tuple | None:
    """What changes when the file is replaced; None while there is none."""
    try:
        stat = os.stat(path)
    except FileNotFoundError:
        return None
    except OSError:  # reading will tell
        return ()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _status(run_folder: str) -> dict:
    try:
        status = read_run_status(run_folder)
    except CrlscaleError as error:
        if not os.path.exists(f"{run_folder}/status.json"):  # removed between two looks
            return {"status": "planned"}
        return {"status": "damaged", "cause": f"{error.message}; try: {error.remedy}"}
    if damage := damage_of(run_folder, status):
        return {**status, "status": "damaged", "cause": damage}
    if status.get("status") not in STATES:
        return {
            "status": "damaged",
            "cause": f"{run_folder}/status.json: state {status.get('status')!r}",
        }
    return status


def _mean(statuses: list[dict], field: str) -> float | None:
    known = [status[field] for status in statuses if status.get(field) is not None]
    return sum(known) / len(known) if known else None
