"""How do depth, width and batch size scale together, and where should the next unit of compute go?

The cells' IQMs are fitted by a surface in the logarithms of the levels: a slope and, with three levels
or more, a curvature for each axis, and a product for each pair. It is linear in the IQMs, so a slope at
a cell is a weighted sum of them and has Welch's interval."""

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc

from crlscale.analysis.costs import FLOPS, KINDS
from crlscale.analysis.frontier import Front, front
from crlscale.analysis.two_way import grids
from crlscale.errors import CrlscaleError
from crlscale.score import CellScore, StudyScores
from crlscale.stats import Estimate, relation, weighted_sum

AXES = ("depth", "width", "batch_size")
MISFIT = 0.05


@dataclass(frozen=True)
class Direction:
    """A doubling of `axis` from the best cell: the slope of the surface there [steps], by how much it
    multiplies the training FLOPs, and the slope per doubling of compute spent this way [steps].
    `beyond`: the best cell has the largest level tried, so this looks past the data."""

    axis: str
    slope: Estimate
    factor: float
    per_doubling: Estimate
    beyond: bool


@dataclass(frozen=True)
class Surface:
    """The surface over `axes` of all scored `cells`. `terms` maps each term, by the axes in it, to its
    coefficient [steps]; `p_value` belongs to "the cells depart from the surface no more than their
    seeds explain" (None where it cannot be asked). `directions` has the one that pays most first, `lead`
    is how much more it pays than the next [steps per doubling of compute]."""

    study: str
    axes: tuple[str, ...]
    fixed: dict
    cells: tuple[CellScore, ...]
    terms: dict[str, float]
    p_value: float | None
    fronts: tuple[Front, ...]
    directions: tuple[Direction, ...]
    lead: Estimate | None

    @property
    def best(self) -> CellScore:
        return max(self.cells, key=lambda cell: cell.estimate.value)

    @property
    def edges(self) -> tuple[str, ...]:
        """Axes on which the best cell has the smallest or the largest level: no optimum there."""
        ends = {a: {f(c.levels[a] for c in self.cells) for f in (min, max)} for a in self.axes}
        return tuple(axis for axis in self.axes if self.best.levels[axis] in ends[axis])

    @property
    def verdict(self) -> str:
        """The axis to spend on next, `nowhere` (no slope is above zero), or undecided."""
        first = self.directions[0].per_doubling
        if all(_not_above_zero(d.per_doubling) for d in self.directions):
            return "nowhere"
        if first.low is None or first.low <= 0:
            return "undecided"
        alone = self.lead is None or (self.lead.low is not None and self.lead.low > 0)
        return self.directions[0].axis if alone else "undecided"

    @property
    def sentence(self) -> str:
        best = self.best
        text = f"Best cell {best.where}: {best.estimate.value:.1f} steps"
        if best.estimate.low is not None:
            text += f" (95 % interval {best.estimate.low:.1f} to {best.estimate.high:.1f})"
        if self.edges:
            text += f", not bracketed in {' and '.join(self.edges)}"
        pays = "; ".join(
            f"{d.axis} {_interval(d.per_doubling)}{' (beyond the grid)' if d.beyond else ''}"
            for d in self.directions
        )
        ends = {
            "nowhere": "No axis is shown to repay more compute",
            "undecided": "Where the next unit of compute should go is undecided",
        }
        end = ends.get(self.verdict, f"The next unit of compute should go to {self.verdict}")
        text = f"{text}. {end}: steps a doubling of compute brings in {pays}"
        if self.p_value is not None and self.p_value < MISFIT:
            text += f"; the smooth surface misses the cells (F test p {relation(self.p_value)})"
        return f"{text}."


def surfaces(scores: StudyScores, rng: np.random.Generator) -> list[Surface]:
    """One result for each combination of the levels of axes other than depth, width and batch size."""
    axes = tuple(axis for axis in AXES if axis in scores.study.axes)
    if len(axes) < 2:
        raise CrlscaleError(
            f"study {scores.study.name!r} has {len(axes)} of the axes depth, width and batch_size;"
            " a surface needs two",
            value=scores.study.name,
            remedy="a study of `crlscale sweep grid --depths ... --widths ... --batches ...`",
        )
    results = []
    for fixed, cells in grids(scores, axes):
        scored = [cell for cell in cells if cell.estimate is not None]
        results.append(_surface(scores.study.name, axes, fixed, scored, rng))
    return results


