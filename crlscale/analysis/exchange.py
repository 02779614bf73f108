"""How many doublings of width is one doubling of depth worth?"""

from dataclasses import dataclass

import numpy as np

from crlscale.analysis.two_way import slope_weights
from crlscale.score import CellScore
from crlscale.stats import Estimate, Ratio, ratio, signed, weighted_sum


@dataclass(frozen=True)
class Exchange:
    """What a doubling brings along each family [steps], at equal env steps and updates: the slope of
    the least-squares line of the IQMs in log2 level. `difference` is depth minus width; `rate` says how
    many doublings of width one of depth is worth."""

    depth: Estimate
    width: Estimate
    difference: Estimate
    rate: Ratio

    @property
    def verdict(self) -> str:
        """depth, width or undecided (the interval holds zero, or there is none)."""
        return {1: "depth", -1: "width", 0: "undecided"}[self.difference.sign]

    @property
    def sentence(self) -> str:
        text = (
            f"At equal env steps a doubling of depth brings {signed(self.depth, ' steps')},"
            f" one of width {signed(self.width, ' steps')} (difference {signed(self.difference, ' steps')})"
        )
        if self.rate.value is None or self.rate.value <= 0:
            return f"{text}; no exchange rate, as one of them brings nothing."
        text += f": one doubling of depth = {self.rate.value:.2g} doublings of width"
        if self.rate.low is None:
            return f"{text} (no interval: {self.rate.reason})."
        return f"{text} (95 % interval {self.rate.low:.2g} to {self.rate.high:.2g})."


def exchange(depth: tuple[CellScore, ...], width: tuple[CellScore, ...]) -> Exchange:
    """The exchange rate of two families of scored cells; one that both share counts in both."""
    scores: dict[tuple, np.ndarray] = {}
    weights: dict[str, dict[tuple, float]] = {}
    for axis, cells in (("depth", depth), ("width", width)):
        slopes = slope_weights(np.log2([cell.levels[axis] for cell in cells]))
        keys = [tuple(run.run_id for run in cell.runs) for cell in cells]
        scores |= {key: cell.scores for key, cell in zip(keys, cells, strict=True)}
        weights[axis] = dict(zip(keys, slopes, strict=True))
    one, other = (np.array([weights[axis].get(key, 0.0) for key in scores]) for axis in weights)
    every = list(scores.values())
    return Exchange(
        weighted_sum(one, every),
        weighted_sum(other, every),
        weighted_sum(one - other, every),
        ratio(one, other, every),
    )
