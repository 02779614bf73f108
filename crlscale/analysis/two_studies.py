"""Is one study better than another? Any two studies of a task, methods or protocols: cell by cell and over
all cells that both have, with what else differs between them."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from crlscale.config import RunConfig
from crlscale.errors import CrlscaleError
from crlscale.score import CellScore, StudyScores
from crlscale.stats import (
    Estimate,
    holm,
    p_value,
    probability_of_improvement,
    weighted_sum,
)


@dataclass(frozen=True)
class Pair:
    """A cell of each side at the same `levels`. `difference` is first minus second [steps],
    `improvement` the probability that a seed of the first scores above one of the second; `corrected`
    is the two-sided p of the difference after Holm over all pairs."""

    levels: dict
    first: CellScore
    second: CellScore
    difference: Estimate
    improvement: Estimate
    corrected: float | None


@dataclass(frozen=True)
class StudiesCompared:
    """First against second over the `pairs` of cells; `difference` and `improvement` are means over
    them. `differs` maps each setting that is not the same in both to its two values."""

    first: str
    second: str
    pairs: tuple[Pair, ...]
    difference: Estimate
    improvement: Estimate
    differs: dict[str, tuple]
    listed: tuple[tuple[str, str], ...]

    @property
    def verdict(self) -> str:
        """The better one's name, or undecided (the interval holds zero, or there is none)."""
        return {1: self.first, -1: self.second, 0: "undecided"}[self.difference.sign]

    @property
    def sentence(self) -> str:
        found, better = self.difference, self.improvement
        text = f"{self.first} minus {self.second}: {found.value:+.1f} steps"
        text += f" (no interval: {found.no_interval})" if found.low is None else (
            f" (95 % interval {found.low:+.1f} to {found.high:+.1f})"
        )  # fmt: skip
        text += f" over {len(self.pairs)} shared cells; probability of improvement {better.value:.2f}"
        if better.low is not None:
            text += f" ({better.low:.2f} to {better.high:.2f})"
        text += f": {self.verdict}" if self.verdict == "undecided" else f": {self.verdict} is better"
        if self.differs:
            parts = (f"{key} ({a} and {b})" for key, (a, b) in self.differs.items())
            text += f". They differ in {', '.join(parts)}"
        return f"{text}."


def compare_studies(first: StudyScores, second: StudyScores) -> StudiesCompared:
    """Compare the scored cells that both studies have, by the levels of the axes of both."""
    if first.study.name == second.study.name:
        raise CrlscaleError(
            f"study {first.study.name} is named twice", value=first.study.name, remedy="two studies"
        )
    first.require_finished()
    second.require_finished()
    first.require_same_physics(second)
    axes = tuple(dict.fromkeys([*first.study.axes, *second.study.axes]))
    pairs = [
        (a, b)
        for a, b in product(first.finished, second.finished)
        if _levels(a, axes) == _levels(b, axes)
    ]
    if not pairs:  # the studies may differ in the very axis: then by the axes that they share
        axes = tuple(axis for axis in first.study.axes if axis in second.study.axes)
        pairs = [
            (a, b) for a, b in product(first.finished, second.finished)
            if axes and _levels(a, axes) == _levels(b, axes)
        ]  # fmt: skip
    _check(first, second, pairs)
    return compare_pairs(
        first.study.name,
        second.study.name,
        [(_levels(a, axes), a, b) for a, b in pairs],
        _differences(pairs, axes),
        first.listed + second.listed,
    )


def compare_pairs(
    first: str, second: str, pairs: list[tuple], differs: dict, listed: tuple
) -> StudiesCompared:
    """The comparison of (levels, cell, cell) triples."""
    scores = [(a.scores, b.scores) for _, a, b in pairs]
    differences = [weighted_sum([1, -1], both) for both in scores]
    improvements = [probability_of_improvement(*both) for both in scores]
    corrected = holm([p_value(found) for found in differences])
    return StudiesCompared(
        first,
        second,
        tuple(
            Pair(*pair, difference, improvement, p)
            for pair, difference, improvement, p in zip(
                pairs, differences, improvements, corrected, strict=True
            )
        ),
        weighted_sum(
            np.tile([1.0, -1.0], len(pairs)) / len(pairs), [cell for both in scores for cell in both]
        ),
        mean_of(improvements),
        differs,
        listed,
    )


def mean_of(shares: list[Estimate]) -> Estimate:
    """Mean of independent shares, its interval from theirs (MOVER: half-widths add in squares)."""
    value = float(np.mean([share.value for share in shares]))
    seeds = min(share.seeds for share in shares)
    if any(share.low is None for share in shares):
        return Estimate(value, None, None, seeds, no_interval="a cell with one seed")
    below = np.sqrt(sum((share.value - share.low) ** 2 for share in shares)) / len(shares)
    above = np.sqrt(sum((share.high - share.value) ** 2 for share in shares)) / len(shares)
    return Estimate(value, float(max(0.0, value - below)), float(min(1.0, value + above)), seeds)


def _levels(cell: CellScore, axes: tuple[str, ...]) -> dict:
    return {axis: getattr(cell.config, axis) for axis in axes}


def _check(first: StudyScores, second: StudyScores, pairs: list) -> None:
    """Refuse studies without a shared cell, or of different tasks."""
    names = first.study.name, second.study.name
    tasks = [{cell.config.env for cell in scores.finished} for scores in (first, second)]
    if not tasks[0] & tasks[1] or any(a.config.env != b.config.env for a, b in pairs):
        one, other = (", ".join(sorted(of)) for of in tasks)
        raise CrlscaleError(
            f"{names[0]} is of {one}, {names[1]} of {other}: different tasks are not compared",
            value=names[1],
            remedy="two studies of one task",
        )
    if not pairs:
        raise CrlscaleError(
            f"{names[0]} and {names[1]} share no cell with a score in both",
            value=names[1],
            remedy=f"a study with levels of {', '.join(first.study.axes)} as in {names[0]}",
        )
    if len({id(a) for a, _ in pairs}) < len(pairs) or len({id(b) for _, b in pairs}) < len(pairs):
        raise CrlscaleError(
            f"{names[0]} and {names[1]} have several cells at the same shared levels",
            value=names[1],
            remedy="two studies with the same axes",
        )


def _differences(pairs: list, axes: tuple[str, ...]) -> dict[str, tuple]:
    found: dict[str, tuple] = {}
    for one, other in pairs:
        for field in RunConfig.model_fields:
            here, there = getattr(one.config, field), getattr(other.config, field)
            if field != "seed" and field not in axes and here != there:
                found.setdefault(field, (here, there))
    return found
