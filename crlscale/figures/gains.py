"""Every method at every level of an axis of scale, and what a doubling brings each."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crlscale.analysis.gains import MethodGain, MethodGains
from crlscale.figures import style, words
from crlscale.figures.cells import draw_cells

APART = 0.44  # of the height of a row, between its smallest and its largest level


@style.styled
def draw_gains(result: MethodGains) -> Figure:
    """A row a method, best score first. Left its cells with their seeds, right its slope."""
    methods = sorted(result.methods, key=lambda m: -max(c.estimate.value for c in m.cells))
    figure = style.empty_figure(9.4, 0.46 * len(methods) + 2.3)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1.7, 1.0])
    _draw_scores(left, result, methods)
    _draw_slopes(right, result, methods)
    left.set_yticks(range(len(methods)), [str(method.level) for method in methods])
    left.set_ylim(len(methods) - 0.4, -0.6)
    left.set_ylabel(result.axis.replace("_", " "))
    cells = tuple(cell for method in methods for cell in method.cells)
    held = "".join(f", {axis.replace('_', ' ')} {level}" for axis, level in result.fixed.items())
    figure.suptitle(f"{cells[0].config.env}{held}: {_finding(result)}", x=0.01, ha="left", size=10)
    style.caption(
        figure,
        words.sentences(
            "left: IQM, interval and seeds",
            "right: 95 % Welch interval of the slope, filled where it differs from zero after Holm's"
            f" correction over the {len(methods)} rows",
            words.seeds_words(cells, "cell"),
            words.interval_words(cells, "bars"),
            words.budget_words(cells),
            words.missing_words(cells),
            f"study {result.study}",
        ),
    )
    return figure


def _draw_scores(axes: Axes, result: MethodGains, methods: list[MethodGain]) -> None:
    scale = result.scale
    levels = sorted({cell.levels[scale] for method in methods for cell in method.cells})
    looks = style.looks([{scale: level} for level in levels])
    for index, (level, look) in enumerate(zip(levels, looks, strict=True)):
        aside = APART * (index / max(len(levels) - 1, 1) - 0.5)
        at = [
            (row + aside, cell)
            for row, method in enumerate(methods)
            for cell in method.cells
            if cell.levels[scale] == level
        ]
        heights, cells = zip(*at, strict=True)
        label = f"{scale.replace('_', ' ')} {level}"
        look |= {"linestyle": "none", "markersize": 5.5}
        draw_cells(axes, heights, cells, look, label, lying=True)
    axes.set_xlim(0, None)
    axes.set_xlabel(words.score_label(methods[0].cells[0]))
    axes.grid(axis="y", visible=False)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=len(levels), borderaxespad=0.2)


def _draw_slopes(axes: Axes, result: MethodGains, methods: list[MethodGain]) -> None:
    colours = style.palette()
    axes.axvline(0, color=colours.faint, linewidth=1.0, zorder=1)
    for row, method in enumerate(methods):
        found = method.slope
        if found.low is not None:
            axes.plot([found.low, found.high], [row] * 2, "-", color=colours.blue, linewidth=1.6,
                      solid_capstyle="butt", zorder=3)  # fmt: skip
        filled = colours.blue if method.verdict in ("gains", "loses") else colours.paper
        (mark,) = axes.plot([found.value], [row], "o", color=colours.blue, markerfacecolor=filled,
                            markersize=5.5, zorder=4)  # fmt: skip
        style.tell(mark, [f"{method.level}: {_slope_words(found)}"])
    axes.set_xlabel(f"a doubling of {result.scale.replace('_', ' ')} [steps]")
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", left=False, labelleft=False)


def _slope_words(found) -> str:
    if found.low is None:
        return f"{words.exact(found.value)} a doubling, no interval: {found.no_interval}"
    bounds = f"{words.exact(found.low)} to {words.exact(found.high)}"
    return f"{words.exact(found.value)} a doubling, 95 % interval {bounds}"


def _finding(result: MethodGains) -> str:
    scale = result.scale.replace("_", " ")
    gaining = sum(method.verdict == "gains" for method in result.methods)
    alone = sum(method.verdict == "alone" and method.slope.value > 0 for method in result.methods)
    text = f"{gaining} of {len(result.methods)} gain from {scale}"
    text += f", {alone} more by their own intervals alone" if alone else ""
    return f"{text}; best {result.best.level}"
