"""How far does it pay to go deeper: where do gains end, and what do scaling laws expect beyond?"""

from dataclasses import dataclass

import numpy as np

from crlscale.analysis.critical_depth import DEPTH_AXES
from crlscale.analysis.saturation import Saturation, saturation
from crlscale.analysis.scaling_laws import Law, fit_laws
from crlscale.analysis.two_way import grids
from crlscale.errors import CrlscaleError
from crlscale.score import CellScore, StudyScores

AXES = (*DEPTH_AXES, "width", "batch_size")


@dataclass(frozen=True)
class Limits:
    """What the scores of `cells`, by rising level of `axis`, say of its limits. `laws` has the best one
    first; `diverged` maps a level to the runs that diverged there, of those planned."""

    study: str
    axis: str
    fixed: dict
    cells: tuple[CellScore, ...]
    saturation: Saturation
    laws: tuple[Law, ...]
    diverged: dict[int, tuple[int, int]]

    @property
    def law(self) -> Law | None:
        return self.laws[0] if self.laws else None

    @property
    def sentence(self) -> str:
        words = self.saturation.words
        text = words[0].upper() + words[1:]
        if self.law is not None:
            ahead = self.law.predictions[0]
            text += (
                f"; the {self.law.name} law ({self.law.formula}) expects {ahead.value:.1f} at"
                f" {ahead.level} (95 % prediction interval {ahead.low:.1f} to {ahead.high:.1f})"
            )
            if self.law.misses:
                text += f", but it misses: {self.law.misses}"
        lost = {level: n for level, (n, _) in self.diverged.items() if n}
        if lost:
            text += "; diverged: " + ", ".join(f"{n} at {level}" for level, n in lost.items())
        return text + "."


def limits(
    scores: StudyScores,
    rng: np.random.Generator,
    margin: float | None = None,
    axis: str | None = None,
) -> list[Limits]:
    """One result for each combination of the levels of the other axes; `margin` in steps, a tenth of
    the best cell's IQM if None. `axis` is the first of AXES that the study has, if None."""
    scores.require_finished()
    axes = scores.study.axes
    axis = axis or next((known for known in AXES if known in axes), AXES[0])
    results = []
    for fixed, cells in grids(scores, (axis,)):
        if not all(isinstance(level, int) for level in axes[axis]):
            raise CrlscaleError(
                f"levels of {axis} are no whole numbers", value=axis, remedy="--axis depth"
            )
        cells = sorted(cells, key=lambda cell: cell.levels[axis])
        scored = [cell for cell in cells if cell.estimate is not None]
        if len(scored) < 2:
            raise CrlscaleError(
                f"study {scores.study.name!r} has a score at {len(scored)} level of {axis}",
                value=scores.study.name,
                remedy=f"crlscale status {scores.study.name}",
            )
        levels = np.array([cell.levels[axis] for cell in scored])
        top = scored[0].config.episode_length
        results.append(
            Limits(
                scores.study.name,
                axis,
                fixed,
                tuple(cells),
                saturation(axis, scored, margin),
                fit_laws(levels, [cell.scores for cell in scored], top, rng),
                {cell.levels[axis]: (cell.diverged, len(cell.runs)) for cell in cells},
            )
        )
    return results
