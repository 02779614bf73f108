"""A task from above: walls, pits, starts and goals to scale, and the success radius round a goal."""

import io
from dataclasses import dataclass
from pathlib import Path

import matplotlib.image
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from crlscale.figures import style, words
from crlscale.files import replace_file

BLUE, ORANGE = style.PALETTES["light"].blue, style.PALETTES["light"].orange  # maps are drawn light
WALL, FLOOR, SHADE = "#7d7d7d", "#ffffff", "#f6dcc9"
PIT_LOOK = {"facecolor": "#cfe0ee", "edgecolor": BLUE, "hatch": "xxx", "linewidth": 0}
START_LOOK = {"color": style.PALETTES["light"].ink, "marker": "^", "markersize": 9, "markerfacecolor": "none",
              "markeredgewidth": 1.4, "linestyle": ""}  # fmt: skip
GOAL_LOOKS = {  # by whether the goal is far
    False: {"color": BLUE, "marker": "o"},
    True: {"color": ORANGE, "marker": "D"},
}
LEGEND = {"loc": "outside upper left", "handlelength": 1.6, "columnspacing": 1.4}
SIDE = 4.6  # of the drawn area's longer side [inches]
SHOWN = 200  # goals that get a marker; all of them are shaded
THIN = 1e-3  # a spread of goals below this share of the success radius is drawn as none


@dataclass(frozen=True)
class Grid:
    """The cells of a maze by their centres [k, 2], with sides `cell`: walls, pits, cells to start in,
    and the goals of an evaluation, of which those marked in `far` [k] belong to the far set."""

    cell: float
    walls: np.ndarray
    pits: np.ndarray
    starts: np.ndarray
    goals: np.ndarray
    far: np.ndarray

    @property
    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """The lower and the upper corner of the whole maze, [2] each."""
        cells = np.concatenate([self.walls, self.pits])
        return cells.min(0) - self.cell / 2, cells.max(0) + self.cell / 2


@dataclass(frozen=True)
class TaskMap:
    """What a map shows, all lengths in `unit`. D is 1, 2 or 3: x, then y, then z.

    `starts` [n, D] are what fresh episodes achieve before the first step, `goals` [m, D] what training
    commands, `radius` is that of success. `grid` is None in an open task."""

    task: str
    goal: str
    unit: str
    radius: float
    starts: np.ndarray
    goals: np.ndarray
    grid: Grid | None = None


@style.styled
def draw_task_map(task: TaskMap) -> Figure:
    """The whole figure; a maze lies as its layout is written, rows downwards."""
    return _draw_open(task) if task.grid is None else _draw_maze(task, task.grid)


def save_frame(frame: np.ndarray, path: Path) -> Path:
    """Write a frame, uint8 [height, width, 3], as PNG."""
    content = io.BytesIO()
    matplotlib.image.imsave(content, frame, format="png", metadata={"Software": None})
    replace_file(path, content.getvalue())
    return path


# --- mazes ---------------------------------------------------------------------------------
def _draw_maze(task: TaskMap, grid: Grid) -> Figure:
    low, high = grid.ends
    height, width = (high - low) / (high - low).max() * SIDE
    figure, (axes,) = style.new_figure(max(width, 3.4) + 0.9, height + 1.6)
    axes.add_patch(Rectangle(low[::-1], *(high - low)[::-1], facecolor=FLOOR, linewidth=0, zorder=0))
    _draw_cells(axes, grid.walls, grid.cell, facecolor=WALL, edgecolor=WALL, linewidth=0.4)
    _draw_cells(axes, grid.pits, grid.cell, **PIT_LOOK)
    axes.plot(
        task.starts[:, 1],
        task.starts[:, 0],
        ".",
        color=style.PALETTES["light"].faint,
        markersize=2,
        zorder=3,
    )
    axes.plot(*grid.starts[:, ::-1].T, **START_LOOK, zorder=4)
    for far, look in GOAL_LOOKS.items():
        places = grid.goals[grid.far == far][:, ::-1]
        _draw_circles(axes, places, task.radius, facecolors=[(*to_rgb(look["color"]), 0.12)],
                      edgecolors=look["color"], linewidths=1.0, zorder=3)  # fmt: skip
        axes.plot(*places.T, linestyle="", markersize=4, zorder=4, **look)
    _frame_maze(axes, task, grid)
    figure.legend(handles=_maze_legend(grid), **LEGEND, ncols=5)
    style.caption(
        figure,
        words.sentences(
            f"seen from above; the goal is {task.goal}",
            f"circles: success radius {task.radius:g} {task.unit}, to scale",
            f"grey dots: {len(task.starts)} fresh starts",
        ),
    )
    return figure


def _frame_maze(axes: Axes, task: TaskMap, grid: Grid) -> None:
    """Limits, ticks at borders of cells, title and labels; the walls are frame enough."""
    low, high = grid.ends
    axes.set(xlim=(low[1], high[1]), ylim=(high[0], low[0]), aspect="equal")
    axes.set_xlabel(f"y [{task.unit}], along a row")
    axes.set_ylabel(f"x [{task.unit}], down the rows")
    axes.set_title(f"{task.task}: {len(grid.goals)} goal cell{'s' * (len(grid.goals) != 1)}")
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xticks(_ticks(low[1], high[1], grid.cell))
    axes.set_yticks(_ticks(low[0], high[0], grid.cell))


