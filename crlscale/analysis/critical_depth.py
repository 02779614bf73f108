"""At which depth does performance jump, if it does?

The seeds' scores are fitted by a constant, a line in log2 depth, one step, a sigmoid, and two or
three steps (find_step.py). The critical depth is the smallest level above the first change point of
the shape that won; its interval is the range of levels over a bootstrap of the seeds within the
cells. Error rates, by simulation, stand in docs/method.md."""

import itertools
from dataclasses import dataclass, field

import numpy as np

from crlscale.analysis.find_step import find_step
from crlscale.errors import CrlscaleError
from crlscale.score import CellScore, StudyScores
from crlscale.stats import Estimate, Ratio, holm, p_value, ratio, relation, weighted_sum

DEPTH_AXES = ("depth", "actor_depth", "critic_depth")
MISFIT = "a step does not explain all levels"


@dataclass(frozen=True)
class Jump:
    """One change: the level above it with the ends of its interval. `size` is the plateau above minus
    the plateau below [steps], each the mean of its levels' IQMs; `ratio` the one over the other. Both
    intervals take the place of the change as known."""

    depth: int
    low: int
    high: int
    size: Estimate
    ratio: Ratio

    @property
    def words(self) -> str:
        text = f"{self.size.value:+.1f} steps"
        if self.size.low is not None:
            text += f" [{self.size.low:+.1f}, {self.size.high:+.1f}]"
        if self.ratio.low is not None:
            text += f", {self.ratio.value:.2g} times [{self.ratio.low:.2g}, {self.ratio.high:.2g}]"
        return text


@dataclass(frozen=True)
class Gain:
    """From one level to the next: the change of the IQM [steps], its two-sided p, and the same
    corrected for all gains of the study (Holm)."""

    depth: int
    following: int
    change: Estimate
    p_value: float | None
    corrected: float | None


@dataclass(frozen=True)
class CriticalDepth:
    """What the scores of `cells` (by rising depth) say about a step.

    `shape` is step, sigmoid, 2 steps, 3 steps, gradual, falling, flat, irregular (levels differ, but
    by none of these) or untested (`reason` says why). `jumps` has every change, the first of which is
    the critical depth; `gains` compares neighbouring levels. `p_gradual` belongs to "a line explains
    it as well". `depth`, `low`, `high` are levels; None without a step. `below` and `above` are the fitted scores of the
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
    p_gradual: float | None = None
    jumps: tuple[Jump, ...] = ()
    gains: tuple[Gain, ...] = ()

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
            if self.shape == "gradual" and self.p_gradual is not None:
                text += f", and a step is not told from that (p {relation(self.p_gradual)})"
        else:
            how = f", over {self.rise:.1f} doublings" if self.rise else ""
            text = (
                f"Critical {name} {self.depth} (95 % interval {self.range},"
                f" {'bracketed' if self.bracketed else 'not bracketed'}):"
                f" fitted scores rise from {self.below:.1f} to {self.above:.1f} steps{how}"
            )
            if len(self.jumps) > 1:
                text += f", in {len(self.jumps)} jumps: " + "; ".join(
                    f"at {jump.depth} [{jump.low}, {jump.high}] {jump.words}" for jump in self.jumps
                )
            elif self.jumps:
                text += f"; levels from {self.depth} on against those below {self.jumps[0].words}"
        if self.p_value is not None:
            text += f" (permutation p {relation(self.p_value)})"
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
    about["gains"] = gains(axis, scored)
    reason = _untestable([len(cell.scores) for cell in scored])
    if reason:
        return CriticalDepth(**about, shape="untested", reason=reason)
    depths = np.array([cell.levels[axis] for cell in scored])
    found = find_step(np.log2(depths), [cell.scores for cell in scored], rng)
    about |= {"shape": found.shape, "p_value": found.p_value, "bic": found.bic, "fits": found.fits}
    about["p_gradual"] = found.p_gradual
    if found.level is None:
        return CriticalDepth(**about)
    depth, low, high = (int(depths[index]) for index in (found.level, *found.interval))
    return CriticalDepth(
        **about,
        depth=depth,
        low=low,
        high=high,
        bracketed=bool(depths[0] < low and high < depths[-1]),
        below=float(found.fit.fitted[0]),
        above=float(found.fit.fitted[-1]),
        rise=found.fit.rise,
        jumps=_jumps(depths, found, [cell.scores for cell in scored]),
    )


def gains(axis: str, cells: list[CellScore]) -> tuple[Gain, ...]:
    """The change from each scored cell to the next one along `axis`."""
    changes = [
        weighted_sum([1, -1], [after.scores, before.scores])
        for before, after in itertools.pairwise(cells)
    ]
    p_values = [p_value(change) for change in changes]
    return tuple(
        Gain(before.levels[axis], after.levels[axis], change, p, corrected)
        for (before, after), change, p, corrected in zip(
            itertools.pairwise(cells), changes, p_values, holm(p_values), strict=True
        )
    )


def _jumps(depths: np.ndarray, found, scores: list[np.ndarray]) -> tuple[Jump, ...]:
    """Each change with the plateaus beside it."""
    ends = [0, *found.levels, len(depths)]
    jumps = []
    for index, (level, interval) in enumerate(zip(found.levels, found.intervals, strict=True)):
        below, above = np.zeros(len(depths)), np.zeros(len(depths))
        below[ends[index] : level] = 1 / (level - ends[index])
        above[level : ends[index + 2]] = 1 / (ends[index + 2] - level)
        low, high = (int(depths[end]) for end in interval)
        size = weighted_sum(above - below, scores)
        jumps.append(Jump(int(depths[level]), low, high, size, ratio(above, below, scores)))
    return tuple(jumps)


def _untestable(seeds: list[int]) -> str:
    if len(seeds) < 3:
        return "fewer than 3 levels have a score"
    if np.median(seeds) < 2:
        return "one seed a level does not tell a step from noise"
    return ""
