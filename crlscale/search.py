"""Where is the jump? Which runs of a depth study to do next, from the scores so far.

Bisection in log2 depth. Every question is a contrast of the means of levels, answered by a t
interval whose variance is pooled over the seeds within all levels; while it is open, each level in
it gets one seed more, up to the planned ones. `decide` is a function of the scores alone, so a search that
is repeated asks the same. How often it is right stands in docs/search.md, by simulation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crlscale.stats import CONFIDENCE, Estimate, probability_above_zero, t_quantile

START_SEEDS = 3  # of each level before it is judged
SMALL = 0.1  # a difference below this share of the higher mean counts as none

Scores = dict[int, Sequence[float | None]]  # index of a level -> one entry a seed that has ended


@dataclass(frozen=True)
class Question:
    """A contrast of levels. `name`: ends (does the deepest differ from the shallowest?), middle (does
    the middle, where the ends do not?), side (is `level` above half the rise?), shape (is more than
    half of the rise in the interval?), ramp (is `level` above the foot, and below the top?). `answer`: above or below zero, or open."""

    name: str
    weights: dict[int, float]
    estimate: Estimate
    sure: float | None
    answer: str
    level: int | None = None


@dataclass(frozen=True)
class Decision:
    """What the scores say. `ask`: (level, seed) of the runs that would tell more; empty once
    `outcome` is there: jump, gradual, rise (of which kind was not decided), falling, flat or
    undecided. The half of the rise lies above level `low` and not above level `high`; `sure` is
    False where the planned seeds did not suffice for the outcome."""

    ask: tuple[tuple[int, int], ...]
    questions: tuple[Question, ...]
    outcome: str | None = None
    low: int | None = None
    high: int | None = None
    sure: bool = True


class _Need(Exception):
    """Raised where a question cannot be answered yet: the runs that it lacks."""

    def __init__(self, runs: list[tuple[int, int]]):
        self.runs = runs


def decide(depths: Sequence[int], scores: Scores, seeds: int) -> Decision:
    """The decision over rising `depths` with at most `seeds` seeds a level. A seed that ended
    without a score is None; it is spent."""
    if len(depths) < 2 or seeds < 2 or list(depths) != sorted(set(depths)):
        raise ValueError(f"a search needs two rising levels and two seeds; got {depths!r}, {seeds}")
    search = _Search(np.log2(np.asarray(depths, dtype=float)), scores, seeds)
    try:
        return search.decide()
    except _Need as need:
        return Decision(tuple(need.runs), tuple(search.questions), None, search.low, search.high)


class _Search:
    """One walk through the questions with the scores that are there."""

    def __init__(self, x: np.ndarray, scores: Scores, seeds: int):
        self.x, self.scores, self.seeds = x, scores, seeds
        self.questions: list[Question] = []
        self.low: int | None = None
        self.high: int | None = None

    def decide(self) -> Decision:
        first, last = 0, len(self.x) - 1
        middle = self._between(first, last, set())
        start = [first, last] if middle is None else [first, middle, last]
        self._require(start)
        top, other = last, self._contrast("ends", {last: 1.0, first: -1.0})
        if other.answer != "above" and middle is not None:
            top, other = middle, self._contrast("middle", {middle: 1.0, first: -1.0})
        if other.answer != "above":
            return self._no_rise(first)
        return self._bisect(first, top)

    def _no_rise(self, first: int) -> Decision:
        ends = self.questions[0]
        if ends.answer == "below":
            return Decision((), tuple(self.questions), "falling")
        small = all(self._is_small(question, first) for question in self.questions)
        return Decision((), tuple(self.questions), "flat" if small else "undecided", sure=small)

    def _is_small(self, question: Question, first: int) -> bool:
        """Whether the interval of a difference lies within SMALL of the higher mean."""
        low, high = question.estimate.low, question.estimate.high
        if low is None:
            return question.estimate.value == 0.0
        other = next(level for level in question.weights if level != first)
        higher = max(abs(np.mean(self._values(level))) for level in (first, other))
        return max(abs(low), abs(high)) <= SMALL * higher

    def _bisect(self, first: int, top: int) -> Decision:
        self.low, self.high = first, top
        undecided: set[int] = set()
        while (level := self._between(self.low, self.high, undecided)) is not None:
            weights = {level: 1.0, first: -0.5, top: -0.5}
            answer = self._contrast("side", weights, level).answer
            if answer == "above":
                self.high = level
            elif answer == "below":
                self.low = level
            else:
                undecided.add(level)
        weights = dict.fromkeys((self.low, self.high, first, top), 0.0)
        for level, weight in ((self.high, 1.0), (self.low, -1.0), (first, 0.5), (top, -0.5)):
            weights[level] += weight
        shape = self._contrast("shape", {level: w for level, w in weights.items() if w})
        outcome, sure = "jump" if shape.estimate.value > 0 else "gradual", shape.answer != "open"
        if self.high - self.low > 1 and outcome == "jump":
            sure = any(self._on_a_ramp(each, first, top) for each in sorted(undecided))
            outcome = "gradual" if sure else "rise"
        return Decision((), tuple(self.questions), outcome, self.low, self.high, sure)

    def _on_a_ramp(self, level: int, first: int, top: int) -> bool:
        """Whether a level between `low` and `high` is above the foot and below the top of the rise."""
        if not self.low < level < self.high:
            return False
        ramps = ({level: 1.0, first: -1.0}, {top: 1.0, level: -1.0})
        return all(self._contrast("ramp", weights, level).answer == "above" for weights in ramps)

    def _between(self, low: int, high: int, without: set[int]) -> int | None:
        """The level nearest to the middle of two in log2 depth; None if there is none."""
        levels = [level for level in range(low + 1, high) if level not in without]
        centre = (self.x[low] + self.x[high]) / 2
        return min(levels, key=lambda level: (abs(self.x[level] - centre), level), default=None)

    def _contrast(self, name: str, weights: dict[int, float], level: int | None = None) -> Question:
        """The answer with the seeds that there are; raises _Need while more could tell more."""
        self._require(list(weights))
        found = self._estimate(weights)
        sure = probability_above_zero(found)
        if sure is None and found.value != 0 and not math.isnan(found.value):
            sure = float(found.value > 0)  # the seeds of each level are all equal
        answer = "open"
        if sure is not None and max(sure, 1 - sure) > (1 + CONFIDENCE) / 2:
            answer = "above" if sure > 0.5 else "below"
        more = [(each, self._tried(each)) for each in weights if self._tried(each) < self.seeds]
        if answer == "open" and more:
            raise _Need(more)
        question = Question(name, weights, found, sure, answer, level)
        self.questions.append(question)
        return question

    def _estimate(self, weights: dict[int, float]) -> Estimate:
        """sum of weight * mean score; NaN while a level has no score."""
        cells = {level: self._values(level) for level in self.scores}
        seeds = min(len(cells[level]) for level in weights)
        if seeds == 0:
            return Estimate(math.nan, None, None, 0, no_interval="a level without a score")
        value = float(sum(weight * cells[level].mean() for level, weight in weights.items()))
        freedom = sum(max(0, len(cell) - 1) for cell in cells.values())
        squares = sum(((cell - cell.mean()) ** 2).sum() for cell in cells.values() if len(cell))
        if freedom == 0 or squares == 0:
            return Estimate(value, None, None, seeds, no_interval="no seeds that differ")
        parts = sum(weight**2 / len(cells[level]) for level, weight in weights.items())
        error = math.sqrt(parts * squares / freedom)
        half = t_quantile(freedom) * error
        return Estimate(value, value - half, value + half, seeds, error, freedom)

    def _require(self, levels: list[int]) -> None:
        start = min(START_SEEDS, self.seeds)
        missing = [(each, seed) for each in levels for seed in range(self._tried(each), start)]
        if missing:
            raise _Need(missing)

    def _tried(self, level: int) -> int:
        return len(self.scores.get(level, ()))

    def _values(self, level: int) -> np.ndarray:
        return np.array([score for score in self.scores.get(level, ()) if score is not None])
