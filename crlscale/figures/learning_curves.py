"""Time at goal over env steps, one line a cell."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter

from crlscale.analysis.learning_curves import Curve, LearningCurves
from crlscale.figures import style, words

ROWS_OF_LEGEND = 16


@style.styled
def draw_learning_curves(result: LearningCurves) -> Figure:
    """The whole figure, with title, legend and caption."""
    figure, (axes,) = style.new_figure(7.2, 4.4)
    draw_curves(axes, result)
    cells = tuple(curve.cell for curve in result.curves)
    axes.set_title(f"{cells[0].config.env}: learning curves by {' and '.join(result.axes)}")
    figure.legend(
        handles=_handles(result),
        title=", ".join(result.axes),
        loc="outside right upper",
        ncols=-(-len(cells) // ROWS_OF_LEGEND),
        alignment="left",
    )
    style.caption(
        figure,
        words.sentences(
            f"thick: IQM over {words.seeds_words(cells, 'cell').removesuffix(' a cell')}; thin: seeds",
            words.interval_words(cells, "band"),
            words.budget_words(cells),
            words.missing_words(cells),
            f"study {result.study}",
        ),
    )
    return figure


def draw_curves(axes: Axes, result: LearningCurves) -> None:
    """Seeds, IQMs and bands into `axes`."""
    for curve, look in zip(result.curves, _looks(result), strict=True):
        for values in curve.seeds.values():
            axes.plot(curve.env_steps, values, color=look["color"], linewidth=0.6, alpha=0.45, zorder=2)
        _draw_cell(axes, curve, look)
    axes.set_ylim(0, None)
    axes.set_xlim(0, None)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlabel("env steps [steps, all envs together]")
    axes.set_ylabel(words.score_label(result.curves[0].cell))


def _draw_cell(axes: Axes, curve: Curve, look: dict) -> None:
    known = [(x, e) for x, e in zip(curve.env_steps, curve.estimates, strict=True) if e is not None]
    steps = [x for x, _ in known]
    axes.plot(steps, [e.value for _, e in known], linewidth=1.8, markersize=4, zorder=4, **look)
    bounds = [(e.low, e.high) if e.low is not None else (np.nan, np.nan) for _, e in known]
    low, high = zip(*bounds, strict=True)
    axes.fill_between(steps, low, high, color=look["color"], alpha=0.1, linewidth=0, zorder=1)


def _looks(result: LearningCurves) -> list[dict]:
    """Colour by the level of the first axis, dashes of the second, marker of the third; a study
    with one axis varies all three together, so that lines differ in grey."""
    levels = [
        list(dict.fromkeys(curve.cell.levels[axis] for curve in result.curves)) for axis in result.axes
    ]
    colours = style.shades(len(levels[0]))
    looks = []
    for curve in result.curves:
        at = [
            of_axis.index(curve.cell.levels[axis])
            for axis, of_axis in zip(result.axes, levels, strict=True)
        ]
        first = at[0]
        second, third = (at[1] if len(at) > 1 else first), (at[2] if len(at) > 2 else first)
        looks.append(
            {
                "color": colours[first],
                "linestyle": style.DASHES[second % len(style.DASHES)],
                "marker": style.MARKERS[third % len(style.MARKERS)],
            }
        )
    return looks


def _handles(result: LearningCurves) -> list[Line2D]:
    handles = []
    for curve, look in zip(result.curves, _looks(result), strict=True):
        label = ", ".join(str(level) for level in curve.cell.levels.values())
        handles.append(Line2D([], [], label=label, linewidth=1.8, markersize=4, **look))
    return handles
