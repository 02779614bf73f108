"""Scores of a depth and a width family over parameters, training FLOPs and hours."""

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, NullLocator

from crlscale.analysis.width_vs_depth import CostComparison, Family, WidthVsDepth
from crlscale.figures import style, words

MARKS = {"depth": {"marker": "o", "linestyle": "-"}, "width": {"marker": "s", "linestyle": "--"}}


@style.styled
def draw_width_vs_depth(result: WidthVsDepth) -> Figure:
    """The whole figure: three panels that share y, legend and caption."""
    figure, panels = style.new_figure(10.0, 4.3, panels=3)
    for axes, comparison in zip(panels, result.comparisons, strict=True):
        draw_cost(axes, comparison, (result.depth, result.width))
        axes.set_title(_title(comparison))
    panels[0].set_ylabel(words.score_label(result.depth.cells[0]))
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=3)
    cells = result.depth.cells + result.width.cells
    style.caption(
        figure,
        words.sentences(
            "titles: depth minus width at equal cost, averaged over the costs that both reach (grey)",
            words.seeds_words(cells, "cell"),
            words.interval_words(cells, "bars"),
            words.budget_words(cells),
            words.missing_words(cells),
            result.note,
            "studies " + " and ".join(dict.fromkeys((result.depth.study, result.width.study))),
        ),
    )
    return figure


def draw_cost(axes: Axes, comparison: CostComparison, families: tuple[Family, Family]) -> None:
    """Both families over one cost into `axes`."""
    if comparison.overlap is not None:
        axes.axvspan(*comparison.overlap, color=style.palette().shared, linewidth=0, zorder=0)
    for family in families:
        _draw_family(axes, comparison.costs[family.axis], family)
    known = [cost for of_axis in comparison.costs.values() for cost in of_axis if cost]
    axes.set_xscale("log")
    if known:
        axes.set_xlim(min(known) / 1.5, max(known) * 1.5)
        axes.set_xticks(_ticks(min(known) / 1.5, max(known) * 1.5))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(EngFormatter(sep="") if comparison.cost != "hours" else "{x:g}")
    axes.set_ylim(0, None)
    axes.set_xlabel(_label(comparison))


def _draw_family(axes: Axes, costs: tuple, family: Family) -> None:
    """Seeds, IQMs and intervals of the cells whose cost is known, by rising cost; the first and
    the last level of the family named."""
    known = sorted(
        ((cost, cell) for cost, cell in zip(costs, family.cells, strict=True) if cost is not None),
        key=lambda pair: pair[0],
    )
    if not known:
        return
    colours = {"depth": style.palette().blue, "width": style.palette().orange}
    look = {"color": colours[family.axis], **MARKS[family.axis]}
    label = f"{family.axis} {known[0][1].levels[family.axis]} to {known[-1][1].levels[family.axis]}"
    x = [cost for cost, _ in known]
    y = [c.estimate.value for _, c in known]
    (line,) = axes.plot(x, y, markersize=5, zorder=4, label=label, **look)
    style.tell(line, [f"{words.cell_words(cell)}; cost {words.exact(cost)}" for cost, cell in known])
    for cost, cell in known:
        (marks,) = axes.plot([cost] * len(cell.scores), cell.scores, look["marker"],
                             color=look["color"], markerfacecolor="none", markersize=3, alpha=0.5,
                             zorder=2.5, clip_on=False)  # fmt: skip
        style.tell(marks, [words.run_words(cell, run) for run in cell.scored])
        if cell.estimate.low is not None:
            axes.plot([cost] * 2, [cell.estimate.low, cell.estimate.high], color=look["color"],
                      linewidth=1.4, zorder=3)  # fmt: skip


def _title(comparison: CostComparison) -> str:
    if comparison.difference is None:
        return "no overlap"
    found = comparison.difference
    interval = "" if found.low is None else f" ({found.low:+.1f} to {found.high:+.1f})"
    better = {"undecided": "undecided"}.get(comparison.verdict, f"{comparison.verdict} better")
    return f"{better}: {found.value:+.1f} steps{interval}"


def _label(comparison: CostComparison) -> str:
    labels = {
        "parameters": "parameters of actor and critic",
        "training_flops": "training FLOPs of a run",
        "hours": "training time of a run [hours]",
    }
    return labels[comparison.cost]


def _ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers between `low` and `high`, at most `most` where decades allow it."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps, stride in (((1, 2, 5), 1), ((1, 3), 1), ((1,), 1), ((1,), 2), ((1,), 3)):
        ticks = [step * 10.0**decade for decade in decades[::stride] for step in steps]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= most:
            break
    return ticks
