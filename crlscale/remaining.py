"""Time left of a study, from what its runs say: one estimate for a sweep's table and for status."""

from collections.abc import Callable
from statistics import fmean

from crlscale.config import RunConfig
from crlscale.store import FINISHED
from crlscale.study import Study

ENDED = (*FINISHED, "failed")


class Remaining:
    """How far the runs of `study` are and how long the rest takes. `weigh` tells the work of a run, in
    any unit: it is asked once a cell and spreads the pace of known cells over the others."""

    def __init__(self, study: Study, weigh: Callable[[RunConfig], float]):
        self._configs = study.configs
        self._cell_of = {i: levels for levels, run_ids in study.cells.items() for i in run_ids}
        self.work: dict[str, float] = {}
        for run_ids in study.cells.values():
            self.work |= dict.fromkeys(run_ids, weigh(study.configs[run_ids[0]]))

    def done(self, run_id: str, status: dict) -> float:
        """Share of a run's training that is behind it; a diverged one has nothing before it."""
        if status["status"] in FINISHED:
            return 1.0
        total = status.get("total_env_steps") or self._configs[run_id].total_env_steps
        return min(1.0, (status.get("env_steps") or 0) / total)

    def seconds(
        self, statuses: dict[str, dict], at_once: int, guess: float | None = None
    ) -> float | None:
        """Until the last run ends with `at_once` of them at a time: the work left at the pace of the
        runs that can tell theirs, by their work for cells without one. Where none can: `guess`
        seconds a unit of work, None without."""
        paces = {
            i: pace for i, status in statuses.items() if (pace := self._pace(i, status)) is not None
        }
        by_cell: dict[tuple, list[float]] = {}
        for run_id, pace in paces.items():
            by_cell.setdefault(self._cell_of[run_id], []).append(pace)
        unit = sum(paces.values()) / sum(self.work[i] for i in paces) if paces else guess
        if unit is None:
            return None
        left, longest = 0.0, 0.0
        for run_id, status in statuses.items():
            if status["status"] not in ENDED:
                known = by_cell.get(self._cell_of[run_id])
                whole = fmean(known) if known else unit * self.work[run_id]
                mine = whole * (1.0 - self.done(run_id, status))
                left, longest = left + mine, max(longest, mine)
        return max(left / max(1, at_once), longest)

    def _pace(self, run_id: str, status: dict) -> float | None:
        """Seconds that a whole run like this one takes: as it took, or as it says of the rest."""
        started, ended = status.get("started"), status.get("ended")
        if status["status"] == "complete" and started and ended and status.get("attempts") in (None, 1):
            return max(0.0, ended - started)
        left, share = status.get("seconds_left"), self.done(run_id, status)
        if status["status"] == "running" and isinstance(left, int | float) and 0 < share < 1:
            return left / (1.0 - share)
        return None
