"""Does depth pay more, against width, where observations are larger? One task is one point."""

import itertools
import math
from dataclasses import dataclass

import numpy as np

from crlscale.analysis.width_vs_depth import WidthVsDepth
from crlscale.errors import CrlscaleError
from crlscale.stats import SIGNIFICANCE, Estimate, relation

EXACT = 8  # tasks up to which all orders are tried
DRAWS = 20_000


@dataclass(frozen=True)
class TaskPoint:
    """A task: the size of its state, and depth minus width at equal parameters, and what a doubling of
    either brings, all in shares of its episode so that tasks can stand side by side."""

    env: str
    observation_size: int
    advantage: Estimate | None
    depth: Estimate
    width: Estimate


@dataclass(frozen=True)
class ObservationSize:
    """`points` by rising observation size; `correlation` is Spearman's of size and what depth brings more
    than width a doubling, `p_value` two-sided by permuting the tasks (None below four tasks)."""

    points: tuple[TaskPoint, ...]
    correlation: float | None
    p_value: float | None

    @property
    def sentence(self) -> str:
        listed = ", ".join(
            f"{p.env} (state {p.observation_size}) {p.depth.value - p.width.value:+.1%}"
            for p in self.points
        )
        text = (
            f"What a doubling of depth brings more than one of width, in shares of an episode: {listed}"
        )
        if self.p_value is None:
            return f"{text}. With {len(self.points)} tasks no trend is tested (4 are needed)."
        shown = "a trend" if self.p_value <= SIGNIFICANCE else "no trend shown"
        return (
            f"{text}. Over observation size: {shown} (Spearman {self.correlation:+.2f},"
            f" permutation p {relation(self.p_value)})."
        )


def observation_size(results: list[WidthVsDepth]) -> ObservationSize:
    """The trend over `results`, one a task."""
    envs = [result.depth.cells[0].config.env for result in results]
    if len(set(envs)) < max(2, len(envs)):
        raise CrlscaleError(
            f"one depth and one width study of each of two tasks or more are needed; got {', '.join(envs)}",
            value=envs,
            remedy="crlscale compare observation-size DEPTH_1 WIDTH_1 DEPTH_2 WIDTH_2",
        )
    points = tuple(sorted((_point(r) for r in results), key=lambda p: p.observation_size))
    sizes = [point.observation_size for point in points]
    gains = [point.depth.value - point.width.value for point in points]
    if len(points) < 4 or len(set(sizes)) < 2:
        return ObservationSize(points, None, None)
    correlation = _spearman(sizes, gains)
    if len(points) <= EXACT:
        orders = itertools.permutations(gains)
    else:
        rng = np.random.default_rng(0)
        orders = (rng.permutation(gains) for _ in range(DRAWS))
    found = [abs(_spearman(sizes, order)) >= abs(correlation) - 1e-12 for order in orders]
    return ObservationSize(points, correlation, float(np.mean(found)))


def _point(result: WidthVsDepth) -> TaskPoint:
    config = result.depth.cells[0].config
    parts = (result.comparisons[0].difference, result.exchange.depth, result.exchange.width)
    scaled = (part and _scaled(part, config.episode_length) for part in parts)
    return TaskPoint(config.env, config.task.state_size, *scaled)


def _scaled(found: Estimate, steps: int) -> Estimate:
    low, high = (None if end is None else end / steps for end in (found.low, found.high))
    return Estimate(found.value / steps, low, high, found.seeds, no_interval=found.no_interval)


def _spearman(one, other) -> float:
    ranks = [_ranks(np.asarray(values, dtype=float)) for values in (one, other)]
    centred = [rank - rank.mean() for rank in ranks]
    scale = math.sqrt((centred[0] ** 2).sum() * (centred[1] ** 2).sum())
    return float(centred[0] @ centred[1] / scale) if scale else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, ties at their mean."""
    return ((values[:, None] > values).sum(1) + (values[:, None] >= values).sum(1) + 1) / 2
