"""Two axes of a grid together: what a doubling of each brings, and whether they help each other.

Slopes are weighted sums of the cells' IQMs per doubling of an axis, so their intervals are Welch's.
The interaction is tested by a wild bootstrap (Wu 1986; random signs as in Davidson and Flachaire 2008):
the spread may differ from cell to cell, which a permutation of residuals does not bear. Its linear part,
the change of one slope with each doubling of the other axis, has an interval."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from crlscale.errors import CrlscaleError
from crlscale.score import CellScore, StudyScores
from crlscale.stats import Estimate, weighted_sum

DRAWS = 2000
OPTIONS = {"depth": "--depths ...", "width": "--widths ...", "batch_size": "--batches ..."}


@dataclass(frozen=True)
class Slope:
    """What a doubling of an axis brings [steps] where the other one is at `level`."""

    level: int
    change: Estimate


@dataclass(frozen=True)
class TwoWay:
    """A grid over `down` (rows) and `across` (columns), other axes at `fixed`.

    `cells` has a row for each of `levels[0]`, a cell for each of `levels[1]`, None where nothing has a
    score. `main` has the slopes of both axes averaged over the other one [steps a doubling], `slopes`
    that of `across` at each level of `down`. `interaction` is by how much that slope grows with each
    doubling of `down`; None where the grid has holes. `p_value` belongs to "the effects only add"
    (wild bootstrap; None where no cell has two seeds)."""

    study: str
    down: str
    across: str
    fixed: dict
    levels: tuple[tuple[int, ...], tuple[int, ...]]
    cells: tuple[tuple[CellScore | None, ...], ...]
    main: tuple[Estimate | None, Estimate | None]
    slopes: tuple[Slope, ...]
    interaction: Estimate | None
    p_value: float | None

    @property
    def flat(self) -> tuple[CellScore, ...]:
        """The cells that have a score."""
        return tuple(cell for row in self.cells for cell in row if cell is not None)

    @property
    def best(self) -> CellScore:
        return max(self.flat, key=lambda cell: cell.estimate.value)


def grids(scores: StudyScores, needed: tuple[str, ...]) -> Iterator[tuple[dict, list[CellScore]]]:
    """The cells of each combination of the levels of the axes other than `needed`."""
    scores.require_finished()
    axes = scores.study.axes
    missing = [axis for axis in needed if axis not in axes]
    if missing:
        remedy = " ".join(OPTIONS.get(axis, f"--axis {axis}=...") for axis in needed)
        raise CrlscaleError(
            f"study {scores.study.name!r} has no {' and no '.join(missing)} axis"
            f" (it has {', '.join(axes)})",
            value=scores.study.name,
            remedy=f"a study of `crlscale sweep grid {remedy}`",
        )
    others = [axis for axis in axes if axis not in needed]
    for levels in itertools.product(*(axes[other] for other in others)):
        fixed = dict(zip(others, levels, strict=True))
        cells = [c for c in scores.cells if all(c.levels[k] == v for k, v in fixed.items())]
        if any(cell.estimate is not None for cell in cells):
            yield fixed, cells


def two_way(
    study: str,
    axes: tuple[str, str],
    fixed: dict,
    found: list[CellScore],
    rng: np.random.Generator,
) -> TwoWay:
    """The effects of both `axes` over the scored ones of the cells `found`; two levels of each."""
    scored = [cell for cell in found if cell.estimate is not None]
    levels = tuple(tuple(sorted({cell.levels[axis] for cell in scored})) for axis in axes)
    if min(map(len, levels)) < 2:
        counted = " and ".join(f"{len(n)} of {axis}" for n, axis in zip(levels, axes, strict=True))
        raise CrlscaleError(
            f"study {study!r} has scores at levels: {counted}; two of each are needed",
            value=study,
            remedy=f"crlscale status {study}",
        )
    at = {tuple(cell.levels[axis] for axis in axes): cell for cell in scored}
    cells = tuple(tuple(at.get((one, other)) for other in levels[1]) for one in levels[0])
    x, y = (np.log2(of_axis) for of_axis in levels)
    slopes = []
    for level, row in zip(levels[0], cells, strict=True):
        known = [(place, cell) for place, cell in zip(y, row, strict=True) if cell is not None]
        if len(known) > 1:
            weights = slope_weights(np.array([place for place, _ in known]))
            change = weighted_sum(weights, [cell.scores for _, cell in known])
            slopes.append(Slope(level, change))
    main, interaction = (None, None), None
    if all(cell is not None for row in cells for cell in row):
        every = [cell.scores for row in cells for cell in row]
        one, other = slope_weights(x), slope_weights(y)
        main = (
            weighted_sum(np.repeat(one / len(y), len(y)), every),
            weighted_sum(np.tile(other / len(x), len(x)), every),
        )
        interaction = weighted_sum(np.outer(one, other).ravel(), every)
    places = [(levels[0].index(a), levels[1].index(b)) for a, b in at]
    p_value = interaction_p(places, [cell.scores for cell in at.values()], rng)
    return TwoWay(study, *axes, fixed, levels, cells, main, tuple(slopes), interaction, p_value)


def slope_weights(x: np.ndarray) -> np.ndarray:
    """Weights of values at `x` whose sum is the slope of the least-squares line."""
    centred = x - x.mean()
    return centred / (centred**2).sum()


def interaction_p(
    places: list[tuple[int, int]],
    cells: list[np.ndarray],
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> float | None:
    """P(cells depart as much from additive effects, in units of their seeds' spread, when the truth
    is additive): to the additive model each seed's own noise is added again with a random sign;
    `places` are (row, column)."""
    models = _models(tuple(places), tuple(len(cell) for cell in cells))
    if models is None:
        return None
    basis, whole = models
    scores = np.concatenate(cells)
    fitted = basis @ (basis.T @ scores)
    noise = _noise(cells, scores - fitted, (basis**2).sum(axis=1))
    signs = rng.choice([-1.0, 1.0], (draws, len(scores)))
    drawn = np.vstack([scores, fitted + signs * noise])
    total = (drawn**2).sum(axis=1)
    least = 1e-12 * total  # below is rounding
    left = np.maximum(total - ((drawn @ whole) ** 2).sum(axis=1), least)
    apart = total - ((drawn @ basis) ** 2).sum(axis=1)
    ratio = np.where(apart < least, 0.0, apart) / left
    return float((1 + np.sum(ratio[1:] >= ratio[0] * (1 - 1e-9))) / (1 + draws))


def _noise(cells: list[np.ndarray], residuals: np.ndarray, leverage: np.ndarray) -> np.ndarray:
    """Of each seed its distance from the mean of its cell, as large on average as its spread; of a lone
    seed that from the additive model. `residuals` [runs] and `leverage` [runs] are of that model."""
    seeds = np.repeat([len(cell) for cell in cells], [len(cell) for cell in cells])
    within = np.concatenate([cell - cell.mean() for cell in cells])
    lone = residuals / np.sqrt(np.maximum(1 - leverage, 1e-9))
    return np.where(seeds > 1, within * np.sqrt(seeds / np.maximum(seeds - 1, 1)), lone)


@lru_cache(maxsize=64)
def _models(places: tuple, seeds: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray] | None:
    """Orthonormal columns of the additive model and of the cells' means, [runs, columns] each; None
    where nothing is left to tell them apart by."""
    rows, columns = (np.repeat([place[side] for place in places], seeds) for side in (0, 1))
    basis = _basis(np.hstack([_dummies(rows), _dummies(columns)]))
    if sum(seeds) <= len(seeds) or basis.shape[1] >= len(seeds):
        return None
    return basis, _basis(_dummies(np.repeat(np.arange(len(seeds)), seeds)))


def _dummies(groups: np.ndarray) -> np.ndarray:
    return (groups[:, None] == np.unique(groups)).astype(float)


def _basis(columns: np.ndarray) -> np.ndarray:
    """Orthonormal columns that span the same space."""
    vectors, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    return vectors[:, sizes > 1e-9 * sizes[0]]
