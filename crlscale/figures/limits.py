"""Where gains end: scores over an axis, the saturation level, the best law and what it predicts."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crlscale.analysis.limits import Limits
from crlscale.figures import style, words
from crlscale.figures.cells import draw_cells


@style.styled
def draw_limits(result: Limits) -> Figure:
    """The whole figure, with title, legend and caption."""
    figure, (axes,) = style.new_figure(6.8, 4.6)
    scored = [cell for cell in result.cells if cell.estimate is not None]
    draw_cells(
        axes,
        [cell.levels[result.axis] for cell in scored],
        scored,
        {"color": style.palette().blue, "marker": "o", "linestyle": "-"},
        "IQM, 95 % interval, seeds",
    )
    _mark(axes, result)
    levels = [cell.levels[result.axis] for cell in result.cells]
    if result.law is not None:
        _draw_law(axes, result)
        levels += [ahead.level for ahead in result.law.predictions]
    style.level_axis(axes, result.axis, levels)
    axes.set_ylim(0, None)
    axes.set_ylabel(words.score_label(scored[0]))
    held = "".join(f", {axis.replace('_', ' ')} {level}" for axis, level in result.fixed.items())
    figure.suptitle(f"{scored[0].config.env}{held}: {_finding(result)}", x=0.01, ha="left", size=10)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=2, borderaxespad=0.2)
    style.caption(figure, _caption(result, tuple(scored)))
    return figure


def _mark(axes: Axes, result: Limits) -> None:
    """A line at the saturation level, and a cross under each level with diverged runs."""
    colours = style.palette()
    if result.saturation.level is not None:
        axes.axvline(result.saturation.level, color=colours.orange, linestyle="--", linewidth=1.4,
                     zorder=1, label="saturation level")  # fmt: skip
    lost = [(level, n, of) for level, (n, of) in result.diverged.items() if n]
    if lost:
        (marks,) = axes.plot([level for level, *_ in lost], [0] * len(lost), "X", color=colours.orange,
                             markersize=7, zorder=6, clip_on=False, label="runs diverged here")  # fmt: skip
        style.tell(
            marks, [f"{result.axis} {level}: {n} of {of} runs diverged" for level, n, of in lost]
        )


def _draw_law(axes: Axes, result: Limits) -> None:
    """The best law at the levels and beyond, with its 95 % prediction intervals there."""
    law, green = result.law, style.palette().green
    at = [cell.levels[result.axis] for cell in result.cells if cell.estimate is not None]
    ahead = law.predictions
    axes.plot([*at, *(p.level for p in ahead)], [*law.curve, *(p.value for p in ahead)], ":",
              color=green, linewidth=1.6, zorder=2, label=f"{law.name} law, {law.formula}")  # fmt: skip
    (marks,) = axes.plot([p.level for p in ahead], [p.value for p in ahead], "D", color=green,
                         markerfacecolor="none", zorder=4, label="prediction, 95 % interval")  # fmt: skip
    style.tell(
        marks,
        [
            f"{result.axis} {p.level}: {law.name} law expects {words.exact(p.value)}, 95 % prediction"
            f" interval {words.exact(p.low)} to {words.exact(p.high)}"
            for p in ahead
        ],
    )
    for p in ahead:
        axes.plot([p.level] * 2, [p.low, p.high], "-", color=green, linewidth=1.2, zorder=3)


def _finding(result: Limits) -> str:
    about, name = result.saturation, result.axis.replace("_", " ")
    if about.level is not None:
        again = f", rises again at {about.resumes}" if about.resumes else ""
        return f"saturation {name} {about.level}{again}"
    ends = {"rising": "no plateau", "falling": "scores fall", "undecided": "no saturation shown"}
    return f"{ends[about.verdict]} up to {name} {about.largest}"


def _caption(result: Limits, scored: tuple) -> str:
    law = result.law
    return words.sentences(
        f"saturation: the next level brings less than {result.saturation.margin:.1f} steps, with 95 %"
        " confidence over all gains together",
        f"the law misses: {law.misses}" if law is not None and law.misses else "",
        words.seeds_words(scored, "level"),
        words.interval_words(scored, "bars"),
        words.budget_words(scored),
        words.missing_words(result.cells),
        f"study {result.study}",
    )
