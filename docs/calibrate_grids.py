"""More parts of docs/calibrate.py: the interaction of two axes, comparisons, saturation and predictions."""

from functools import partial

import numpy as np
from calibrate_parts import entry
from scipy.special import ndtr

from crlscale import stats
from crlscale.analysis.scaling_laws import predict
from crlscale.analysis.two_way import interaction_p, slope_weights

DRAWS = 200
SEEDS = (3, 5, 10)
TESTED = 0.05
SHARES = (0.5, 0.75, 0.95)
BASES = (2.0, 5.0)


# --- interaction ----------------------------------------------------------------------------
DOWN, ACROSS = 3, 5  # levels: depth and batch size
# name: (what each doubling of depth adds to the gain of a doubled batch [sd], noise, growth of the spread)
INTERACTIONS = {
    "effects add, normal": (0.0, "normal", 1),
    "effects add, exponential": (0.0, "exponential", 1),
    "effects add, spread grows 4-fold with depth": (0.0, "normal", 4),
    "0.25 sd a doubling of both": (0.25, "normal", 1),
    "0.5 sd a doubling of both": (0.5, "normal", 1),
}


def interactions(truth: str, seeds: int, rng: np.random.Generator, studies: int) -> dict:
    """Shares of studies in which the test of additive effects and the interval see an interaction, and of
    intervals that hold the true one."""
    size, noise, growth = INTERACTIONS[truth]
    down, across = np.arange(DOWN), np.arange(ACROSS)
    mean = down[:, None] + 0.5 * across + size * down[:, None] * across
    spread = growth ** (down / (DOWN - 1))
    weights = np.outer(slope_weights(down * 1.0), slope_weights(across * 1.0)).ravel()
    places = [(i, j) for i in down for j in across]
    tested = seen = held = 0
    for _ in range(studies):
        shape = (DOWN, ACROSS, seeds)
        drawn = rng.exponential(1, shape) - 1 if noise == "exponential" else rng.normal(0, 1, shape)
        cells = list((mean[..., None] + spread[:, None, None] * drawn).reshape(-1, seeds))
        tested += interaction_p(places, cells, rng, DRAWS) <= TESTED
        found = stats.weighted_sum(weights, cells)
        seen += not found.low <= 0 <= found.high
        held += found.low <= size <= found.high
    return {"tested": tested / studies, "seen": seen / studies, "held": held / studies}


def interactions_table(known: dict) -> list[str]:
    lines = [
        "Each entry: " + " / ".join(map(str, SEEDS)) + " seeds.",
        "",
        "| truth | wild bootstrap p <= 0.05 | interval without zero | interval holds the truth |",
        "|---|---|---|---|",
    ]
    return lines + [_line(known, t, ("tested", "seen", "held")) for t in INTERACTIONS]


# --- comparisons ----------------------------------------------------------------------------
def improvement_held(share: float, seeds: int, rng: np.random.Generator, studies: int) -> dict:
    """Share of the intervals of the probability of improvement that hold the true one."""
    gaps = np.linspace(0, 5, 5001)
    gap = gaps[np.abs(ndtr(gaps / np.sqrt(2)) - share).argmin()]
    held = 0
    for _ in range(studies):
        found = stats.probability_of_improvement(rng.normal(gap, 1, seeds), rng.normal(0, 1, seeds))
        held += found.low <= share <= found.high
    return {"held": held / studies}


def ratio_held(base: float, seeds: int, rng: np.random.Generator, studies: int) -> dict:
    """Share of Fieller's intervals that hold a ratio of two, the lower mean `base` sd above zero, among
    those that exist, and the share that exists."""
    held = there = 0
    for _ in range(studies):
        cells = [rng.normal(2 * base, 1, seeds), rng.normal(base, 1, seeds)]
        found = stats.ratio([1, 0], [0, 1], cells)
        if found.low is not None:
            there += 1
            held += found.low <= 2 <= found.high
    return {"held": held / max(there, 1), "there": there / studies}


