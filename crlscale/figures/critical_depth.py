"""Every seed's score over depth, the cells' IQMs, and the critical depth with its interval."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crlscale.analysis.critical_depth import MISFIT, CriticalDepth
from crlscale.figures import style, words

ASIDE = (-0.03, -0.013)  # of a level's seeds from its IQM, as shares of the axis


@style.styled
def draw_critical_depth(result: CriticalDepth) -> Figure:
    """The whole figure, with title and caption."""
    figure, (axes,) = style.new_figure(6.4, 4.4)
    draw_scores(axes, result)
    cells = result.cells
    held = ", ".join(f"{axis} {level}" for axis, level in result.fixed.items())
    axes.set_title(f"{cells[0].config.env}{', ' if held else ''}{held}: {result.words}", pad=24)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=4, borderaxespad=0.2)
    style.caption(
        figure,
        words.sentences(
            words.seeds_words(cells, "level"),
            words.interval_words(cells, "bars"),
            words.budget_words(cells),
            MISFIT if result.depth is not None and not result.fits else "",
            words.missing_words(cells),
            f"study {result.study}",
        ),
    )
    return figure


def draw_scores(axes: Axes, result: CriticalDepth) -> None:
    """Seeds, IQMs, intervals and the critical depth into `axes`."""
    scored = [cell for cell in result.cells if cell.estimate is not None]
    colours = style.palette()
    if result.depth is not None:
        _mark(axes, result)
    _draw_seeds(axes, result, scored)
    depths = [cell.levels[result.axis] for cell in scored]
    values = [cell.estimate.value for cell in scored]
    axes.plot(depths, values, "-", color=colours.blue, linewidth=1.2, zorder=3)
    for depth, cell in zip(depths, scored, strict=True):
        if cell.estimate.low is not None:
            axes.plot([depth] * 2, [cell.estimate.low, cell.estimate.high], "-", color=colours.blue,
                      linewidth=2.2, solid_capstyle="butt", zorder=3)  # fmt: skip
    bars = any(cell.estimate.low is not None for cell in scored)
    (marks,) = axes.plot(depths, values, "o", color=colours.blue, markersize=6, zorder=4,
                         clip_on=False, label="IQM, 95 % interval" if bars else "IQM")  # fmt: skip
    style.tell(marks, [words.cell_words(cell) for cell in scored])
    style.level_axis(axes, result.axis, result.depths)
    axes.set_ylim(0, None)
    axes.set_ylabel(words.score_label(scored[0]))


def _draw_seeds(axes: Axes, result: CriticalDepth, scored: list) -> None:
    """Points of the seeds, left of their IQM in the order of the seeds; diverged ones as crosses."""
    points = {"complete": ([], [], []), "diverged": ([], [], [])}
    span = np.log2(result.depths[-1] / result.depths[0]) + 2 * style.MARGIN
    for cell in scored:
        offsets = np.linspace(*ASIDE, len(cell.scored)) * span
        for offset, run in zip(offsets, cell.scored, strict=True):
            x, y, told = points[run.status]
            x.append(cell.levels[result.axis] * 2**offset)
            y.append(run.score)
            told.append(words.run_words(cell, run))
    x, y, told = points["complete"]
    (marks,) = axes.plot(x, y, "o", markerfacecolor="none", markeredgecolor=style.palette().faint,
                         markersize=4.5, zorder=2.5, clip_on=False, label="seed")  # fmt: skip
    style.tell(marks, told)
    x, y, told = points["diverged"]
    if x:
        (marks,) = axes.plot(x, y, "x", color=style.palette().orange, markersize=6, zorder=5,
                             label="diverged seed")  # fmt: skip
        style.tell(marks, told)


def _mark(axes: Axes, result: CriticalDepth) -> None:
    """A line at the critical depth and a band over its interval."""
    colours = style.palette()
    if result.low < result.high:
        axes.axvspan(result.low, result.high, color=colours.band, alpha=0.35, linewidth=0, zorder=0,
                     label="its 95 % interval")  # fmt: skip
    label = "critical depth" if result.bracketed else "critical depth, not bracketed"
    axes.axvline(
        result.depth, color=colours.orange, linestyle="--", linewidth=1.4, zorder=1, label=label
    )
    for jump in result.jumps[1:]:
        axes.axvline(jump.depth, color=colours.orange, linestyle=":", linewidth=1.4, zorder=1)
