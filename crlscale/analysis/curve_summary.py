"""How fast does each cell learn, and does it keep what it learned? Numbers of the learning curves.

The area under a curve is the mean score over training, from the first env step to the last. A threshold
is reached where the curve, straight between evaluations, first crosses it. A late collapse is a run whose
last evaluations lie below half of its best mean of three in a row, where that best is at least a tenth of
the best cell's IQM."""

from dataclasses import dataclass

import numpy as np

from crlscale.analysis.learning_curves import Curve, LearningCurves
from crlscale.score import CellScore
from crlscale.stats import Estimate, estimate

SHARES = (0.25, 0.5, 0.75)  # thresholds, of the best cell's IQM, where none is given
COLLAPSE = 0.5
NOTABLE = 0.1
IN_A_ROW = 3


@dataclass(frozen=True)
class Threshold:
    """Env steps until `score` [steps of an episode]: in how many of the runs it was reached, the median
    over all runs (None where fewer than half reached it), and the IQM with its interval where all did."""

    score: float
    reached: int
    runs: int
    median: float | None
    env_steps: Estimate | None


@dataclass(frozen=True)
class Collapse:
    """A run that lost what it had: its best mean of three evaluations in a row, when that was, and where
    it ended [steps]."""

    run_id: str
    peak: float
    peak_env_steps: int
    end: float


@dataclass(frozen=True)
class CurveSummary:
    """One cell. `area` is the mean score over training [steps]; `updates_at_end` and `hours_at_end` what its
    curve ends at (None where not measured)."""

    cell: CellScore
    area: Estimate
    thresholds: tuple[Threshold, ...]
    collapses: tuple[Collapse, ...]
    env_steps_at_end: int
    updates_at_end: int | None
    hours_at_end: float | None


@dataclass(frozen=True)
class CurveSummaries:
    """Every cell with a scored run."""

    study: str
    axes: tuple[str, ...]
    cells: tuple[CurveSummary, ...]

    @property
    def collapses(self) -> tuple[Collapse, ...]:
        return tuple(collapse for cell in self.cells for collapse in cell.collapses)

    @property
    def sentence(self) -> str:
        best = max(self.cells, key=lambda cell: cell.area.value)
        area = f"{best.area.value:.1f} steps on average over training"
        text = f"Largest area under the curve at {best.cell.where}: {area}"
        if best.area.low is not None:
            text += f" (95 % interval {best.area.low:.1f} to {best.area.high:.1f})"
        middle = [(c.thresholds[len(c.thresholds) // 2], c) for c in self.cells if c.thresholds]
        quick = [(t.median, c.cell) for t, c in middle if t.median is not None]
        if quick:
            steps, cell = min(quick, key=lambda pair: pair[0])
            text += f"; first to {middle[0][0].score:.1f} steps: {cell.where}, after {steps:,.0f} env steps (median)"
        lost = self.collapses
        if not lost:
            return f"{text}. No run collapsed late."
        listed = ", ".join(f"{c.run_id} from {c.peak:.1f} to {c.end:.1f}" for c in lost)
        return f"{text}. {len(lost)} runs collapsed late: {listed}."


def summarise(curves: LearningCurves, thresholds: tuple[float, ...] = ()) -> CurveSummaries:
    """Areas, steps to `thresholds` [steps of an episode; SHARES of the best IQM if empty], collapses."""
    best = max(curve.cell.estimate.value for curve in curves.curves)
    thresholds = thresholds or tuple(share * best for share in SHARES)
    return CurveSummaries(
        curves.study,
        curves.axes,
        tuple(_summary(curve, thresholds, NOTABLE * best) for curve in curves.curves),
    )


def _summary(curve: Curve, thresholds: tuple[float, ...], notable: float) -> CurveSummary:
    runs = {run_id: _known(curve.env_steps, values) for run_id, values in curve.seeds.items()}
    areas = [
        np.trapezoid(y, x) / max(x[-1] - x[0], 1) if len(x) > 1 else y[0] for x, y in runs.values()
    ]
    top = curve.cell.config.episode_length
    collapses = [_collapse(run_id, x, y, notable) for run_id, (x, y) in runs.items()]
    return CurveSummary(
        curve.cell,
        estimate(areas, bounds=(0, top)),
        tuple(_threshold(score, list(runs.values())) for score in thresholds),
        tuple(found for found in collapses if found is not None),
        int(curve.env_steps[-1]),
        _last(curve.updates, int),
        _last(curve.hours, float),
    )


def _known(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    finite = np.isfinite(y)
    return x[finite], y[finite]


def _threshold(score: float, runs: list) -> Threshold:
    reached = [at for x, y in runs if (at := first_crossing(x, y, score)) is not None]
    middle = sorted(reached) + [np.inf] * (len(runs) - len(reached))
    median = float(np.mean([middle[(len(runs) - 1) // 2], middle[len(runs) // 2]]))
    complete = estimate(reached) if len(reached) == len(runs) else None
    return Threshold(score, len(reached), len(runs), median if np.isfinite(median) else None, complete)


def first_crossing(x: np.ndarray, y: np.ndarray, score: float) -> float | None:
    """Where the line through the points (x, y) first reaches `score`; None if it never does."""
    above = np.flatnonzero(y >= score)
    if not len(above):
        return None
    at = int(above[0])
    if at == 0:
        return float(x[0])
    share = (score - y[at - 1]) / (y[at] - y[at - 1])
    return float(x[at - 1] + share * (x[at] - x[at - 1]))


def _collapse(run_id: str, x: np.ndarray, y: np.ndarray, notable: float) -> Collapse | None:
    if len(y) < 2 * IN_A_ROW:
        return None
    means = np.convolve(y, np.full(IN_A_ROW, 1 / IN_A_ROW), "valid")
    at, end = int(means.argmax()), float(means[-1])
    if means[at] < notable or end >= COLLAPSE * means[at]:
        return None
    return Collapse(run_id, float(means[at]), int(x[at + IN_A_ROW - 1]), end)


def _last(values: np.ndarray, kind):
    return kind(values[-1]) if len(values) and np.isfinite(values[-1]) else None
