"""Cells as every figure of scores draws them: seeds, IQM and interval, and a line through them."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from crlscale.figures import style, words
from crlscale.score import CellScore


def draw_cells(
    axes: Axes,
    places: Sequence[float],
    cells: Sequence[CellScore],
    look: dict,
    label: str,
    lying: bool = False,
) -> None:
    """The scored `cells` at `places` of the x axis, scores upwards, in one look (colour, marker,
    linestyle, sizes); diverged seeds are crosses. `lying`: at places of the y axis, scores to the right."""
    colour = look["color"]

    def plot(at: Sequence[float], scores: Sequence[float], *form, **more):
        return axes.plot(*((scores, at) if lying else (at, scores)), *form, **more)

    values = [cell.estimate.value for cell in cells]
    (line,) = plot(places, values, zorder=4, label=label, **{"markersize": 5, "linewidth": 1.4, **look})
    style.tell(line, [words.cell_words(cell) for cell in cells])
    for place, cell in zip(places, cells, strict=True):
        if cell.estimate.low is not None:
            plot([place] * 2, [cell.estimate.low, cell.estimate.high], "-", color=colour,
                 linewidth=1.6, solid_capstyle="butt", zorder=3)  # fmt: skip
        for status, marker in (("complete", "o"), ("diverged", "x")):
            runs = [run for run in cell.scored if run.status == status]
            if runs:
                (marks,) = plot([place] * len(runs), [run.score for run in runs], marker,
                                color=colour, markerfacecolor="none", markersize=3.5, alpha=0.7,
                                zorder=2.5, clip_on=False)  # fmt: skip
                style.tell(marks, [words.run_words(cell, run) for run in runs])


def aside(levels: Sequence[float], index: int, count: int) -> list[float]:
    """`levels` moved a little, in log2, so that `count` lines do not hide each other."""
    shift = 0.0 if count < 2 else 0.16 * (index / (count - 1) - 0.5)
    return [level * 2**shift for level in levels]
