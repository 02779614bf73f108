"""What does the largest level of an axis score over the smallest, or the second of two over the first?"""

import itertools
from dataclasses import dataclass

from crlscale.score import CellScore, StudyScores
from crlscale.stats import Estimate, weighted_sum


@dataclass(frozen=True)
class Ends:
    """Along `axis`: `difference` is the IQM at level `last` minus that at level `first` [steps],
    averaged over the `pairs` combinations of the other axes where both have a score. Several axes that
    change together are one, their names and levels in one text. Scores of several tasks are not averaged:
    then it is that on the task `env`."""

    axis: str
    first: object
    last: object
    pairs: int
    difference: Estimate
    env: str | None = None

    @property
    def sentence(self) -> str:
        """The difference and its interval."""
        word, found = self.axis.replace("_", " "), self.difference
        text = f"From {word} {self.first} to {self.last} the score changes by {found.value:+.1f} steps"
        text += f" on {self.env}" * (self.env is not None)
        if found.low is None:
            text += f" (no interval: {found.no_interval})"
        else:
            text += f" (95 % interval {found.low:+.1f} to {found.high:+.1f})"
        return f"{text}{f', averaged over {self.pairs} combinations of the other axes' * (self.pairs > 1)}."


def axis_ends(scores: StudyScores) -> list[Ends]:
    """One result for each axis of numbers, or of two levels, that has two scored levels, on each task.
    Where there is none and only two cells have a score: one result between those, all their axes
    together."""
    axes = {axis: levels for axis, levels in scores.study.axes.items() if axis != "env"}
    tasks = scores.study.axes.get("env", [None])
    results = []
    for axis, levels in axes.items():
        numbers = all(isinstance(level, int | float) for level in levels)
        if not numbers and len(levels) != 2:
            continue
        for env in tasks:
            cells = [cell for cell in scores.finished if env in (None, cell.levels.get("env"))]
            found = {cell.levels[axis] for cell in cells}
            scored = sorted(found) if numbers else [level for level in levels if level in found]
            if len(scored) >= 2:
                results += _ends(axes, cells, axis, (scored[0], scored[-1]), env)
    if not results and len(scores.finished) == 2:
        return [_between(*scores.finished)]
    return results


def _between(one: CellScore, other: CellScore) -> Ends:
    axes = [axis for axis, level in one.levels.items() if other.levels[axis] != level]
    first, last = (" / ".join(str(cell.levels[axis]) for axis in axes) for cell in (one, other))
    return Ends(" / ".join(axes), first, last, 1, weighted_sum([-1, 1], [one.scores, other.scores]))


def _ends(axes: dict, finished: list[CellScore], axis: str, ends: tuple, env: str | None) -> list[Ends]:
    others = {key: levels for key, levels in axes.items() if key != axis}
    cells = {tuple(cell.levels[key] for key in axes): cell.scores for cell in finished}
    pairs = []
    for held in itertools.product(*others.values()):
        fixed = dict(zip(others, held, strict=True))
        keys = [tuple({**fixed, axis: end}[key] for key in axes) for end in ends]
        if all(key in cells for key in keys):
            pairs.append([cells[key] for key in keys])
    if not pairs:
        return []
    weights = [-1 / len(pairs), 1 / len(pairs)] * len(pairs)
    flat = [cell for pair in pairs for cell in pair]
    return [Ends(axis, *ends, len(pairs), weighted_sum(weights, flat), env)]
