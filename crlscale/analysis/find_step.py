"""Which shape do scores over levels have, and where is the change? The arithmetic of critical_depth.py.

A permutation of the scores over the levels guards against seeing any shape in noise; BIC then picks
one; a permutation of residuals guards against taking a line, or one step, for more than it is."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import fdtrc, ndtri

from crlscale.analysis.step_models import PARAMETERS, STEPS, Families, Fit, bic
from crlscale.stats import CONFIDENCE, SIGNIFICANCE, resample_means, t_quantile, weighted_sum
from crlscale.stats import p_value as two_sided_p

GRADUAL = 0.04  # for a step against a line: dealt residuals see steps a little too often
LACK_OF_FIT = 0.01
LEVELS = 0.97  # of the set of levels: the studies that call a small step are those that exaggerate it
DRAWS = 2000


@dataclass(frozen=True)
class StepFinding:
    """`find_step` in numbers. `levels` are the indices of the smallest level above each change point,
    `intervals` their ends; empty without a step. `p_value` belongs to "the level makes no difference",
    `p_gradual` to "a line explains it as well" (None where it was not asked)."""

    shape: str
    p_value: float
    bic: dict[str, float]
    fit: Fit | None = None
    levels: tuple[int, ...] = ()
    intervals: tuple[tuple[int, int], ...] = ()
    fits: bool = True
    p_gradual: float | None = None

    @property
    def level(self) -> int | None:
        """The first change."""
        return self.levels[0] if self.levels else None

    @property
    def interval(self) -> tuple[int, int] | None:
        return self.intervals[0] if self.intervals else None


def find_step(
    x: np.ndarray, cells: list[np.ndarray], rng: np.random.Generator, draws: int = DRAWS
) -> StepFinding:
    """The shape of the scores `cells` (one array of seeds a level) over rising levels `x` [L]."""
    families = _families(tuple(x), tuple(len(cell) for cell in cells))
    scores = np.concatenate(cells)
    total = float(((scores - scores.mean()) ** 2).sum())
    if total == 0:
        return StepFinding("flat", 1.0, {})
    means = np.array([cell.mean() for cell in cells])
    p_value = _permutation_p(families, scores, rng, draws)
    bests = {shape: families.best(shape, means) for shape in families.shapes}
    criteria = {"constant": float(bic(total, total, len(scores), "constant"))}
    for shape, fit in bests.items():
        criteria[shape] = float(bic(total, total - fit.explained, len(scores), shape))
    fit, p_gradual = None, None
    if p_value <= SIGNIFICANCE:
        fit, p_gradual = _pick(families, scores, bests, criteria, rng, draws)
        p_value = max(p_value, _own_spreads_p(fit, cells))
    if p_value > SIGNIFICANCE:
        flat = Fit("constant", 0.0, 0.0, np.full(len(x), scores.mean()))
        fits = _fits(flat, cells, means)
        return StepFinding("flat" if fits else "irregular", p_value, criteria, fits=fits)
    fits = _fits(fit, cells, means)
    about = {"p_value": p_value, "bic": criteria, "fit": fit, "fits": fits, "p_gradual": p_gradual}
    if fit.shape == "linear" or fit.amplitude < 0:
        shape = "gradual" if fit.amplitude > 0 else "falling"
        return StepFinding(shape if fits else "irregular", **about)
    levels, intervals = _places(families, fit, cells, means, rng, draws)
    return StepFinding(fit.shape, levels=levels, intervals=intervals, **about)


@lru_cache(maxsize=64)
def _families(x: tuple[float, ...], seeds: tuple[int, ...]) -> Families:
    """What the fits need of the levels alone, once for all studies of the same levels."""
    return Families(np.array(x), np.array(seeds, dtype=float))


def _pick(families, scores, bests, criteria, rng, draws) -> tuple[Fit, float | None]:
    """The shape that wins, and p of "a line explains as much" where a step kind won."""
    winner = min(bests, key=criteria.get)
    if winner == "linear" or bests[winner].amplitude < 0:
        return bests[winner], None
    kinds = [shape for shape in families.shapes if shape != "linear"]
    p_gradual = permuted_residuals(
        families, scores, bests["linear"].fitted, ["linear"], kinds, rng, draws
    )
    if p_gradual > GRADUAL:
        return bests["linear"], p_gradual
    while winner in STEPS:  # several steps must be more than noise makes of what is simpler
        simpler = kinds[: kinds.index(winner)]
        null = min(simpler, key=criteria.get)
        p = permuted_residuals(families, scores, bests[null].fitted, simpler, [winner], rng, draws)
        if p <= SIGNIFICANCE:
            break
        winner = null
    return bests[winner], p_gradual


def _own_spreads_p(fit: Fit, cells: list[np.ndarray]) -> float:
    """Two-sided p of the contrast that is shaped like `fit`, by Welch's t: the permutations take the
    levels to scatter alike, this does not. 0 where it cannot be asked."""
    contrast = weighted_sum(fit.fitted - fit.fitted.mean(), cells)
    return two_sided_p(contrast) or 0.0


def permuted_residuals(families, scores, fitted, shapes, others, rng, draws: int) -> float:
    """P(the best of `others` beats the best of `shapes` by as much in BIC) when the truth is `fitted`
    [L] and its residuals are dealt to the scores at random (Freedman and Lane 1983)."""
    at = np.repeat(fitted, families.seeds.astype(int))
    dealt = rng.permuted(np.tile(scores - at, (draws, 1)), axis=1)
    drawn = np.vstack([scores, at + dealt])
    means, totals = drawn @ _average(families), ((drawn.T - drawn.mean(axis=1)) ** 2).sum(axis=0)
    gain = families.bic(shapes, means, totals) - families.bic(others, means, totals)
    return float((1 + np.sum(gain[1:] >= gain[0] - 1e-9)) / (1 + draws))


def _places(
    families, fit, cells, means, rng, draws
) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    """The first level above each change point, and the ends of its interval over a bootstrap of the
    cells, whose means [L] are `means`."""
    drawn = means + _student(cells) * (resample_means(cells, draws, rng) - means)
    explained, _ = families.explained(fit.shape, drawn)
    drawn = families.level_above(fit.shape, explained.argmax(axis=1)).reshape(draws, -1)
    levels = families.level_above(fit.shape, np.array([fit.member])).reshape(-1)
    tail = (1 - LEVELS) / 2
    ends = np.quantile(drawn, [tail, 1 - tail], axis=0, method="inverted_cdf")
    intervals = [
        (min(int(low), int(level)), max(int(high), int(level)))
        for level, low, high in zip(levels, *ends, strict=True)
    ]
    return tuple(int(level) for level in levels), tuple(intervals)


def _student(cells) -> float:
    """By how much few seeds understate their spread: Student's quantile over the normal one."""
    spare = sum(len(cell) - 1 for cell in cells)
    return t_quantile(spare) / float(ndtri((1 + CONFIDENCE) / 2)) if spare else 1.0


