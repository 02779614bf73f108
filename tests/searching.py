"""Simulated searches: a planted curve, a noise, and the search asking for one score after the other."""

from collections.abc import Callable

import numpy as np

from crlscale.search import Decision, decide

LOW, HIGH = 5.0, 25.0


def noise(kind: str, sd: float, rng: np.random.Generator) -> Callable[[float], float]:
    """Score of one seed from the mean of its level: normal, exponential, or normal with a fifth of
    the learning runs at 0."""
    draws = {
        "normal": lambda mean: mean + rng.normal(0, sd),
        "exponential": lambda mean: mean + sd * (rng.exponential() - 1.0),
        "20 % zeros": lambda mean: (
            0.0 if mean > LOW and rng.random() < 0.2 else mean + rng.normal(0, sd)
        ),
    }
    return draws[kind]


def step(level: int, at: int) -> float:
    return HIGH if level >= at else LOW


def search(depths: list[int], seeds: int, score: Callable[[int], float]) -> tuple[Decision, int]:
    """The decision at the end, and how many runs it took; `score(level)` is that of the next seed."""
    scores: dict[int, list[float]] = {}
    while True:
        decision = decide(depths, scores, seeds)
        if decision.outcome is not None:
            return decision, sum(map(len, scores.values()))
        assert decision.ask
        for level, seed in decision.ask:
            assert seed == len(scores.setdefault(level, [])) and seed < seeds
            scores[level].append(score(level))
