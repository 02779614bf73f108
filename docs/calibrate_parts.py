"""What docs/calibrate.py simulates: for each part its cells (name -> measure(rng, studies) -> shares)
and the table made of them."""

from functools import partial

import numpy as np

from crlscale import stats
from crlscale.analysis.find_step import find_step

DRAWS = 200  # permutations and bootstrap samples of each simulated study; the commands use 2,000
STEP_SHAPES = ("step", "sigmoid", "2 steps", "3 steps")
NOISES = {
    "normal": lambda rng, size: rng.normal(0, 1, size),
    "exponential": lambda rng, size: rng.exponential(1, size) - 1,
    "bimodal": lambda rng, size: rng.choice([-1.0, 1.0], size) + rng.normal(0, 0.25, size),
}


# --- the interval of a cell -----------------------------------------------------------------
POPULATIONS = {
    "normal": lambda rng, size: rng.normal(20, 3, size),
    "skewed": lambda rng, size: rng.exponential(10, size),
    "20 % zeros": lambda rng, size: np.where(rng.random(size) < 0.2, 0, rng.normal(20, 4, size)),
    "40 % zeros": lambda rng, size: np.where(rng.random(size) < 0.4, 0, rng.normal(20, 4, size)),
    "bimodal": lambda rng, size: rng.normal(np.where(rng.random(size) < 0.5, 5, 25), 2.0),
}
SEEDS_OF_CELLS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 30)


def cover_iqm(population: str, seeds: int, rng: np.random.Generator, studies: int) -> dict:
    """Share of the intervals that hold the population's IQM, over ten times `studies` samples."""
    draw = POPULATIONS[population]
    truth = stats.iqm(draw(rng, 2_000_000))
    samples = draw(rng, (10 * studies, seeds))
    values, half = stats.iqm(samples), stats.t_quantile(seeds - 1) * stats.standard_error(samples)
    held = np.abs(values - truth) <= half
    return {"held": float(held.mean()), "width": float(2 * half.mean())}


def cells_table(known: dict) -> list[str]:
    lines = ["| seeds | " + " | ".join(POPULATIONS) + " |", "|---" * (1 + len(POPULATIONS)) + "|"]
    for seeds in SEEDS_OF_CELLS:
        shares = [entry(known, [f"{p} {seeds}"], "held", 2) for p in POPULATIONS]
        lines.append(f"| {seeds} | " + " | ".join(shares) + " |")
    return lines


# --- the critical depth ---------------------------------------------------------------------
# name: (true means of the levels [sd of the seeds], indices of the levels above a change)
TRUTHS = {
    "flat, normal": ([0] * 6, ()),
    "flat, exponential": ([0] * 6, ()),
    "flat, bimodal": ([0] * 6, ()),
    "flat, 30 % zeros": ([0] * 6, ()),
    "flat, spread grows 8-fold": ([0] * 6, ()),
    "line, 0.5 sd a level": ([0, 0.5, 1, 1.5, 2, 2.5], ()),
    "line, 1 sd a level": ([0, 1, 2, 3, 4, 5], ()),
    "line, 2 sd a level": ([0, 2, 4, 6, 8, 10], ()),
    "step of 1 sd in the middle": ([0, 0, 0, 1, 1, 1], (3,)),
    "step of 1.5 sd": ([0, 0, 0, 1.5, 1.5, 1.5], (3,)),
    "step of 2 sd": ([0, 0, 0, 2, 2, 2], (3,)),
    "step of 3 sd": ([0, 0, 0, 3, 3, 3], (3,)),
    "step of 5 sd": ([0, 0, 0, 5, 5, 5], (3,)),
    "step of 3 sd, exponential": ([0, 0, 0, 3, 3, 3], (3,)),
    "step of 3 sd, bimodal": ([0, 0, 0, 3, 3, 3], (3,)),
    "step of 3 sd, 30 % zeros": ([0, 0, 0, 3, 3, 3], (3,)),
    "step of 3 sd in the last gap": ([0, 0, 0, 0, 0, 3], (5,)),
    "two steps of 4 sd": ([0, 0, 4, 4, 8, 8], (2, 4)),
    "saturating": ([0, 1.5, 2.5, 3.25, 3.75, 4], ()),
}
SEEDS_OF_STUDIES = (3, 5, 10)
CALLS, LONGEST = 500, 10


