"""At which depth does performance jump, if it does?

The seeds' scores are fitted by a constant, a line in log2 depth, and the one-step shapes (step
and sigmoid). A permutation of the scores over the levels guards against seeing any shape in
noise; BIC then picks one. The critical depth is the smallest level above the change point of
the one-step shape that won; its interval is the range of levels over a bootstrap of the seeds
within the cells. Error rates, by simulation, stand in docs/method.md."""

import itertools
from dataclasses import dataclass, field

import numpy as np
from scipy.special import fdtrc

from crlscale.analysis.step_models import PARAMETERS, Families, Fit
from crlscale.errors import CrlscaleError
from crlscale.score import CellScore, StudyScores
from crlscale.stats import CONFIDENCE, resample_means

DEPTH_AXES = ("depth", "actor_depth", "critic_depth")
ONE_STEP = ("step", "sigmoid")
SIGNIFICANCE = 0.05
LACK_OF_FIT = 0.01
MISFIT = "a step does not explain all levels"
DRAWS = 2000


@dataclass(frozen=True)
class CriticalDepth:
    """What the scores of `cells` (by rising depth) say about a step.

    `shape` is step, sigmoid, gradual, falling, flat, irregular (levels differ, but by none of
    these) or untested (`reason` says why). `depth`, `low`, `high` are levels; None without a step. `below` and `above` are the fitted scores of the
    shallowest and the deepest level [steps]; `rise` is the width of the rise [doublings].
    `p_value` belongs to "depth makes no difference"; `fits` is False where the levels differ from
    every shape by more than the seeds explain. `fixed` names the levels of the other axes."""

    study: str
    axis: str
    fixed: dict
    cells: tuple[CellScore, ...]
    shape: str
    depth: int | None = None
    low: int | None = None
    high: int | None = None
    bracketed: bool = False
    below: float | None = None
    above: float | None = None
    rise: float | None = None
    p_value: float | None = None
    bic: dict[str, float] = field(default_factory=dict)
    fits: bool = True
    reason: str = ""

    @property
    def depths(self) -> list[int]:
        return [cell.levels[self.axis] for cell in self.cells]

    @property
    def words(self) -> str:
        """The finding in a few words, for the figure."""
        if self.shape == "untested":
            return f"step not tested: {self.reason}"
        if self.depth is None:
            return f"no step: {self.shape}"
        if not self.bracketed:
            return f"critical depth {self.depth}, not bracketed (95 % interval {self.range})"
        return f"critical depth {self.depth} (95 % interval {self.range})"

    @property
    def range(self) -> str:
        return f"{self.low} only" if self.low == self.high else f"{self.low} to {self.high}"

    @property
    def sentence(self) -> str:
        """The finding in one sentence, for a person."""
        name = self.axis.replace("_", " ")
        if self.depth is None:
            ends = {
                "untested": f"Whether there is a critical {name} was not tested: {self.reason}",
                "irregular": f"No critical {name}: the scores differ, by no simple shape",
                "flat": f"No critical {name}: the scores are flat in {name}",
                "gradual": f"No critical {name}: the scores rise gradually with log2 {name}",
                "falling": f"No critical {name}: the scores fall with {name}",
            }
            text = ends[self.shape]
        else:
            how = f", over {self.rise:.1f} doublings" if self.rise else ""
            text = (
                f"Critical {name} {self.depth} (95 % interval {self.range},"
                f" {'bracketed' if self.bracketed else 'not bracketed'}):"
                f" fitted scores rise from {self.below:.1f} to {self.above:.1f} steps{how}"
            )
        if self.p_value is not None:
            p_value = f"= {self.p_value:.3f}" if self.p_value >= 0.001 else "< 0.001"
            text += f" (permutation p {p_value})"
        misfit = "" if self.fits or self.depth is None else f"; {MISFIT}"
        return f"{text}{misfit}."


def critical_depths(scores: StudyScores, rng: np.random.Generator) -> list[CriticalDepth]:
    """One result for each combination of the levels of the study's other axes that has a score."""
    scores.require_finished()
    axes = scores.study.axes
    axis = next((axis for axis in DEPTH_AXES if axis in axes), None)
    if axis is None:
        raise CrlscaleError(
            f"study {scores.study.name!r} has no depth axis (it has {', '.join(axes)})",
            value=scores.study.name,
            remedy="crlscale plot learning-curves, or crlscale sweep depth",
        )
    others = [other for other in axes if other != axis]
    results = []
    for levels in itertools.product(*(axes[other] for other in others)):
        fixed = dict(zip(others, levels, strict=True))
        cells = [c for c in scores.cells if all(c.levels[k] == v for k, v in fixed.items())]
        if all(cell.estimate is None for cell in cells):
            continue
        cells.sort(key=lambda cell: cell.levels[axis])
        results.append(critical_depth(scores.study.name, axis, fixed, tuple(cells), rng))
    return results


