"""Time at goal of each goal cell of a maze, one small map a cell of the study."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from crlscale.analysis.goal_cells import GoalMap, GoalMaps
from crlscale.figures import style, words

COLUMNS = 4
SIDE = 2.1  # of one map [inches]


@style.styled
def draw_goal_maps(result: GoalMaps) -> Figure:
    """The whole figure: maps in the order of the plan, one scale of shades for all."""
    count = len(result.maps)
    columns = min(COLUMNS, count)
    rows = math.ceil(count / columns)
    tall = result.maze.blocked.shape[0] / result.maze.blocked.shape[1]
    figure = style.empty_figure(max(SIDE * columns + 1.2, 4.8), SIDE * tall * rows + 1.4)
    grid = figure.subplots(rows, columns, squeeze=False)
    limit = result.maps[0].cell.config.episode_length
    norm = Normalize(0, limit)
    for axes, found in zip(grid.flat, result.maps, strict=False):
        mesh = _draw_map(axes, result, found, norm)
    for axes in grid.flat[count:]:
        axes.remove()
    shown = [axes for axes in grid.flat[:count]]
    bar = figure.colorbar(mesh, ax=shown, label=f"time at goal [steps of {limit}]", shrink=0.9)
    bar.outline.set_visible(False)
    cells = tuple(found.cell for found in result.maps)
    env = cells[0].config.env
    figure.suptitle(f"{env}: time at goal by goal cell", x=0.01, ha="left", size=10)
    style.caption(
        figure,
        words.sentences(
            f"numbers: mean over {words.seeds_words(cells, 'map')} and their last evaluations, no"
            " interval",
            "R: start; bold: far goals" if result.far.any() else "R: start",
            words.budget_words(cells),
            words.missing_words(cells),
            f"study {result.study}",
        ),
    )
    return figure


def _draw_map(axes: Axes, result: GoalMaps, found: GoalMap, norm: Normalize):
    """One maze as it is written, rows downwards; walls in the colour of the axes."""
    colours = style.palette()
    rows, columns = found.time_at_goal.shape
    walls = np.where(result.maze.blocked, 1.0, np.nan)
    edges = np.arange(columns + 1), np.arange(rows + 1)
    axes.pcolormesh(*edges, walls, cmap=style.one_colour(colours.faint), zorder=1)
    mesh = axes.pcolormesh(*edges, found.time_at_goal, cmap=style.shade_map().reversed(), norm=norm,
                           zorder=1)  # fmt: skip
    for row, column in np.argwhere(np.isfinite(found.time_at_goal)).tolist():
        value = found.time_at_goal[row, column]
        ink = style.ink_on(mesh.cmap(norm(value)))
        weight = "bold" if result.far[row, column] else "normal"
        axes.text(column + 0.5, row + 0.5, f"{value:.0f}", ha="center", va="center", size=7, color=ink,
                  weight=weight)  # fmt: skip
    told = []
    for row, column in np.ndindex(found.time_at_goal.shape):
        value, rate = found.time_at_goal[row, column], found.success_rate[row, column]
        seeds = ", ".join(words.exact(seed[row, column]) for seed in found.seeds.values())
        said = (
            f"{found.cell.where}, row {row}, column {column}: {words.exact(value)} steps,"
            f" success {words.exact(rate)}; seeds {seeds}"
        )
        told.append(said if np.isfinite(value) else "")
    style.tell(mesh, told)
    for row, column in result.maze.starts.tolist():
        axes.text(column + 0.5, row + 0.5, "R", ha="center", va="center", size=8, color=colours.ink)
    axes.set(xlim=(0, columns), ylim=(rows, 0), aspect="equal", xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.grid(False)
    axes.set_title(found.cell.where, size=8)
    return mesh
