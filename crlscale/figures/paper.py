"""A study beside published means of the same task and depths, told apart by their protocol."""

from matplotlib.figure import Figure

from crlscale.analysis.published import AgainstPaper
from crlscale.figures import style, words
from crlscale.figures.cells import draw_cells


@style.styled
def draw_paper(result: AgainstPaper) -> Figure:
    """Our cells, and each source of published rows in a marker of its own."""
    figure, (axes,) = style.new_figure(6.8, 4.4)
    colours = style.palette()
    groups: dict[int, list] = {}
    for cell in result.cells:
        groups.setdefault(cell.config.width, []).append(cell)
    looks = style.looks([{"width": width} for width in groups])
    for look, (width, cells) in zip(looks, sorted(groups.items()), strict=True):
        cells = sorted(cells, key=lambda cell: cell.config.depth)
        look = {**look, "color": colours.blue if len(groups) == 1 else look["color"]}
        draw_cells(axes, [c.config.depth for c in cells], cells, look, f"this study, width {width}")
    for index, source in enumerate(dict.fromkeys(b.row.source for b in result.beside)):
        found = [beside for beside in result.beside if beside.row.source == source]
        (marks,) = axes.plot([b.row.depth * 1.06 for b in found], [b.row.time_at_goal for b in found],
                             style.MARKERS[(index + 3) % len(style.MARKERS)], color=colours.orange,
                             linestyle="", markersize=6, zorder=4, label=f"{source}, mean, SE")  # fmt: skip
        style.tell(
            marks,
            [
                f"{b.row.source}, depth {b.row.depth}: mean {words.exact(b.row.time_at_goal)}, standard"
                f" error {words.exact(b.row.spread)}, {b.row.seeds} seeds; {b.row.words}"
                for b in found
            ],
        )
        for b in found:
            low, high = b.row.time_at_goal - b.row.spread, b.row.time_at_goal + b.row.spread
            axes.plot([b.row.depth * 1.06] * 2, [low, high], "-", color=colours.orange, zorder=3)
    style.level_axis(axes, "depth", sorted({cell.config.depth for cell in result.cells}))
    axes.set_ylim(0, None)
    axes.set_ylabel(words.score_label(result.cells[0]))
    axes.set_title(f"{result.task}: this study beside published tables", pad=24)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=3, borderaxespad=0.2)
    differs = "; ".join(f"{part} {a} here, {b} there" for part, (a, b) in result.differs.items())
    style.caption(
        figure,
        words.sentences(
            f"not pooled, the protocols differ: {differs}" if differs else "same protocol",
            words.seeds_words(result.cells, "cell"),
            words.interval_words(result.cells, "bars of this study"),
            words.budget_words(result.cells),
            words.missing_words(result.cells),
            f"study {result.study}",
        ),
    )
    return figure
