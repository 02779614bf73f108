"""Estimates over seeds: the interquartile mean, its 95 % interval, permutations and resamples.

Every function takes plain arrays and, where it draws, a `numpy.random.Generator`. How the
interval was chosen, and how often it covers, is told in docs/method.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtr, stdtrit

CONFIDENCE = 0.95
SIGNIFICANCE = 0.05  # the largest p-value that shows something
INTERVAL_METHOD = "t interval of the IQM, n - 1 degrees of freedom"

# Share of 95 % intervals that hold the IQM of the population, 20,000 draws or more of n seeds each;
# `tests/test_stats.py -m slow` draws them again.
# n: (normal, exponential, normal with 20 % zeros, with 40 % zeros, two equal heaps)
POPULATIONS = ("normal", "skewed", "20 % zeros", "40 % zeros", "bimodal")
SIMULATED_COVERAGE: dict[int, tuple[float, ...]] = {
    2: (0.95, 0.93, 0.92, 0.78, 0.79),
    3: (0.95, 0.93, 0.96, 0.84, 0.76),
    4: (0.95, 0.94, 0.95, 0.87, 0.88),
    5: (0.95, 0.94, 0.96, 0.87, 0.92),
    6: (0.96, 0.95, 0.96, 0.91, 0.83),
    7: (0.96, 0.95, 0.96, 0.91, 0.88),
    8: (0.95, 0.95, 0.97, 0.86, 0.73),
    10: (0.95, 0.96, 0.97, 0.87, 0.89),
    12: (0.95, 0.96, 0.98, 0.83, 0.85),
    16: (0.95, 0.96, 0.99, 0.83, 0.92),
    20: (0.95, 0.96, 0.99, 0.86, 0.93),
    30: (0.95, 0.97, 0.99, 0.93, 0.94),
}


@dataclass(frozen=True)
class Estimate:
    """The IQM of some seeds' scores, in the unit of the scores.

    `low` and `high` bound the 95 % interval, or are None and `no_interval` says why.
    `standard_error` and `freedom` (degrees of) made the interval; None where there is none."""

    value: float
    low: float | None
    high: float | None
    seeds: int
    standard_error: float | None = None
    freedom: float | None = None
    no_interval: str = ""

    @property
    def sign(self) -> int:
        """1 or -1 where the interval lies on that side of zero; 0 where it holds zero, or there is none."""
        if self.low is None or self.low <= 0 <= self.high:
            return 0
        return 1 if self.value > 0 else -1


def iqm(scores):
    """Mean of what remains when floor(n / 4) scores are cut at both ends; n < 4: the mean. A float of
    [n] scores, an array [...] of [..., n]."""
    ordered = np.sort(np.asarray(scores, dtype=float), axis=-1)
    n = ordered.shape[-1]
    return _plain(ordered[..., n // 4 : n - n // 4].mean(axis=-1))


def standard_error(scores):
    """Standard error of `iqm(scores)`: the larger of s / sqrt(n) and the winsorised one; as `iqm`.

    The winsorised error (Tukey and McLaughlin 1963) is right for long tails and too small for
    few seeds of a plain population, the other one the reverse; the larger one covers in both."""
    ordered = np.sort(np.asarray(scores, dtype=float), axis=-1)
    n = ordered.shape[-1]
    cut = n // 4
    winsorised = np.clip(ordered, ordered[..., cut, None], ordered[..., n - cut - 1, None])
    plain = ordered.std(axis=-1, ddof=1) / math.sqrt(n)
    trimmed = winsorised.std(axis=-1, ddof=1) * math.sqrt(n) / (n - 2 * cut)
    return _plain(np.maximum(plain, trimmed))


def _plain(value):
    return float(value) if np.ndim(value) == 0 else value


def finite_median(values: np.ndarray) -> np.ndarray:
    """Median over the first axis of what is finite; NaN where nothing is."""
    values = np.where(np.isfinite(values), values, np.nan)
    known = np.isfinite(values).any(axis=0)
    return np.where(known, np.nanmedian(np.where(known, values, 0.0), axis=0), np.nan)


def estimate(scores: Sequence[float], bounds: tuple[float, float] | None = None) -> Estimate:
    """IQM of `scores` (one finite number a seed, at least one) with its 95 % interval, cut at
    `bounds`, outside which no score can lie."""
    scores = np.asarray(scores, dtype=float)
    if scores.ndim != 1 or not len(scores) or not np.isfinite(scores).all():
        raise ValueError(f"scores must be finite numbers, one a seed; got {scores!r}")
    n, value = len(scores), iqm(scores)
    if n == 1:
        return Estimate(value, None, None, n, no_interval="one seed")
    if np.ptp(scores) == 0:
        return Estimate(value, None, None, n, no_interval="all seeds equal")
    found = _with_interval(value, n, standard_error(scores), n - 1)
    if bounds is None:
        return found
    return replace(found, low=max(found.low, bounds[0]), high=min(found.high, bounds[1]))


def _with_interval(value: float, seeds: int, error: float, freedom: float) -> Estimate:
    half = t_quantile(freedom) * error
    return Estimate(value, value - half, value + half, seeds, error, freedom)


def t_quantile(freedom: float) -> float:
    """Half-width of a 95 % t interval in standard errors."""
    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))


def probability_above_zero(estimate: Estimate) -> float | None:
    """How sure the estimated quantity is above zero: the one-sided confidence, 0 to 1."""
    if estimate.standard_error is None:
        return None
    return float(stdtr(estimate.freedom, estimate.value / estimate.standard_error))


def coverage_note(seeds: int) -> str:
    """What the interval over `seeds` seeds really covers, by simulation, in one clause."""
    counts = [n for n in SIMULATED_COVERAGE if n <= seeds]
    if not counts:
        return "no interval with one seed"
    shares = zip(POPULATIONS, SIMULATED_COVERAGE[max(counts)], strict=True)
    listed = ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares)
    return f"simulated coverage at {max(counts)} seeds: {listed}"


def weighted_sum(weights: Sequence[float], cells: Sequence[Sequence[float]]) -> Estimate:
    """Estimate of sum_i weights_i * IQM(cells_i) for independent cells, by Welch-Satterthwaite.

    A cell without weight does not count. No interval where a cell that counts has one seed,
    or where none of them varies."""
    counted = [
        (w, np.asarray(cell, dtype=float)) for w, cell in zip(weights, cells, strict=True) if w != 0
    ]
    value = float(sum(w * iqm(cell) for w, cell in counted))
    seeds = min((len(cell) for _, cell in counted), default=0)
    if seeds < 2:
        return Estimate(value, None, None, seeds, no_interval="a cell with one seed")
    parts = np.array([(w * standard_error(cell)) ** 2 for w, cell in counted])
    if parts.sum() == 0:
        return Estimate(value, None, None, seeds, no_interval="all seeds equal")
    error = math.sqrt(parts.sum())
    freedom = welch_freedom(parts, [len(cell) for _, cell in counted])
    return _with_interval(value, seeds, error, freedom)


def welch_freedom(variances: np.ndarray, seeds: Sequence[int]) -> float:
    """Degrees of freedom of a sum of independent terms with these variances."""
    variances = np.asarray(variances, dtype=float)
    return float(variances.sum() ** 2 / np.sum(variances**2 / (np.asarray(seeds) - 1)))


def p_value(estimate: Estimate) -> float | None:
    """Two-sided p of "the estimated quantity is zero" under its t interval; None without one."""
    above = probability_above_zero(estimate)
    return None if above is None else 2 * min(above, 1 - above)


def signed(found: Estimate, unit: str = "") -> str:
    """A difference as sentences say it: "+1.2 [+0.3, +2.1]", with `unit` behind the value."""
    text = f"{found.value:+.1f}{unit}"
    return text if found.low is None else f"{text} [{found.low:+.1f}, {found.high:+.1f}]"


def relation(p: float) -> str:
    """A p-value as sentences end in it: "= 0.012", or "< 0.001"."""
    return f"= {p:.3f}" if p >= 0.001 else "< 0.001"


def upper_limit(estimate: Estimate, confidence: float = CONFIDENCE) -> float | None:
    """The value that the quantity lies below with this one-sided confidence; None without one."""
    if estimate.standard_error is None:
        return None
    return estimate.value + float(stdtrit(estimate.freedom, confidence)) * estimate.standard_error


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction: p-values so that the chance of one false finding in all of them
    together stays at the level of each. What has no p-value (None) is no comparison."""
    known = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        corrected[index] = largest
    return corrected