def _permutation_p(families: Families, scores, rng: np.random.Generator, draws: int) -> float:
    """P(the best shape explains as much) when the scores are dealt to the levels at random."""
    dealt = np.vstack([scores, rng.permuted(np.tile(scores, (draws, 1)), axis=1)])
    means = dealt @ _average(families)
    best = np.max(
        [families.explained(shape, means)[0].max(axis=1) for shape in families.regressors], axis=0
    )
    as_much = np.sum(best[1:] >= best[0] * (1 - 1e-9))
    return float((1 + as_much) / (1 + draws))


def _average(families: Families) -> np.ndarray:
    """Scores @ this = means of the levels, [runs, L]."""
    level = np.repeat(np.arange(len(families.x)), families.seeds.astype(int))
    return (level[:, None] == np.arange(len(families.x))) / families.seeds


def _fits(fit: Fit, cells: list[np.ndarray], means: np.ndarray) -> bool:
    """Whether the levels scatter about the shape no more than the seeds explain (F test)."""
    seeds = np.array([len(cell) for cell in cells])
    within = sum(((cell - cell.mean()) ** 2).sum() for cell in cells)
    left, spare = len(cells) - PARAMETERS[fit.shape], seeds.sum() - len(cells)
    if left < 1 or spare < 1 or within == 0:
        return True
    ratio = (seeds @ (means - fit.fitted) ** 2 / left) / (within / spare)
    return bool(fdtrc(left, spare, ratio) >= LACK_OF_FIT)
