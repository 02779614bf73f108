"""Does depth unlock batch size? The grid of depth and batch size, and where larger batches stop paying."""

from dataclasses import dataclass

import numpy as np

from crlscale.analysis.saturation import Saturation, saturation
from crlscale.analysis.two_way import TwoWay, grids, two_way
from crlscale.score import StudyScores
from crlscale.stats import SIGNIFICANCE, relation


@dataclass(frozen=True)
class BatchByDepth:
    """`grid` has depth down and batch size across. `critical` maps a depth to its critical batch size:
    the smallest one from which the next brings less than the margin."""

    grid: TwoWay
    critical: dict[int, Saturation]

    @property
    def verdict(self) -> str:
        """unlocks, opposes (batches pay less when deep), other (effects do not just add, by no line)
        or not shown."""
        found = self.grid.interaction
        if found is not None and found.sign:
            return "unlocks" if found.sign > 0 else "opposes"
        p = self.grid.p_value
        return "other" if p is not None and p <= SIGNIFICANCE else "not shown"

    @property
    def sentence(self) -> str:
        starts = {
            "unlocks": "Depth unlocks batch size",
            "opposes": "Larger batches pay less the deeper the networks",
            "other": "Depth and batch size do not just add, by no simple line",
            "not shown": "No interaction of depth and batch size is shown",
        }
        text = starts[self.verdict]
        found = self.grid.interaction
        if found is not None:
            text += f": each doubling of depth changes the gain of a doubled batch by {found.value:+.2f} steps"
            if found.low is not None:
                text += f" (95 % interval {found.low:+.2f} to {found.high:+.2f})"
        if self.grid.p_value is not None:
            text += f"; wild bootstrap p of additive effects {relation(self.grid.p_value)}"
        parts = [
            f"depth {depth}: "
            + (f"{s.level}" if s.level is not None else f"none shown up to {s.largest} ({s.verdict})")
            for depth, s in self.critical.items()
        ]
        return f"{text}. Critical batch size at " + ", ".join(parts) + "."


def batch_by_depth(
    scores: StudyScores, rng: np.random.Generator, margin: float | None = None
) -> list[BatchByDepth]:
    """One result for each combination of the levels of the other axes; `margin` in steps, a tenth of
    the best cell's IQM at that depth if None."""
    results = []
    for fixed, cells in grids(scores, ("depth", "batch_size")):
        grid = two_way(scores.study.name, ("depth", "batch_size"), fixed, cells, rng)
        critical = {}
        for depth, row in zip(grid.levels[0], grid.cells, strict=True):
            known = [cell for cell in row if cell is not None]
            if len(known) > 1:
                critical[depth] = saturation("batch_size", known, margin)
        results.append(BatchByDepth(grid, critical))
    return results
