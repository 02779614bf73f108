"""Laws of a score over levels: power, logarithm and saturating; what they predict, and where they miss.

Each law is a + b z(level) (the power law without a) with at most one exponent, taken from a grid, so
a fit is the best of a few regressions on the cell means and thousands of refits are one product."""

from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc

from crlscale.stats import CONFIDENCE, relation, resample_means

DRAWS = 2000
MISFIT = 0.05
EXPONENTS = np.linspace(0.05, 3.0, 60)
# name: (formula, fitted numbers, has a constant)
LAWS = {
    "power": ("b x^c", 2, False),
    "logarithm": ("a + b log2 x", 2, True),
    "saturating": ("a - b x^-c", 3, True),
}


@dataclass(frozen=True)
class Prediction:
    """What a law expects of the mean of a new cell with as many seeds; `low` and `high` bound the
    95 % prediction interval."""

    level: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Law:
    """One fitted law. `curve` has its value at each level. `p_value` belongs to "the levels depart
    from it no more than their seeds explain" (F test; None where it cannot be asked). `left_out` is
    what the law, fitted without the largest level, predicts of it; `caught` whether its mean lies in that
    interval. `predictions` are at twice and four times the largest level."""

    name: str
    formula: str
    constant: float
    factor: float
    exponent: float | None
    curve: tuple[float, ...]
    bic: float
    p_value: float | None
    left_out: Prediction | None
    caught: bool | None
    predictions: tuple[Prediction, ...]

    @property
    def misses(self) -> str:
        """How the data contradict the law; empty if they do not."""
        found = []
        if self.p_value is not None and self.p_value < MISFIT:
            found.append(f"the levels depart from it (F test p {relation(self.p_value)})")
        if self.caught is False:
            found.append(f"without level {self.left_out.level} it does not predict that level")
        return " and ".join(found)


def fit_laws(
    levels: np.ndarray, cells: list[np.ndarray], top: float, rng: np.random.Generator
) -> tuple[Law, ...]:
    """Every law with fewer numbers than there are levels, the best (BIC) first; scores lie in 0..top."""
    laws = [
        _fit(name, np.asarray(levels, dtype=float), cells, top, rng)
        for name, (_, numbers, _) in LAWS.items()
        if numbers < len(levels)
    ]
    return tuple(sorted(laws, key=lambda law: law.bic))


def _fit(name: str, levels: np.ndarray, cells: list, top: float, rng) -> Law:
    formula, numbers, _ = LAWS[name]
    means = np.array([cell.mean() for cell in cells])
    seeds = np.array([len(cell) for cell in cells], dtype=float)
    within = sum(((cell - cell.mean()) ** 2).sum() for cell in cells)
    constant, factor, member, left = (part[0] for part in regress(name, levels, seeds, means[None]))
    curve = constant + factor * _shapes(name, levels)[member]
    runs, between = seeds.sum(), len(levels) - numbers
    spare = runs - len(levels)
    p_value = None
    if spare > 0 and within > 0 and between > 0:
        p_value = float(fdtrc(between, spare, (left / between) / (within / spare)))
    ahead = [int(2 * levels[-1]), int(4 * levels[-1])]
    left_out, caught = None, None
    if numbers < len(levels) - 1:
        (left_out,) = predict(name, levels[:-1], cells[:-1], [int(levels[-1])], top, rng)
        caught = bool(left_out.low <= means[-1] <= left_out.high)
    return Law(
        name,
        formula,
        float(constant),
        float(factor) * (-1 if name == "saturating" else 1),
        round(float(EXPONENTS[member]), 6) if name == "saturating" else _power(name, member),
        tuple(float(value) for value in curve),
        float(runs * np.log(max(left + within, 1e-12) / runs) + numbers * np.log(runs)),
        p_value,
        left_out,
        caught,
        tuple(predict(name, levels, cells, ahead, top, rng)),
    )


def predict(
    name: str, levels, cells: list, ahead: list[int], top: float, rng, draws: int = DRAWS
) -> list[Prediction]:
    """The law refitted to bootstrap samples of the seeds, with the noise of a new cell on top."""
    seeds = np.array([len(cell) for cell in cells], dtype=float)
    means = np.array([cell.mean() for cell in cells])
    drawn = np.vstack([means, resample_means(cells, draws, rng)])
    constant, factor, member, _ = regress(name, np.asarray(levels, float), seeds, drawn)
    spare = max(1.0, seeds.sum() - len(cells))
    spread = np.sqrt(sum(((cell - cell.mean()) ** 2).sum() for cell in cells) / spare)
    noise = rng.standard_t(spare, draws) * spread / np.sqrt(np.median(seeds))
    found = []
    for level in ahead:
        values = constant + factor * _shapes(name, np.array([float(level)]))[member, 0]
        tail = (1 - CONFIDENCE) / 2
        low, high = np.quantile(values[1:] + noise, [tail, 1 - tail])
        found.append(Prediction(level, *(float(np.clip(v, 0, top)) for v in (values[0], low, high))))
    return found


def regress(name: str, levels: np.ndarray, seeds: np.ndarray, means: np.ndarray) -> tuple:
    """Constant, factor, member of the grid, and weighted sum of squares left, each [B], of the best
    fit to cell means [B, L]."""
    shapes = _shapes(name, levels)
    if LAWS[name][2]:
        centre = shapes @ seeds / seeds.sum()
        level = means @ seeds / seeds.sum()
    else:
        centre, level = np.zeros(len(shapes)), np.zeros(len(means))
    centred, moved = shapes - centre[:, None], means - level[:, None]
    along = moved @ (centred * seeds).T
    scale = centred**2 @ seeds
    left = (moved**2 @ seeds)[:, None] - along**2 / scale
    member = left.argmin(axis=1)
    rows = np.arange(len(means))
    factor = along[rows, member] / scale[member]
    return level - factor * centre[member], factor, member, np.maximum(left[rows, member], 0.0)


def _shapes(name: str, levels: np.ndarray) -> np.ndarray:
    """z(level) of each member of the grid, [members, L]."""
    if name == "logarithm":
        return np.log2(levels)[None]
    if name == "saturating":
        return levels[None] ** -EXPONENTS[:, None]
    return levels[None] ** _powers()[:, None]


def _powers() -> np.ndarray:
    return np.linspace(-1.0, 2.0, 301)


def _power(name: str, member: int) -> float | None:
    return round(float(_powers()[member]), 6) if name == "power" else None