def _study(truth: str, means: list, seeds: int, rng: np.random.Generator) -> list[np.ndarray]:
    shape = (len(means), seeds)
    noise = next((NOISES[kind] for kind in NOISES if kind in truth), NOISES["normal"])
    scores = np.array(means, dtype=float)[:, None] + noise(rng, shape)
    if "30 % zeros" in truth:  # some runs learn nothing: they score far below all others
        scores = np.where(rng.random(shape) < 0.3, -3.0, scores)
    if "8-fold" in truth:
        scores *= 8 ** np.linspace(0, 1, len(means))[:, None]
    return list(scores)


def steps_found(truth: str, seeds: int, rng: np.random.Generator, studies: int) -> dict:
    """Shares of the shapes, and of the sets of levels that hold the planted one. With a planted step
    it goes on until CALLS studies called one, at most LONGEST times as long: few do if it is small."""
    means, planted = TRUTHS[truth]
    x = np.arange(1.0, len(means) + 1)
    shapes, right, held, wide, several = [], 0, 0, 0, 0
    called = 0
    while len(shapes) < studies or (planted and called < CALLS and len(shapes) < LONGEST * studies):
        found = find_step(x, _study(truth, means, seeds, rng), rng, DRAWS)
        shapes.append(found.shape)
        called += found.shape in STEP_SHAPES
        if found.level is None:
            continue
        right += found.level in planted
        held += any(found.interval[0] <= level <= found.interval[1] for level in planted)
        wide += found.interval[1] - found.interval[0] + 1
        several += len(found.levels) > 1
    drawn = len(shapes)
    return {
        "drawn": drawn,
        "nothing": sum(shape in ("flat", "irregular") for shape in shapes) / drawn,
        "gradual": sum(shape in ("gradual", "falling") for shape in shapes) / drawn,
        "stepped": called / drawn,
        "several": several / drawn,
        "right": right / max(called, 1),
        "held": held / max(called, 1),
        "levels": wide / max(called, 1),
    }


def steps_table(known: dict) -> list[str]:
    lines = [
        f"Each entry: {' / '.join(map(str, SEEDS_OF_STUDIES))} seeds.",
        "",
        "| truth | flat or irregular | gradual or falling | a step kind | several steps |"
        " of the steps: right level | set holds it | levels in the set |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for truth, (_, planted) in TRUTHS.items():
        names = [f"{truth} {seeds}" for seeds in SEEDS_OF_STUDIES]
        keys = {"nothing": 2, "gradual": 2, "stepped": 3, "several": 3}
        if planted:
            keys |= {"right": 2, "held": 3, "levels": 1}
        entries = [entry(known, names, key, digits) for key, digits in keys.items()]
        lines.append(f"| {truth} | " + " | ".join(entries + [""] * (7 - len(entries))) + " |")
    return lines


def entry(known: dict, names: list[str], key: str, digits: int) -> str:
    """One number for each of the cells `names`; "-" for one that was not simulated yet."""
    return " / ".join(f"{known[name][key]:.{digits}f}" if name in known else "-" for name in names)


PARTS = {
    "steps": (
        {f"{t} {n}": partial(steps_found, t, n) for t in TRUTHS for n in SEEDS_OF_STUDIES},
        steps_table,
    ),
    "cells": (
        {f"{p} {n}": partial(cover_iqm, p, n) for p in POPULATIONS for n in SEEDS_OF_CELLS},
        cells_table,
    ),
}
