"""A grid of two axes: a heat map of the IQMs, and the same cells as lines with their seeds."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from crlscale.analysis.actor_critic import ActorCritic
from crlscale.analysis.batch import BatchByDepth
from crlscale.analysis.two_way import TwoWay
from crlscale.figures import style, words
from crlscale.figures.cells import aside, draw_cells
from crlscale.stats import relation


@style.styled
def draw_batch_by_depth(result: BatchByDepth) -> Figure:
    """Depth down, batch size across."""
    found = result.grid.interaction
    slope = "" if found is None else f"; interaction {_steps(found)} per doubling of both"
    return _draw(result.grid, f"depth and batch size: interaction {result.verdict}", slope)


@style.styled
def draw_actor_critic(result: ActorCritic) -> Figure:
    """The actor's depth down, the critic's across."""
    found = result.difference
    slope = "" if found is None else f"; critic minus actor {_steps(found)} per doubling"
    return _draw(result.grid, f"where depth pays more: {result.verdict}", slope)


def _draw(grid: TwoWay, finding: str, slope: str) -> Figure:
    rows, columns = len(grid.levels[0]), len(grid.levels[1])
    figure = style.empty_figure(9.4, max(3.9, 0.55 * rows + 2.2))
    ratio = [max(1.0, 0.24 * columns), 1.0]
    heat, lines = figure.subplots(1, 2, width_ratios=ratio)
    _draw_heat(heat, grid)
    _draw_lines(lines, grid)
    held = "".join(f", {axis.replace('_', ' ')} {level}" for axis, level in grid.fixed.items())
    figure.suptitle(f"{grid.flat[0].config.env}{held}: {finding}", x=0.01, ha="left", size=10)
    p_value = (
        "" if grid.p_value is None else f"wild bootstrap p of additive effects {relation(grid.p_value)}"
    )
    style.caption(
        figure,
        words.sentences(
            f"left: IQM and its 95 % interval, framed: the best cell{slope}",
            "right: the same cells with their seeds",
            p_value,
            words.seeds_words(grid.flat, "cell"),
            words.interval_words(grid.flat, "bars"),
            words.budget_words(grid.flat),
            words.missing_words(grid.flat),
            f"study {grid.study}",
        ),
    )
    return figure


def _draw_heat(axes: Axes, grid: TwoWay) -> None:
    """A square a cell, the stronger the higher the score; empty where there is none."""
    rows, columns = len(grid.levels[0]), len(grid.levels[1])
    values = np.full((rows, columns), np.nan)
    told = [""] * (rows * columns)
    norm = Normalize(0, max(cell.estimate.value for cell in grid.flat) or 1.0)
    shade = style.shade_map().reversed()
    for row, of_row in enumerate(grid.cells):
        for column, cell in enumerate(of_row):
            if cell is None:
                continue
            values[row, column] = cell.estimate.value
            seeds = ", ".join(words.exact(score) for score in cell.scores)
            told[row * columns + column] = f"{words.cell_words(cell)}; seeds {seeds}"
            ink = style.ink_on(shade(norm(cell.estimate.value)))
            centred = {"ha": "center", "color": ink, "zorder": 5}
            axes.text(
                column + 0.5, row + 0.5, f"{cell.estimate.value:.1f}", va="bottom", size=9, **centred
            )
            if cell.estimate.low is not None:
                bounds = f"{cell.estimate.low:.1f} to {cell.estimate.high:.1f}"
                axes.text(column + 0.5, row + 0.44, bounds, va="top", size=6.5, **centred)
    mesh = axes.pcolormesh(
        np.arange(columns + 1), np.arange(rows + 1), values, cmap=shade, norm=norm, zorder=1
    )
    style.tell(mesh, told)
    at = {id(cell): (r, c) for r, of_row in enumerate(grid.cells) for c, cell in enumerate(of_row)}
    _frame(axes, *at[id(grid.best)])
    axes.set_xticks(np.arange(columns) + 0.5, [str(level) for level in grid.levels[1]])
    axes.set_yticks(np.arange(rows) + 0.5, [str(level) for level in grid.levels[0]])
    axes.set(xlim=(0, columns), ylim=(0, rows))
    axes.set_xlabel(style.level_label(grid.across))
    axes.set_ylabel(style.level_label(grid.down))
    axes.grid(False)


def _frame(axes: Axes, row: int, column: int) -> None:
    x = np.array([0.03, 0.97, 0.97, 0.03, 0.03]) + column
    y = np.array([0.03, 0.03, 0.97, 0.97, 0.03]) + row
    axes.plot(x, y, "-", color=style.palette().orange, linewidth=2.0, zorder=4)


def _draw_lines(axes: Axes, grid: TwoWay) -> None:
    """One line a level of the axis down, over the axis across."""
    looks = style.looks([{grid.down: level} for level in grid.levels[0]])
    for index, (level, of_row) in enumerate(zip(grid.levels[0], grid.cells, strict=True)):
        known = [(x, cell) for x, cell in zip(grid.levels[1], of_row, strict=True) if cell is not None]
        if known:
            x = aside([place for place, _ in known], index, len(grid.levels[0]))
            label = f"{grid.down.replace('_', ' ')} {level}"
            draw_cells(axes, x, [cell for _, cell in known], looks[index], label)
    style.level_axis(axes, grid.across, list(grid.levels[1]))
    axes.set_ylim(0, None)
    axes.set_ylabel(words.score_label(grid.flat[0]))
    axes.legend(loc="best")


def _steps(found) -> str:
    if found.low is None:
        return f"{found.value:+.2f} steps (no interval: {found.no_interval})"
    return f"{found.value:+.2f} steps (95 % interval {found.low:+.2f} to {found.high:+.2f})"
