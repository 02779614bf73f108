"""What does the largest level of an axis score over the smallest?"""

import itertools
from dataclasses import dataclass

from crlscale.score import CellScore, StudyScores
from crlscale.stats import Estimate, weighted_sum


@dataclass(frozen=True)
class Ends:
    """Along `axis`: `difference` is the IQM at level `last` minus that at level `first` [steps],
    averaged over the `pairs` combinations of the other axes where both have a score. Several axes that
    change together are one, their names and levels in one text."""

    axis: str
    first: object
    last: object
    pairs: int
    difference: Estimate

    @property
    def sentence(self) -> str:
        """The difference and its interval."""
        word, found = self.axis.replace("_", " "), self.difference
        text = f"From {word} {self.first} to {self.last} the score changes by {found.value:+.1f} steps"
        if found.low is None:
            text += f" (no interval: {found.no_interval})"
        else:
            text += f" (95 % interval {found.low:+.1f} to {found.high:+.1f})"
        return f"{text}{f', averaged over {self.pairs} combinations of the other axes' * (self.pairs > 1)}."


def axis_ends(scores: StudyScores) -> list[Ends]:
    """One result for each axis of numbers that has two scored levels. Where there is none and only two
    cells have a score: one result between those, all their axes together."""
    axes = scores.study.axes
    results = []
    for axis, levels in axes.items():
        if not all(isinstance(level, int | float) for level in levels):
            continue
        scored = sorted({cell.levels[axis] for cell in scores.finished})
        if len(scored) < 2:
            continue
        results += _ends(scores, axis, scored[0], scored[-1])
    if not results and len(scores.finished) == 2:
        return [_between(*scores.finished)]
    return results


def _between(one: CellScore, other: CellScore) -> Ends:
    axes = [axis for axis, level in one.levels.items() if other.levels[axis] != level]
    first, last = (" / ".join(str(cell.levels[axis]) for axis in axes) for cell in (one, other))
    return Ends(" / ".join(axes), first, last, 1, weighted_sum([-1, 1], [one.scores, other.scores]))


def _ends(scores: StudyScores, axis: str, first, last) -> list[Ends]:
    others = {key: levels for key, levels in scores.study.axes.items() if key != axis}
    cells = {tuple(cell.levels.items()): cell.scores for cell in scores.finished}
    pairs = []
    for held in itertools.product(*others.values()):
        fixed = dict(zip(others, held, strict=True))
        keys = [
            tuple((key, {**fixed, axis: end}[key]) for key in scores.study.axes)
            for end in (first, last)
        ]
        if all(key in cells for key in keys):
            pairs.append([cells[key] for key in keys])
    if not pairs:
        return []
    weights = [-1 / len(pairs), 1 / len(pairs)] * len(pairs)
    flat = [cell for pair in pairs for cell in pair]
    return [Ends(axis, first, last, len(pairs), weighted_sum(weights, flat))]
