"""Time at goal over env steps, one line a cell."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from crlscale.analysis.learning_curves import Curve, LearningCurves
from crlscale.figures import style, words
from crlscale.study import tasks_of

BANDS = 6  # so many bands over each other can still be told apart


@style.styled
def draw_learning_curves(result: LearningCurves) -> Figure:
    """The whole figure, with title, legend and caption."""
    figure, (axes,) = style.new_figure(7.2, 4.4)
    draw_curves(axes, result)
    cells = tuple(curve.cell for curve in result.curves)
    tasks = tasks_of(cell.config for cell in cells)
    axes.set_title(f"{tasks}: learning curves by {' and '.join(result.axes)}")
    style.legend_beside(figure, cells, _looks(result), ", ".join(result.axes))
    style.caption(
        figure,
        words.sentences(
            f"thick: IQM over {words.seeds_words(cells, 'cell').removesuffix(' a cell')}; thin: seeds",
            words.interval_words(cells, "band")
            if len(cells) <= BANDS
            else f"no bands: {len(cells)} of them would hide each other (--json has the intervals)",
            words.budget_words(cells),
            words.missing_words(cells),
            f"study {result.study}",
        ),
    )
    return figure


def draw_curves(axes: Axes, result: LearningCurves) -> None:
    """Seeds, IQMs and bands into `axes`."""
    for curve, look in zip(result.curves, _looks(result), strict=True):
        _draw_seeds(axes, curve, look)
        _draw_cell(axes, curve, look, band=len(result.curves) <= BANDS)
    axes.set_ylim(0, None)
    axes.set_xlim(0, None)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlabel("env steps [steps, all envs together]")
    axes.set_ylabel(words.score_label(*(curve.cell for curve in result.curves)))


def _draw_seeds(axes: Axes, curve: Curve, look: dict) -> None:
    for run_id, values in curve.seeds.items():
        thin = {"color": look["color"], "linewidth": 0.6, "alpha": 0.45, "zorder": 2}
        (line,) = axes.plot(curve.env_steps, values, **thin)
        told = zip(curve.env_steps, values, strict=True)
        style.tell(line, [f"{x:,} env steps: {words.exact(y)}; run {run_id}" for x, y in told])


def _draw_cell(axes: Axes, curve: Curve, look: dict, band: bool) -> None:
    known = [(x, e) for x, e in zip(curve.env_steps, curve.estimates, strict=True) if e is not None]
    steps = [x for x, _ in known]
    (line,) = axes.plot(
        steps, [e.value for _, e in known], linewidth=1.8, markersize=4, zorder=4, **look
    )
    where = curve.cell.where
    style.tell(line, [f"{where}, {x:,} env steps: {words.estimate_words(e)}" for x, e in known])
    if not band:
        return
    bounds = [(e.low, e.high) if e.low is not None else (np.nan, np.nan) for _, e in known]
    low, high = zip(*bounds, strict=True)
    axes.fill_between(steps, low, high, color=look["color"], alpha=0.1, linewidth=0, zorder=1)


def _looks(result: LearningCurves) -> list[dict]:
    return style.looks([curve.cell.levels for curve in result.curves])
