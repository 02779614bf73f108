"""Which cells give the best score for their cost, and how sure is that?"""

from dataclasses import dataclass

import numpy as np

from crlscale.analysis.costs import CostKind
from crlscale.score import CellScore
from crlscale.stats import Estimate, resample_means, weighted_sum

DRAWS = 2000


@dataclass(frozen=True)
class FrontPoint:
    """A cell with its cost. `on_front`: no cell of at most its cost scores higher. `share` of the
    bootstrap samples of the seeds in which that is so, 0 to 1."""

    cell: CellScore
    cost: float
    on_front: bool
    share: float


@dataclass(frozen=True)
class BestAt:
    """The best cell of at most `budget`: the share of the samples in which it is the best, the next best
    and by how much it leads that one [steps]; None where it is the only one."""

    budget: float
    cell: CellScore
    share: float
    second: CellScore | None
    lead: Estimate | None

    @property
    def decided(self) -> bool:
        return self.lead is not None and self.lead.low is not None and self.lead.low > 0


@dataclass(frozen=True)
class Front:
    """The Pareto front of a cost: every cell by rising cost, and the best one at the budget of each
    point of the front."""

    cost: str
    unit: str
    points: tuple[FrontPoint, ...]
    best: tuple[BestAt, ...]

    @property
    def on_front(self) -> tuple[FrontPoint, ...]:
        return tuple(point for point in self.points if point.on_front)


def front(kind: CostKind, cells: list[CellScore], rng: np.random.Generator) -> Front | None:
    """The front of the scored `cells` whose cost is known; None where none is."""
    known = [(cost, cell) for cell in cells if (cost := kind.measure(cell)) is not None]
    if not known:
        return None
    known.sort(key=lambda pair: (pair[0], -pair[1].estimate.value))
    costs = [cost for cost, _ in known]
    cells = [cell for _, cell in known]
    scores = [cell.scores for cell in cells]
    values = np.array([cell.estimate.value for cell in cells])
    means = np.array([of_cell.mean() for of_cell in scores])
    drawn = values + resample_means(scores, DRAWS, rng) - means
    shares = _leads(drawn).mean(axis=0)
    leads = _leads(values[None])[0]
    points = tuple(
        FrontPoint(cell, cost, bool(lead), float(share))
        for cell, cost, lead, share in zip(cells, costs, leads, shares, strict=True)
    )
    best = tuple(_best_at(point.cost, points, drawn) for point in points if point.on_front)
    return Front(kind.name, kind.unit, points, best)


def _leads(values: np.ndarray) -> np.ndarray:
    """Whether each score [B, cells] beats all before it."""
    before = np.maximum.accumulate(values, axis=1)[:, :-1]
    return np.hstack([np.ones((len(values), 1), dtype=bool), values[:, 1:] > before])


def _best_at(budget: float, points: tuple[FrontPoint, ...], drawn: np.ndarray) -> BestAt:
    within = [index for index, point in enumerate(points) if point.cost <= budget]
    ranked = sorted(within, key=lambda index: -points[index].cell.estimate.value)
    best = ranked[0]
    share = float((drawn[:, within].argmax(axis=1) == within.index(best)).mean())
    if len(ranked) == 1:
        return BestAt(budget, points[best].cell, share, None, None)
    second = points[ranked[1]].cell
    lead = weighted_sum([1, -1], [points[best].cell.scores, second.scores])
    return BestAt(budget, points[best].cell, share, second, lead)
