"""How often an adaptive search is right: `python docs/search_rates.py`, minutes of one core.

Prints the tables of docs/search.md: simulated studies with a planted curve, 500 searches a row."""

import sys
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from searching import HIGH, LOW, noise, search, step

SEARCHES = 500
SPREADS = 20.0 / np.array([2, 3, 5])  # the planted jump is 20 steps
SIX, TEN = [2**i for i in range(1, 7)], [2**i for i in range(1, 11)]


def row(depths: list[int], seeds: int, kind: str, spread: float, curve, half: list[float]) -> str:
    """One row: `curve(level, at)` for each planted level `at`; the half of the rise lies above
    index floor(half) of that search, or nowhere (NaN)."""
    rng = np.random.default_rng(0)
    draw = noise(kind, spread, rng)
    outcomes, held, levels, runs = Counter(), 0, [], 0
    for index in range(SEARCHES):
        at = index % len(half)
        decision, spent = search(depths, seeds, lambda level, at=at: draw(curve(level, at)))
        outcomes[decision.outcome] += 1
        runs += spent
        if decision.low is not None:
            held += decision.low <= half[at] <= decision.high
            levels.append(decision.high - decision.low)
    found = len(levels)
    shares = [outcomes[word] / SEARCHES for word in ("jump", "rise", "gradual")]
    nothing = 1 - sum(shares)
    cells = [f"{share:.2f}" for share in (*shares, nothing)]
    cells += [f"{held / found:.2f}" if found and np.isfinite(half[0]) else ""]
    cells += [f"{np.mean(levels):.1f}" if found else "", f"{runs / SEARCHES:.1f}"]
    return " | ".join(cells)


def steps(depths: list[int], seeds: int, kind: str, spread: float, at: list[int]) -> str:
    return row(depths, seeds, kind, spread, lambda level, i: step(level, at[i]), [a - 0.5 for a in at])


def main() -> None:
    print("| truth | noise | jump | rise | gradual | none | interval holds it | its levels | runs |")
    print("|---|---|---|---|---|---|---|---|---|")
    every = list(range(1, len(SIX)))
    for kind in ("normal", "exponential", "20 % zeros"):
        for spread in SPREADS:
            cells = steps(SIX, 5, kind, spread, every)
            print(f"| step of {20 / spread:.0f} sd, every level | {kind} | {cells} |", flush=True)
    for at in every:
        cells = steps(SIX, 5, "normal", SPREADS[1], [at])
        print(f"| step of 3 sd at depth {SIX[at]} | normal | {cells} |", flush=True)
    for kind in ("normal", "exponential"):
        cells = row(SIX, 5, kind, 4.0, lambda level, _: HIGH, [np.nan])
        print(f"| flat | {kind} | {cells} |", flush=True)
        for rise in (1.0, 2.0):
            cells = row(SIX, 5, kind, 4.0, lambda level, _, r=rise: LOW + 4 * r * level, [2.5])
            print(f"| line, {rise:.0f} sd a level | {kind} | {cells} |", flush=True)
    for spread in SPREADS:
        cells = steps(TEN, 5, "normal", spread, list(range(1, len(TEN))))
        print(f"| ten levels, step of {20 / spread:.0f} sd | normal | {cells} |", flush=True)


if __name__ == "__main__":
    main()
