"""Training time, peak memory, compile time and FLOPs of a run over the first axis of a study."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from crlscale.analysis.run_costs import Costs
from crlscale.figures import style, words
from crlscale.study import tasks_of

# cost -> label of its axis, factor from the stored unit
MEASURED = {
    "hours": ("training time of a run [hours]", 1.0),
    "memory_bytes": ("peak memory of the process [GB]", 1e-9),
    "compile_seconds": ("compile time of a run [s]", 1.0),
}
FLOPS = "dense FLOPs of a run (counted)"


@style.styled
def draw_costs(result: Costs) -> Figure:
    """A panel for each cost that was measured, and one of the FLOPs counted from the config."""
    known = [cost for cost in MEASURED if any(len(found.known(cost)) for found in result.cells)]
    missing = [MEASURED[cost][0].split(" [")[0] for cost in MEASURED if cost not in known]
    rows = 1 + len(known) // 2
    figure = style.empty_figure(7.2, 2.5 * rows + 0.8)
    panels = list(figure.subplots(rows, 2, squeeze=False).flat)
    for spare in panels[len(known) + 1 :]:
        spare.remove()
    panels = panels[: len(known) + 1]
    for axes, cost in zip(panels, known, strict=False):
        _draw_measured(axes, result, cost)
    _draw_flops(panels[-1], result)
    env = tasks_of(found.cell.config for found in result.cells)
    figure.suptitle(
        f"{env}: cost of a run by {result.axis.replace('_', ' ')}", x=0.01, ha="left", size=10
    )
    handles, labels = panels[-1].get_legend_handles_labels()
    if result.others:
        title = ", ".join(other.replace("_", " ") for other in result.others)
        figure.legend(handles, labels, title=title, loc="outside right upper")
    cells = tuple(found.cell for found in result.cells)
    threads = f"{result.threads} thread{'s' * (result.threads != 1)} a run"
    style.caption(
        figure,
        words.sentences(
            "small marks: complete seeds; lines: their medians, without interval",
            f"{words.seeds_words(cells, 'level')}; measured by the runs themselves on a machine that"
            f" may have had other work, {threads}",
            f"not measured: {', '.join(missing)}" if missing else "",
            words.budget_words(cells),
            f"study {result.study}",
        ),
    )
    return figure


def _draw_measured(axes: Axes, result: Costs, cost: str) -> None:
    label, factor = MEASURED[cost]
    for line, look in zip(result.lines.values(), _looks(len(result.lines)), strict=True):
        levels = [found.cell.levels[result.axis] for found in line]
        medians = [found.median(cost) for found in line]
        y = [float("nan") if value is None else value * factor for value in medians]
        (marks,) = axes.plot(levels, y, markersize=5, linewidth=1.4, **look)
        where = [found.cell.where for found in line]
        style.tell(marks, [f"{w}: median {words.exact(v)}" for w, v in zip(where, y, strict=True)])
        _draw_runs(axes, result, line, cost, look["color"])
    _frame(axes, result, label)


def _draw_runs(axes: Axes, result: Costs, line, cost: str, colour) -> None:
    _, factor = MEASURED[cost]
    points = [(f, run) for f in line for run in f.runs if getattr(run, cost) is not None]
    x = [found.cell.levels[result.axis] for found, _ in points]
    y = [getattr(run, cost) * factor for _, run in points]
    (marks,) = axes.plot(x, y, "o", color=colour, markerfacecolor="none", markersize=3, alpha=0.6)
    style.tell(
        marks,
        [
            f"{found.cell.where}, seed {run.seed}: {words.exact(value)}; run {run.run_id}"
            for (found, run), value in zip(points, y, strict=True)
        ],
    )


def _draw_flops(axes: Axes, result: Costs) -> None:
    for (others, line), look in zip(result.lines.items(), _looks(len(result.lines)), strict=True):
        levels = [found.cell.levels[result.axis] for found in line]
        label = ", ".join(map(str, others)) or "all seeds"
        (marks,) = axes.plot(levels, [f.flops for f in line], markersize=5, linewidth=1.4, label=label,
                             **look)  # fmt: skip
        style.tell(marks, [f"{f.cell.where}: {words.exact(f.flops)} FLOPs" for f in line])
    _frame(axes, result, FLOPS)
    axes.yaxis.set_major_formatter(EngFormatter(sep=""))


def _looks(count: int) -> list[dict]:
    return [
        {
            "color": style.palette().blue if count == 1 else colour,
            "marker": style.MARKERS[index % len(style.MARKERS)],
            "linestyle": style.DASHES[index % len(style.DASHES)],
        }
        for index, colour in enumerate(style.shades(count))
    ]


def _frame(axes: Axes, result: Costs, label: str) -> None:
    levels = sorted({found.cell.levels[result.axis] for found in result.cells})
    style.level_axis(axes, result.axis, levels)
    axes.set_ylabel(label)
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    subs = (1.0,) if high / low > 300 else (1.0, 2.0, 5.0)
    axes.yaxis.set_major_locator(LogLocator(subs=subs))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")
    if high / low < 4:
        axes.set_ylim(low / 2, high * 2)
