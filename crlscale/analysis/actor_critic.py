"""Should depth go to the actor or to the critic, and is an actor of half the critic's depth as good?"""

from dataclasses import dataclass

import numpy as np

from crlscale.analysis.saturation import MARGIN_SHARE
from crlscale.analysis.two_way import TwoWay, grids, slope_weights, two_way
from crlscale.score import StudyScores
from crlscale.stats import CONFIDENCE, Estimate, relation, signed, upper_limit, weighted_sum

AXES = ("actor_depth", "critic_depth")


@dataclass(frozen=True)
class HalfRule:
    """Actor of half the critic's depth minus actor of equal depth [steps]: at each critic depth where
    both were run, and on average. `margin` [steps] is what "as good" may fall short by; `lower` is the
    one-sided 95 % limit of the average."""

    pairs: tuple[tuple[int, Estimate], ...]
    average: Estimate
    margin: float
    lower: float | None

    @property
    def verdict(self) -> str:
        if self.lower is not None and self.lower > -self.margin:
            return "as good"
        if self.average.high is not None and self.average.high < 0:
            return "worse"
        return "undecided"


@dataclass(frozen=True)
class ActorCritic:
    """`grid` has the actor's depth down and the critic's across. `difference` is what a doubling of the
    critic brings more than one of the actor, `joint` what doubling both brings [steps]; None where the
    grid has holes. `half` is None where no critic depth was run with an actor of half of it and of all."""

    grid: TwoWay
    difference: Estimate | None
    joint: Estimate | None
    half: HalfRule | None

    @property
    def verdict(self) -> str:
        """critic, actor or undecided."""
        found = self.difference
        return {1: "critic", -1: "actor", 0: "undecided"}[found.sign if found else 0]

    @property
    def sentence(self) -> str:
        actor, critic = self.grid.main
        text = "The grid has holes, so the effects of both depths are not averaged"
        if self.difference is not None:
            starts = {"undecided": "Neither network is shown to need the depth more"}
            text = starts.get(self.verdict, f"Depth pays more in the {self.verdict}")
            text += f": a doubling brings {signed(critic)} in the critic, {signed(actor)} in the actor"
            text += f", {signed(self.joint)} in both; critic minus actor {signed(self.difference)}"
        if self.grid.p_value is not None:
            text += f"; wild bootstrap p of additive effects {relation(self.grid.p_value)}"
        if self.half is None:
            return f"{text}. No pair of cells tests the rule of half the depth for the actor."
        return (
            f"{text}. An actor of half the critic's depth is {self.half.verdict}"
            f" (half minus equal {signed(self.half.average)}; margin {self.half.margin:.1f} steps)."
        )


def actor_critic(
    scores: StudyScores, rng: np.random.Generator, margin: float | None = None
) -> list[ActorCritic]:
    """One result for each combination of the levels of the other axes; `margin` in steps, a tenth of
    the best cell's IQM if None."""
    return [
        _result(two_way(scores.study.name, AXES, fixed, cells, rng), margin)
        for fixed, cells in grids(scores, AXES)
    ]


def _result(grid: TwoWay, margin: float | None) -> ActorCritic:
    half = _half_rule(grid, margin)
    if any(found is None for found in grid.main):
        return ActorCritic(grid, None, None, half)
    x, y = (np.log2(levels) for levels in grid.levels)
    actor = np.repeat(slope_weights(x) / len(y), len(y))
    critic = np.tile(slope_weights(y) / len(x), len(x))
    cells = [cell.scores for cell in grid.flat]
    return ActorCritic(
        grid, weighted_sum(critic - actor, cells), weighted_sum(critic + actor, cells), half
    )


def _half_rule(grid: TwoWay, margin: float | None) -> HalfRule | None:
    at = {tuple(cell.levels[axis] for axis in AXES): cell for cell in grid.flat}
    pairs = [(c, at[c // 2, c], at[c, c]) for c in grid.levels[1] if {(c // 2, c), (c, c)} <= at.keys()]
    if not pairs:
        return None
    found = tuple((c, weighted_sum([1, -1], [h.scores, e.scores])) for c, h, e in pairs)
    cells = [cell.scores for _, *both in pairs for cell in both]
    average = weighted_sum(np.tile([1.0, -1.0], len(pairs)) / len(pairs), cells)
    if margin is None:
        margin = MARGIN_SHARE * grid.best.estimate.value
    upper = upper_limit(average, CONFIDENCE)
    return HalfRule(found, average, margin, None if upper is None else 2 * average.value - upper)