def critical_depth(
    study: str, axis: str, fixed: dict, cells: tuple[CellScore, ...], rng: np.random.Generator
) -> CriticalDepth:
    """The result for `cells`, ordered by `axis`; cells without a score are only listed."""
    scored = [cell for cell in cells if cell.estimate is not None]
    about = {"study": study, "axis": axis, "fixed": fixed, "cells": cells}
    reason = _untestable([len(cell.scores) for cell in scored])
    if reason:
        return CriticalDepth(**about, shape="untested", reason=reason)
    depths = np.array([cell.levels[axis] for cell in scored])
    found = find_step(np.log2(depths), [cell.scores for cell in scored], rng)
    if found.level is None:
        return CriticalDepth(
            **about, shape=found.shape, p_value=found.p_value, bic=found.bic, fits=found.fits
        )
    depth, low, high = (int(depths[index]) for index in (found.level, *found.interval))
    return CriticalDepth(
        **about,
        shape=found.shape,
        depth=depth,
        low=low,
        high=high,
        bracketed=bool(depths[0] < low and high < depths[-1]),
        below=float(found.fit.fitted[0]),
        above=float(found.fit.fitted[-1]),
        rise=found.fit.rise,
        p_value=found.p_value,
        bic=found.bic,
        fits=found.fits,
    )


@dataclass(frozen=True)
class StepFinding:
    """`find_step` in numbers: `level` and `interval` are indices of levels."""

    shape: str
    p_value: float
    bic: dict[str, float]
    fit: Fit | None = None
    level: int | None = None
    interval: tuple[int, int] | None = None
    fits: bool = True


def find_step(x: np.ndarray, cells: list[np.ndarray], rng: np.random.Generator) -> StepFinding:
    """The shape of the scores `cells` (one array of seeds a level) over rising levels `x` [L]."""
    seeds = np.array([len(cell) for cell in cells], dtype=float)
    families = Families(x, seeds)
    scores = np.concatenate(cells)
    total = float(((scores - scores.mean()) ** 2).sum())
    if total == 0:
        return StepFinding("flat", 1.0, {})
    means = np.array([cell.mean() for cell in cells])
    p_value = _permutation_p(families, scores, rng)
    bests = {shape: families.best(shape, means) for shape in families.regressors}
    bic = {"constant": _bic(total, total, len(scores), "constant")}
    bic |= {s: _bic(total, total - fit.explained, len(scores), s) for s, fit in bests.items()}
    if p_value > SIGNIFICANCE:
        flat = Fit("constant", 0.0, 0.0, np.full(len(x), scores.mean()))
        fits = _fits(flat, cells, means)
        return StepFinding("flat" if fits else "irregular", p_value, bic, fits=fits)
    fit = bests[min(bests, key=bic.get)]
    fits = _fits(fit, cells, means)
    if fit.shape not in ONE_STEP or fit.amplitude < 0:
        shape = "gradual" if fit.amplitude > 0 else "falling"
        return StepFinding(shape if fits else "irregular", p_value, bic, fit, fits=fits)
    explained, _ = families.explained(fit.shape, resample_means(cells, DRAWS, rng))
    levels = families.level_above(fit.shape, explained.argmax(axis=1))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(levels, [tail, 1 - tail], method="inverted_cdf")
    level = int(families.level_above(fit.shape, np.array([fit.member]))[0])
    interval = (min(int(low), level), max(int(high), level))
    return StepFinding(fit.shape, p_value, bic, fit, level, interval, fits)


def _untestable(seeds: list[int]) -> str:
    if len(seeds) < 3:
        return "fewer than 3 levels have a score"
    if np.median(seeds) < 2:
        return "one seed a level does not tell a step from noise"
    return ""


def _permutation_p(families: Families, scores: np.ndarray, rng: np.random.Generator) -> float:
    """P(the best shape explains as much) when the scores are dealt to the levels at random."""
    level = np.repeat(np.arange(len(families.x)), families.seeds.astype(int))
    average = (level[:, None] == np.arange(len(families.x))) / families.seeds
    dealt = np.vstack([scores, rng.permuted(np.tile(scores, (DRAWS, 1)), axis=1)])
    best = np.max(
        [families.explained(shape, dealt @ average)[0].max(axis=1) for shape in families.regressors],
        axis=0,
    )
    as_much = np.sum(best[1:] >= best[0] * (1 - 1e-9))
    return float((1 + as_much) / (1 + DRAWS))


def _bic(total: float, left: float, runs: int, shape: str) -> float:
    """Bayesian information criterion under normal noise; a perfect fit is held off minus infinity."""
    return float(runs * np.log(max(left, 1e-9 * total) / runs) + PARAMETERS[shape] * np.log(runs))


def _fits(fit: Fit, cells: list[np.ndarray], means: np.ndarray) -> bool:
    """Whether the levels scatter about the shape no more than the seeds explain (F test)."""
    seeds = np.array([len(cell) for cell in cells])
    within = sum(((cell - cell.mean()) ** 2).sum() for cell in cells)
    left, spare = len(cells) - PARAMETERS[fit.shape], seeds.sum() - len(cells)
    if left < 1 or spare < 1 or within == 0:
        return True
    ratio = (seeds @ (means - fit.fitted) ** 2 / left) / (within / spare)
    return bool(fdtrc(left, spare, ratio) >= LACK_OF_FIT)