@dataclass(frozen=True)
class Ratio:
    """A ratio of two quantities. Without an interval `reason` says why; `value` is None where the
    lower quantity is not above zero at all."""

    value: float | None
    low: float | None
    high: float | None
    reason: str = ""


def ratio(above: Sequence[float], below: Sequence[float], cells: Sequence[Sequence[float]]) -> Ratio:
    """sum_i above_i IQM(cells_i) over sum_i below_i IQM(cells_i), with Fieller's 95 % interval.

    The interval exists only where the lower sum differs from zero by its own interval. Cells may
    have weight in both sums. Degrees of freedom: the smaller ones of the two sums."""
    tops, bottoms = weighted_sum(above, cells), weighted_sum(below, cells)
    if bottoms.value == 0:
        return Ratio(None, None, None, "the lower one is zero")
    value = tops.value / bottoms.value
    freedoms = [found.freedom for found in (tops, bottoms) if found.freedom is not None]
    if not freedoms:
        return Ratio(value, None, None, tops.no_interval or bottoms.no_interval)
    if "one seed" in tops.no_interval + bottoms.no_interval:
        return Ratio(value, None, None, "a cell with one seed")
    errors = np.array([standard_error(c) ** 2 if len(c) > 1 else 0.0 for c in cells])
    above, below = np.asarray(above, dtype=float), np.asarray(below, dtype=float)
    square = t_quantile(min(freedoms)) ** 2
    a = bottoms.value**2 - square * errors @ below**2
    b = tops.value * bottoms.value - square * errors @ (above * below)
    c = tops.value**2 - square * errors @ above**2
    if a <= 0:
        return Ratio(value, None, None, "the lower one may be zero")
    root = math.sqrt(max(0.0, b * b - a * c))
    return Ratio(value, float((b - root) / a), float((b + root) / a))