def compared_table(known: dict) -> list[str]:
    lines = [
        "| interval | " + " | ".join(f"{n} seeds" for n in SEEDS) + " |",
        "|---" * (1 + len(SEEDS)) + "|",
    ]
    rows = {f"probability of improvement, truth {p}": (f"improvement {p}", "held") for p in SHARES}
    for base in BASES:
        rows[f"ratio of 2, lower mean {base:g} sd above 0: has an interval"] = (
            f"ratio {base}",
            "there",
        )
        rows[f"the same: of these, holds it, at {base:g} sd"] = (f"ratio {base}", "held")
    for words, (name, key) in rows.items():
        found = [entry(known, [f"{name} {seeds}"], key, 3) for seeds in SEEDS]
        lines.append(f"| {words} | " + " | ".join(found) + " |")
    return lines


# --- limits ---------------------------------------------------------------------------------
LEVELS = 6
# name: (gain to each next level [sd], margin [sd])
SATURATIONS = {
    "every gain is the margin": ([1.0] * 5, 1.0),
    "plateau from level 3, margin 2 sd": ([4.0, 4.0, 0.0, 0.0, 0.0], 2.0),
    "plateau from level 3, margin 4 sd": ([8.0, 8.0, 0.0, 0.0, 0.0], 4.0),
}


def saturations(truth: str, seeds: int, rng: np.random.Generator, studies: int) -> dict:
    """Shares of studies in which some gain is called below the margin that is not, and in which the true
    level is the one found."""
    gains, margin = SATURATIONS[truth]
    means = np.concatenate([[0.0], np.cumsum(gains)])
    wrong = right = 0
    for _ in range(studies):
        cells = rng.normal(means[:, None], 1, (LEVELS, seeds))
        changes = [stats.weighted_sum([1, -1], [cells[i + 1], cells[i]]) for i in range(LEVELS - 1)]
        limits = [stats.upper_limit(change, 1 - TESTED / (LEVELS - 1)) for change in changes]
        below = [i for i, limit in enumerate(limits) if limit < margin]
        wrong += any(gains[i] >= margin for i in below)
        right += (
            bool(below)
            and gains[below[0]] < margin
            and (below[0] == 0 or gains[below[0] - 1] >= margin)
        )
    return {"wrong": wrong / studies, "right": right / studies}


LAW_TRUTHS = {
    "saturating": lambda x: 20 - 16 / x,
    "power": lambda x: 8 * x**0.2,
    "logarithm": lambda x: 8 + 2 * np.log2(x),
}


def predictions_held(name: str, seeds: int, rng: np.random.Generator, studies: int) -> dict:
    """Share of the 95 % prediction intervals at twice the largest level that hold a new cell's mean,
    where the law is the truth."""
    levels = 2.0 ** np.arange(1, 7)
    held = 0
    for _ in range(studies):
        cells = list(rng.normal(LAW_TRUTHS[name](levels)[:, None], 1.5, (len(levels), seeds)))
        (found,) = predict(name, levels, cells, [128], 50.0, rng, DRAWS)
        new = rng.normal(LAW_TRUTHS[name](128.0), 1.5, seeds).mean()
        held += found.low <= new <= found.high
    return {"held": held / studies}


def limits_table(known: dict) -> list[str]:
    seeds = " / ".join(map(str, SEEDS))
    lines = [
        f"Each entry: {seeds} seeds.",
        "",
        "| truth | a false claim | the true level |",
        "|---|---|---|",
    ]
    for truth in SATURATIONS:
        lines.append(_line(known, truth, ("wrong", "right")))
    lines += ["", "| law, and truth | prediction interval holds a new cell |", "|---|---|"]
    for name in LAW_TRUTHS:
        lines.append(_line(known, name, ("held",)))
    return lines


def _line(known: dict, truth: str, keys: tuple[str, ...]) -> str:
    names = [f"{truth} {seeds}" for seeds in SEEDS]
    return f"| {truth} | " + " | ".join(entry(known, names, key, 3) for key in keys) + " |"


PARTS = {
    "interactions": (
        {f"{t} {n}": partial(interactions, t, n) for t in INTERACTIONS for n in SEEDS},
        interactions_table,
    ),
    "comparisons": (
        {
            f"improvement {p} {n}": partial(improvement_held, p, n)
            for p in (0.5, 0.75, 0.95)
            for n in SEEDS
        }
        | {f"ratio {b} {n}": partial(ratio_held, b, n) for b in BASES for n in SEEDS},
        compared_table,
    ),
    "limits": (
        {f"{t} {n}": partial(saturations, t, n) for t in SATURATIONS for n in SEEDS}
        | {f"{name} {n}": partial(predictions_held, name, n) for name in LAW_TRUTHS for n in SEEDS},
        limits_table,
    ),
}
