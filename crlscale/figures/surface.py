"""The compute frontier: every cell by what it costs and scores, and the best one at each budget."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from crlscale.analysis.frontier import Front
from crlscale.analysis.surface import Surface
from crlscale.figures import style, words

LABELS = {
    "parameters": "parameters of actor and critic",
    "training_flops": "training FLOPs of a run",
    "hours": "training time of a run [hours]",
}
APART = 1.08  # costs nearer than this are one place
SHORT = {"depth": "d", "width": "w", "batch_size": "b"}


@style.styled
def draw_surface(result: Surface) -> Figure:
    """One panel a cost of LABELS that is known, sharing y; with title, legend and caption."""
    fronts = [front for front in result.fronts if front.cost in LABELS]
    figure, panels = style.new_figure(1.2 + 3.4 * len(fronts), 4.4, panels=len(fronts))
    for axes, front in zip(panels, fronts, strict=True):
        _draw_front(axes, front)
    panels[0].set_ylabel(words.score_label(result.best))
    held = "".join(f", {axis.replace('_', ' ')} {level}" for axis, level in result.fixed.items())
    best = ", ".join(f"{axis.replace('_', ' ')} {result.best.levels[axis]}" for axis in result.axes)
    edge = f", at the edge of {' and '.join(result.edges)}" if result.edges else ""
    figure.suptitle(f"{result.best.config.env}{held}: best cell {best}{edge}".replace("_size", " size"),
                    x=0.01, ha="left", size=10)  # fmt: skip
    panels[-1].legend(loc="lower right")
    named = ", ".join(f"{SHORT[axis]} {axis.replace('_', ' ')}" for axis in result.axes)
    style.caption(
        figure,
        words.sentences(
            f"next unit of compute: {result.verdict}",
            f"names of cells on the front: {named}; percent: bootstrap samples in which the cell is on it",
            words.seeds_words(result.cells, "cell"),
            words.interval_words(result.cells, "bars"),
            words.budget_words(result.cells),
            words.missing_words(result.cells),
            f"study {result.study}",
        ),
    )
    return figure


def _draw_front(axes: Axes, front: Front) -> None:
    colours = style.palette()
    for point in front.points:
        cell = point.cell
        colour = colours.blue if point.on_front else colours.faint
        (seeds,) = axes.plot([point.cost] * len(cell.scores), cell.scores, "o", color=colour,
                             markerfacecolor="none", markersize=3, alpha=0.6, zorder=2)  # fmt: skip
        style.tell(seeds, [words.run_words(cell, run) for run in cell.scored])
        if cell.estimate.low is not None:
            axes.plot([point.cost] * 2, [cell.estimate.low, cell.estimate.high], "-", color=colour,
                      linewidth=1.4, zorder=3)  # fmt: skip
    for on_front, look, label in (
        (False, {"color": colours.faint, "marker": "s"}, "cell, 95 % interval, seeds"),
        (True, {"color": colours.blue, "marker": "o"}, "best for its cost"),
    ):
        points = [point for point in front.points if point.on_front == on_front]
        (marks,) = axes.plot([p.cost for p in points], [p.cell.estimate.value for p in points],
                             linestyle="", markersize=6, zorder=4, label=label, **look)  # fmt: skip
        style.tell(
            marks,
            [
                f"{words.cell_words(p.cell)}; {front.unit} {words.exact(p.cost)}; on the front in"
                f" {100 * p.share:.0f} % of the samples"
                for p in points
            ],
        )
    ends = [point for point in front.points if point.on_front]
    x = [*(point.cost for point in ends), front.points[-1].cost]
    y = [*(point.cell.estimate.value for point in ends), ends[-1].cell.estimate.value]
    axes.plot(x, y, "-", drawstyle="steps-post", color=colours.blue, linewidth=1.2, zorder=3,
              label="front")  # fmt: skip
    _name(axes, ends)
    _frame(axes, front)


def _name(axes: Axes, ends: list) -> None:
    """The levels of each cell on the front above it, and how often it is there; not where the next
    one of the front stands on it."""
    for point, after in zip(ends, [*ends[1:], None], strict=True):
        if after is not None and after.cost < APART * point.cost:
            continue
        levels = " ".join(
            f"{SHORT[axis]}{level}" for axis, level in point.cell.levels.items() if axis in SHORT
        )
        top = point.cell.estimate.high or point.cell.estimate.value
        top = max([top, *point.cell.scores])
        axes.text(point.cost, top, f" {levels}, {100 * point.share:.0f} %", size=6.5, rotation=90,
                  ha="center", va="bottom", zorder=5)  # fmt: skip


def _frame(axes: Axes, front: Front) -> None:
    costs = [point.cost for point in front.points]
    axes.set_xscale("log")
    axes.set_xlim(min(costs) / 1.5, max(costs) * 1.5)
    subs = (1.0, 2.0, 5.0) if max(costs) / min(costs) < 30 else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}" if front.cost == "hours" else EngFormatter(sep=""))
    top = max(max([p.cell.estimate.high or 0, *p.cell.scores]) for p in front.points)
    axes.set_ylim(0, 1.4 * top)
    axes.set_xlabel(LABELS[front.cost])