def _draw_cells(axes: Axes, centres: np.ndarray, side: float, **look) -> None:
    for x, y in centres:
        axes.add_patch(Rectangle((y - side / 2, x - side / 2), side, side, zorder=1, **look))


def _draw_circles(axes: Axes, places: np.ndarray, radius: float, **look) -> None:
    """Circles of the success radius, to scale, round `places` [k, 2] (horizontal, vertical)."""
    size, where = 2 * radius, {"offsets": places, "offset_transform": axes.transData}
    axes.add_collection(EllipseCollection(size, size, 0, units="xy", **where, **look))


def _ticks(low: float, high: float, cell: float) -> np.ndarray:
    """Borders of cells, thinned to at most nine."""
    count = round((high - low) / cell)
    stride = max(1, -(-count // 8))
    return low + cell * np.arange(0, count + 1, stride)


def _maze_legend(grid: Grid) -> list:
    parts = [Patch(color=WALL, label="wall")]
    if len(grid.pits):
        parts.append(Patch(**PIT_LOOK, label="pit"))
    parts.append(Line2D([], [], **START_LOOK, label="start"))
    for far, look in GOAL_LOOKS.items():
        if np.any(grid.far == far):
            label = "far goal" if far else "goal"
            parts.append(Line2D([], [], linestyle="", markersize=5, label=label, **look))
    return parts


# --- open tasks ----------------------------------------------------------------------------
def _draw_open(task: TaskMap) -> Figure:
    """From above, and from the side too where goals have different heights."""
    size = task.goals.shape[1]
    planes = [(0, 1)]
    if size == 3 and np.ptp(task.goals[:, 2]) > THIN * task.radius:
        planes.append((0, 2))
    spans = [_span(task, plane) for plane in planes]
    tallest = max((top - bottom) / (right - left) for (left, right), (bottom, top) in spans)
    side = SIDE if len(planes) == 1 else 0.75 * SIDE
    figure, panels = style.new_figure(side * len(planes) + 1.0, side * tallest + 1.5)
    if len(planes) == 2:
        panels[0].remove()
        panels = list(figure.subplots(1, 2))
    for panel, plane, span in zip(panels, planes, spans, strict=True):
        _draw_plane(panel, task, plane, span)
    panels[0].set_title(f"{task.task}: {task.goal}")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, **LEGEND, ncols=3)
    flat = size == 3 and len(planes) == 1
    style.caption(
        figure,
        words.sentences(
            "left: from above, right: from the side" if len(planes) == 2 else "seen from above",
            f"all goals at z = {task.goals[0, 2]:.3g} {task.unit}" if flat else "",
            f"{len(task.starts)} fresh starts, {min(SHOWN, len(task.goals))} goals as in training",
            f"shaded: within the success radius, {task.radius:g} {task.unit}, of a goal",
        ),
    )
    return figure


def _draw_plane(axes: Axes, task: TaskMap, plane: tuple[int, int], span: tuple) -> None:
    """Starts, goals and the success radius in one plane."""
    starts, goals = _flat(task.starts, plane), _flat(task.goals, plane)
    _draw_circles(axes, goals, task.radius, facecolors=SHADE, linewidths=0, zorder=1, rasterized=True)
    _draw_circles(axes, goals[:1], task.radius, facecolors="none", edgecolors=ORANGE,
                  linewidths=1.4, zorder=5)  # fmt: skip
    axes.plot(*goals[:SHOWN].T, "D", color=ORANGE, markersize=2.5, linestyle="", label="goal", zorder=3)
    axes.plot(
        *starts.T,
        "o",
        color=BLUE,
        markersize=2.5,
        linestyle="",
        label="achieved at the start",
        zorder=4,
    )
    axes.plot([], [], "o", color=ORANGE, markerfacecolor="none", markersize=10,
              markeredgewidth=1.4, label="success radius, to scale")  # fmt: skip
    axes.set(xlim=span[0], ylim=span[1], aspect="equal", xlabel=f"x [{task.unit}]")
    for set_ticks, (low, high), most in ((axes.set_xticks, span[0], 7), (axes.set_yticks, span[1], 6)):
        ticks = MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        set_ticks([tick for tick in ticks if low <= tick <= high])
    if task.goals.shape[1] == 1:
        axes.set_yticks([])
    else:
        axes.set_ylabel(f"{'xyz'[plane[1]]} [{task.unit}]")


def _flat(places: np.ndarray, plane: tuple[int, int]) -> np.ndarray:
    """Coordinates `plane` of `places` [n, D] as [n, 2]; a single coordinate lies on a line."""
    if places.shape[1] == 1:
        return np.concatenate([places, np.zeros_like(places)], axis=1)
    return places[:, list(plane)]


def _span(task: TaskMap, plane: tuple[int, int]) -> tuple:
    """Limits of both coordinates, with room for the success radius round everything."""
    places = np.concatenate([_flat(task.starts, plane), _flat(task.goals, plane)])
    room = 1.4 * task.radius
    low, high = places.min(0) - room, places.max(0) + room
    slack = max(0.0, (high[0] - low[0]) / 4 - (high[1] - low[1])) / 2  # never flatter than 1 to 4
    slack += np.zeros(2)
    return (low[0], high[0]), (low[1] - slack[0], high[1] + slack[1])
