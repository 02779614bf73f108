"""What did a run of each level cost: time, memory, FLOPs, as measured by its own rows?"""

from dataclasses import dataclass

import numpy as np

from crlscale.cost import train_flops
from crlscale.score import CellScore, StudyScores


@dataclass(frozen=True)
class RunCost:
    """One complete run. `hours` of training and `compile_seconds` are those of its program by the
    runs that shared it; `memory_bytes` is the peak of its process. None: not measured."""

    run_id: str
    seed: int
    hours: float | None
    memory_bytes: float | None
    compile_seconds: float | None


@dataclass(frozen=True)
class CellCost:
    """The complete runs of one cell, and the dense FLOPs of one, counted from the config."""

    cell: CellScore
    flops: float
    runs: tuple[RunCost, ...]

    def known(self, cost: str) -> np.ndarray:
        """The values of `cost` (a field of RunCost) that were measured, one a run."""
        values = [getattr(run, cost) for run in self.runs]
        return np.array([value for value in values if value is not None], dtype=float)

    def median(self, cost: str) -> float | None:
        """Median of `cost` over the runs; None where nothing was measured."""
        known = self.known(cost)
        return float(np.median(known)) if len(known) else None


@dataclass(frozen=True)
class Costs:
    """The costs of a study's cells along `axis`; `lines` maps the levels of the other axes to the
    cells by rising level of `axis`. `devices` are the devices that the runs name."""

    study: str
    axis: str
    others: tuple[str, ...]
    lines: dict[tuple, tuple[CellCost, ...]]
    threads: int

    @property
    def cells(self) -> tuple[CellCost, ...]:
        return tuple(cell for line in self.lines.values() for cell in line)

    @property
    def sentence(self) -> str:
        """How the cost of the dearest level compares with that of the cheapest."""
        line = next(iter(self.lines.values()))
        if len(self.lines) == len(self.cells) > 1:
            return f"No two cells differ in {self.axis.replace('_', ' ')} alone."
        hours = [(cell.median("hours"), cell.cell.levels[self.axis]) for cell in line]
        hours = [(value, level) for value, level in hours if value]
        if len(hours) < 2:
            return "Training time was measured at fewer than two levels."
        (low, first), (high, last) = hours[0], hours[-1]
        word = self.axis.replace("_", " ")
        return (
            f"A run at {word} {last} trained for {high:.2g} hours, one at {word} {first} for"
            f" {low:.2g} (medians, {self.threads} thread{'s' * (self.threads != 1)});"
            f" that is {high / low:.1f} times as long."
        )


def measure_costs(scores: StudyScores, metrics) -> Costs:
    """The costs along the study's first axis, from the frame of `store.read_metrics`."""
    scores.require_finished()
    axis, *others = scores.study.axes
    rows = dict(iter(metrics.groupby("run_id", sort=False)))
    lines: dict[tuple, list[CellCost]] = {}
    for cell in scores.finished:
        runs = tuple(
            _run(run, rows[run.run_id]) for run in cell.runs if run.status == "complete" and run.hours
        )
        line = lines.setdefault(tuple(cell.levels[other] for other in others), [])
        line.append(CellCost(cell, train_flops(cell.config), runs))
    for line in lines.values():
        line.sort(key=lambda found: _order(found.cell.levels[axis]))
    threads = scores.study.execution.threads
    ordered = {key: tuple(line) for key, line in lines.items()}
    return Costs(scores.study.name, axis, tuple(others), ordered, threads)


def _run(run, frame) -> RunCost:
    memory = _last(frame["peak_memory_bytes"])
    compiled = _last(frame["compile_seconds"])
    sharing = _last(frame["program_runs"]) or 1
    return RunCost(
        run.run_id, run.seed, run.hours, memory, None if compiled is None else compiled / sharing
    )


def _last(column) -> float | None:
    known = column.dropna()
    return float(known.iloc[-1]) if len(known) else None


def _order(level):
    return (0, level, "") if isinstance(level, int | float) else (1, 0, str(level))