def _surface(study: str, axes, fixed: dict, cells: list[CellScore], rng) -> Surface:
    logs = np.array([[np.log2(cell.levels[axis]) for axis in axes] for cell in cells])
    names = _terms(axes, logs)
    design = _design(names, axes, logs)
    if len(cells) < len(names) or np.linalg.matrix_rank(design) < len(names):
        raise CrlscaleError(
            f"study {study!r} has {len(cells)} scored cells, too few for a surface of {len(names)} terms",
            value=study,
            remedy=f"crlscale status {study}",
        )
    solve = np.linalg.pinv(design)  # coefficients = solve @ IQMs
    values = np.array([cell.estimate.value for cell in cells])
    scores = [cell.scores for cell in cells]
    at = int(values.argmax())
    directions, weights = [], {}
    for index, axis in enumerate(axes):
        slope = _slope(names, axes, logs[at], index) @ solve
        more = cells[at].config.model_copy(update={axis: 2 * cells[at].levels[axis]})
        factor = FLOPS.measure(_like(cells[at], more)) / FLOPS.measure(cells[at])
        weights[axis] = slope / np.log2(factor)
        beyond = bool(logs[at, index] == logs[:, index].max())
        found = (weighted_sum(w, scores) for w in (slope, weights[axis]))
        slope_found, per_doubling = found
        directions.append(Direction(axis, slope_found, float(factor), per_doubling, beyond))
    directions.sort(key=lambda direction: -direction.per_doubling.value)
    first, second = (weights[d.axis] for d in directions[:2])
    fronts = [front(kind, cells, rng) for kind in KINDS]
    return Surface(
        study,
        axes,
        fixed,
        tuple(cells),
        dict(zip(names, (float(c) for c in solve @ values), strict=True)),
        _misfit(design, scores),
        tuple(found for found in fronts if found is not None),
        tuple(directions),
        weighted_sum(first - second, scores),
    )


def _like(cell: CellScore, config) -> CellScore:
    return CellScore(cell.levels, config, cell.runs, cell.estimate)


def _terms(axes, logs: np.ndarray) -> list[str]:
    """Names of the terms: "1", each axis, its square where it has three levels, each product."""
    names = ["1", *axes]
    names += [f"{a}^2" for i, a in enumerate(axes) if len(np.unique(logs[:, i])) > 2]
    return names + [f"{a} x {b}" for a, b in itertools.combinations(axes, 2)]


def _design(names: list[str], axes, logs: np.ndarray) -> np.ndarray:
    column = dict(zip(axes, logs.T, strict=True))
    columns = []
    for name in names:
        powers = _powers(name, axes)
        columns.append(np.prod([column[a] ** n for a, n in powers.items()] or [np.ones(len(logs))], 0))
    return np.stack(columns, axis=1)


def _slope(names: list[str], axes, point: np.ndarray, index: int) -> np.ndarray:
    """Derivative of each term at `point` by the axis at `index`."""
    found = []
    for name in names:
        powers = _powers(name, axes)
        n = powers.get(axes[index], 0)
        rest = [point[axes.index(a)] ** (m - (a == axes[index])) for a, m in powers.items()]
        found.append(n * float(np.prod(rest)) if n else 0.0)
    return np.array(found)


def _powers(name: str, axes) -> dict[str, int]:
    if name == "1":
        return {}
    if name.endswith("^2"):
        return {name[:-2]: 2}
    return dict.fromkeys(name.split(" x "), 1)


def _misfit(design: np.ndarray, cells: list[np.ndarray]) -> float | None:
    """F test of the cells' means against the surface."""
    seeds = np.array([len(cell) for cell in cells])
    means = np.array([cell.mean() for cell in cells])
    within = sum(((cell - cell.mean()) ** 2).sum() for cell in cells)
    left, spare = len(cells) - design.shape[1], seeds.sum() - len(cells)
    if left < 1 or spare < 1 or within == 0:
        return None
    root = np.sqrt(seeds)
    fitted = design @ np.linalg.lstsq(design * root[:, None], means * root, rcond=None)[0]
    ratio = (seeds @ (means - fitted) ** 2 / left) / (within / spare)
    return float(fdtrc(left, spare, ratio))


def _not_above_zero(found: Estimate) -> bool:
    return found.high is not None and found.high <= 0


def _interval(found: Estimate) -> str:
    text = f"{found.value:+.1f}"
    return text if found.low is None else f"{text} [{found.low:+.1f}, {found.high:+.1f}]"
