"""Is it better to spend on depth or on width?

Two families of cells, one along depth and one along width, all else equal. Along each cost
(parameters, training FLOPs, measured hours) the cells' IQMs are interpolated linearly in log
cost; the difference depth minus width is averaged over the costs that both families reach. It
is a weighted sum of IQMs, so its interval is Welch's."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crlscale.analysis.costs import CPU_HOURS, FLOPS, HOURS, PARAMETERS, CostKind
from crlscale.analysis.exchange import Exchange, exchange
from crlscale.analysis.frontier import Front, front
from crlscale.config import RunConfig
from crlscale.errors import CrlscaleError
from crlscale.score import CellScore, StudyScores
from crlscale.stats import Estimate, probability_above_zero, weighted_sum

MAY_DIFFER = ("seed", "depth", "width")
GRID_POINTS = 401


@dataclass(frozen=True)
class Family:
    """The cells of `study` along `axis`, by rising level, the other axes held at `held`."""

    study: str
    axis: str
    held: dict
    cells: tuple[CellScore, ...]
    threads: int


@dataclass(frozen=True)
class CostComparison:
    """Both families along one cost. `costs` maps an axis to the cost of each cell of its family
    (None where not measured). `overlap` is the range of costs that both reach, or None.
    `difference` is depth minus width [steps], averaged over the overlap in log cost;
    `confidence` is how sure it is above zero, 0 to 1."""

    cost: str
    unit: str
    costs: dict[str, tuple[float | None, ...]]
    overlap: tuple[float, float] | None
    difference: Estimate | None
    confidence: float | None

    @property
    def words(self) -> str:
        return self.cost.replace("_", " ").replace("flops", "FLOPs").replace("cpu", "CPU")

    @property
    def verdict(self) -> str:
        """depth, width, undecided (the interval holds zero, or there is none), or no overlap."""
        if self.difference is None:
            return "no overlap"
        return {1: "depth", -1: "width", 0: "undecided"}[self.difference.sign]

    @property
    def clause(self) -> str:
        words = self.words
        if self.difference is None:
            return f"at equal {words} there is no overlap to compare"
        found = f"depth minus width {self.difference.value:+.1f} steps"
        if self.difference.low is None:
            return f"at equal {words} undecided ({found}; no interval: {self.difference.no_interval})"
        found += f", 95 % interval {self.difference.low:+.1f} to {self.difference.high:+.1f}"
        if self.verdict == "undecided":
            return f"at equal {words} undecided ({found}; {_sure(self.confidence)} for depth)"
        sure = self.confidence if self.verdict == "depth" else 1 - self.confidence
        return f"at equal {words} {self.verdict} was the better buy ({found}; {_sure(sure)} sure)"


@dataclass(frozen=True)
class WidthVsDepth:
    """The comparison on every cost: `comparisons` those of the figure, `further` CPU hours. `exchange`
    is the one at equal env steps, which all cells have alike; `fronts` has, for each cost, the cells of
    both families by what they give for it."""

    depth: Family
    width: Family
    comparisons: tuple[CostComparison, ...]
    further: tuple[CostComparison, ...]
    exchange: Exchange
    fronts: tuple[Front, ...]

    @property
    def sentence(self) -> str:
        text = "; ".join(comparison.clause for comparison in self.comparisons)
        return f"{text[0].upper()}{text[1:]}. {self.exchange.sentence}"

    @property
    def note(self) -> str:
        """What makes the hours less than comparable; empty if nothing."""
        if self.depth.threads != self.width.threads:
            return f"hours on {self.depth.threads} and on {self.width.threads} threads"
        return ""


def compare_families(depth: StudyScores, width: StudyScores) -> WidthVsDepth:
    """Compare the depth axis of one study with the width axis of another (or of the same)."""
    families = family(depth, "depth"), family(width, "width")
    _check_same_protocol(*families)
    depth.require_same_physics(width)
    comparisons = tuple(_compare(kind, *families) for kind in (PARAMETERS, FLOPS, HOURS))
    cells = {tuple(run.run_id for run in cell.runs): cell for f in families for cell in f.cells}
    rng = np.random.default_rng(0)
    fronts = [front(kind, list(cells.values()), rng) for kind in (PARAMETERS, FLOPS, HOURS, CPU_HOURS)]
    return WidthVsDepth(
        *families,
        comparisons,
        (_compare(CPU_HOURS, *families),),
        exchange(families[0].cells, families[1].cells),
        tuple(found for found in fronts if found is not None),
    )


def family(scores: StudyScores, axis: str) -> Family:
    """The scored cells along `axis`; every other axis at its smallest level."""
    scores.require_finished()
    study = scores.study
    if axis not in study.axes:
        raise CrlscaleError(
            f"study {study.name!r} has no {axis} axis (it has {', '.join(study.axes)})",
            value=study.name,
            remedy=f"a study of `crlscale sweep {axis}`",
        )
    held = {other: _smallest(levels) for other, levels in study.axes.items() if other != axis}
    cells = [c for c in scores.finished if all(c.levels[k] == v for k, v in held.items())]
    if len(cells) < 2:
        raise CrlscaleError(
            f"study {study.name!r} has a score at {len(cells)} level(s) of {axis}; two are needed",
            value=study.name,
            remedy=f"crlscale status {study.name}",
        )
    cells.sort(key=lambda cell: cell.levels[axis])
    return Family(study.name, axis, held, tuple(cells), study.execution.threads)


def _smallest(levels: list):
    numbers = all(isinstance(level, int | float) for level in levels)
    return min(levels) if numbers else levels[0]


def _check_same_protocol(depth: Family, width: Family) -> None:
    """Refuse families that differ in a setting other than depth and width."""
    one, other = depth.cells[0].config, width.cells[0].config
    for field in RunConfig.model_fields:
        here, there = getattr(one, field), getattr(other, field)
        if field not in MAY_DIFFER and here != there:
            raise CrlscaleError(
                f"{depth.study} and {width.study} cannot be compared:"
                f" {field} is {here!r} in one and {there!r} in the other",
                value=field,
                remedy=f"crlscale sweep width --set {field}={here}",
            )


def _compare(kind: CostKind, depth: Family, width: Family) -> CostComparison:
    costs = {f.axis: tuple(kind.measure(cell) for cell in f.cells) for f in (depth, width)}
    overlap, difference = equal_cost(kind, depth.cells, width.cells)
    sure = None if difference is None else probability_above_zero(difference)
    return CostComparison(kind.name, kind.unit, costs, overlap, difference, sure)


def equal_cost(
    kind: CostKind, first: Sequence[CellScore], second: Sequence[CellScore]
) -> tuple[tuple[float, float] | None, Estimate | None]:
    """The range of costs that two families of cells both reach, and first minus second [steps] on
    average over it, in log cost; (None, None) where they do not overlap. A cell of both counts once."""
    sides = {1: first, -1: second}
    costs = {sign: tuple(kind.measure(cell) for cell in cells) for sign, cells in sides.items()}
    overlap = _overlap(costs)
    if overlap is None:
        return None, None
    weights: dict[tuple, float] = {}
    scores = {}
    for sign, cells in sides.items():
        for cell, weight in zip(cells, _weights(costs[sign], overlap), strict=True):
            key = tuple(run.run_id for run in cell.runs)
            weights[key] = weights.get(key, 0.0) + sign * weight
            scores[key] = cell.scores
    return overlap, weighted_sum([weights[key] for key in scores], list(scores.values()))


def _overlap(costs: dict[int, tuple]) -> tuple[float, float] | None:
    known = [[cost for cost in of_axis if cost is not None] for of_axis in costs.values()]
    if not all(known):
        return None
    low, high = max(map(min, known)), min(map(max, known))
    return (low, high) if 0 < low < high else None


def _weights(costs: tuple[float | None, ...], overlap: tuple[float, float]) -> np.ndarray:
    """Weight of each cell [cells] in the mean over `overlap` of the interpolated curve."""
    known = [index for index, cost in enumerate(costs) if cost is not None]
    known.sort(key=lambda index: costs[index])
    x = np.log([costs[index] for index in known])
    grid = np.linspace(*np.log(overlap), GRID_POINTS)
    area = np.full(GRID_POINTS, 1.0)
    area[[0, -1]] = 0.5  # trapezoids
    weights = np.zeros(len(costs))
    for unit, index in zip(np.eye(len(known)), known, strict=True):
        weights[index] = np.interp(grid, x, unit) @ area / area.sum()
    return weights


def _sure(share: float) -> str:
    return f"{100 * share:.0f} %" if 0.01 <= share <= 0.99 else ("> 99 %" if share > 0.5 else "< 1 %")