def probability_of_improvement(ours: Sequence[float], theirs: Sequence[float]) -> Estimate:
    """P(a seed of `ours` scores above one of `theirs`), ties half, with a 95 % interval.

    Method 5 of Newcombe (2006, Statistics in Medicine 25:559) with Student's quantile for the normal one:
    it stays within 0 and 1 and has a width also where the seeds do not overlap."""
    ours, theirs = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    gaps = ours[:, None] - theirs[None]
    value = float(np.mean(gaps > 0) + np.mean(gaps == 0) / 2)
    n = min(len(ours), len(theirs))
    if n < 2:
        return Estimate(value, None, None, n, no_interval="one seed")
    shares = np.linspace(0.0, 1.0, 2001)
    inside = np.abs(shares - value) <= t_quantile(len(ours) + len(theirs) - 2) * np.sqrt(
        _improvement_variance(shares, len(ours), len(theirs))
    )
    held = shares[inside | (np.abs(shares - value) <= 0.00025)]
    return Estimate(value, float(held[0]), float(held[-1]), n)


def _improvement_variance(share: np.ndarray, ours: int, theirs: int) -> np.ndarray:
    """Newcombe's variance of the estimated share, at each true share."""
    more = (ours + theirs) / 2 - 1
    spread = 1 + more * ((1 - share) / (2 - share) + share / (1 + share))
    return share * (1 - share) * spread / (ours * theirs)


def resample_means(cells: Sequence[np.ndarray], draws: int, rng: np.random.Generator) -> np.ndarray:
    """Means of `draws` bootstrap samples of the seeds of each cell, [draws, len(cells)].

    Deviations are stretched by sqrt(n / (n - 1)), without which the bootstrap of n seeds is
    too narrow; a cell with one seed stays as it is."""
    columns = []
    for cell in cells:
        n = len(cell)
        picked = cell[rng.integers(0, n, (draws, n))].mean(axis=1)
        columns.append(cell.mean() + (picked - cell.mean()) * math.sqrt(n / max(n - 1, 1)))
    return np.stack(columns, axis=1)
