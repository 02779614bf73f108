"""Maps of tasks are to scale: cells, circles and samples lie where the typed result says."""

import numpy as np
import pytest
from matplotlib.collections import EllipseCollection
from matplotlib.patches import Rectangle
from test_figures import assert_texts_apart, caption_of

from crlscale.figures import style
from crlscale.figures.task_map import Grid, TaskMap, draw_task_map, save_frame

GRID = Grid(
    cell=4.0,
    walls=np.array([[0.0, 0.0], [0.0, 4.0], [8.0, 12.0]]),
    pits=np.empty((0, 2)),
    starts=np.array([[4.0, 4.0]]),
    goals=np.array([[4.0, 8.0], [4.0, 0.0]]),
    far=np.array([False, True]),
)


def maze_map(grid=GRID) -> TaskMap:
    starts = np.array([[4.05, 3.95], [3.9, 4.1]])
    return TaskMap("ant_u_maze", "torso x, y [m]", "m", 0.5, starts, grid.goals, grid)


def open_map(goals, starts, radius=0.5) -> TaskMap:
    return TaskMap("reach", "fingertip [m]", "m", radius, np.array(starts), np.array(goals))


def circles(axes):
    """(offsets, diameter) of each collection of circles."""
    found = [c for c in axes.collections if isinstance(c, EllipseCollection)]
    return [(c.get_offsets().tolist(), set(c.get_widths().tolist())) for c in found]


def test_a_maze_lies_as_its_layout_is_written():
    (axes,) = draw_task_map(maze_map()).axes
    squares = {(*p.get_xy(), p.get_width()) for p in axes.patches if p.get_width() == 4.0}
    assert squares == {(y - 2, x - 2, 4.0) for x, y in GRID.walls}
    assert axes.get_xlim() == (-2, 14) and axes.get_ylim() == (10, -2)
    assert axes.get_aspect() == 1.0
    assert axes.get_xlabel().startswith("y [m]") and axes.get_ylabel().startswith("x [m]")


def test_goals_have_circles_of_the_success_radius_to_scale():
    figure = draw_task_map(maze_map())
    near, far = circles(figure.axes[0])
    assert near == ([[8.0, 4.0]], {1.0}) and far == ([[0.0, 4.0]], {1.0})
    assert "success radius 0.5 m" in caption_of(figure)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["wall", "start", "goal", "far goal"]
    assert_texts_apart(figure)


def test_pits_are_told_from_walls():
    grid = Grid(4.0, GRID.walls, np.array([[4.0, 12.0]]), GRID.starts, GRID.goals, np.zeros(2, bool))
    figure = draw_task_map(maze_map(grid))
    hatched = [p for p in figure.axes[0].patches if isinstance(p, Rectangle) and p.get_hatch()]
    assert [p.get_xy() for p in hatched] == [(10.0, 2.0)]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["wall", "pit", "start", "goal"]


def test_an_open_task_shows_its_samples():
    goals = [[10 * np.cos(a), 10 * np.sin(a)] for a in np.linspace(0, 6, 300)]
    figure = draw_task_map(open_map(goals, [[0.0, 0.0], [0.1, -0.1]]))
    (axes,) = figure.axes
    shaded, one = circles(axes)
    assert shaded == (goals, {1.0}) and one == (goals[:1], {1.0})
    (start,) = [line for line in axes.lines if line.get_label() == "achieved at the start"]
    assert start.get_xydata().tolist() == [[0.0, 0.0], [0.1, -0.1]]
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert left < -10.5 and right > 10.5 and bottom < -10.4 and top > 10.4
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x [m]", "y [m]")
    assert_texts_apart(figure)


def test_goals_in_space_are_seen_from_above_and_from_the_side():
    goals = [[0.0, 0.5, 0.1], [0.2, 0.7, 0.5], [-0.2, 0.3, 0.3]]
    figure = draw_task_map(open_map(goals, [[0.3, 0.2, 0.6]], radius=0.1))
    above, side = figure.axes
    assert (above.get_ylabel(), side.get_ylabel()) == ("y [m]", "z [m]")
    assert circles(side)[0][0] == [[x, z] for x, _, z in goals]
    assert_texts_apart(figure)


def test_goals_of_one_height_need_no_side_view():
    goals = [[1.0, 0.0, 1.25], [0.0, 3.0, 1.25]]
    figure = draw_task_map(open_map(goals, [[0.0, 0.0, 1.4]]))
    assert len(figure.axes) == 1
    assert "All goals at z = 1.25 m" in caption_of(figure)


def test_a_single_coordinate_lies_on_a_line():
    figure = draw_task_map(open_map([[5.0]], [[0.0], [0.1]]))
    (axes,) = figure.axes
    assert circles(axes)[1] == ([[5.0, 0.0]], {1.0})
    assert axes.get_yticks().tolist() == [] and axes.get_xlabel() == "x [m]"
    assert_texts_apart(figure)


def test_the_same_map_gives_the_same_bytes(tmp_path):
    for kind, task in (("maze", maze_map()), ("open", open_map([[1.0, 2.0]], [[0.0, 0.0]]))):
        first = style.save(draw_task_map(task), tmp_path / "one", kind)
        second = style.save(draw_task_map(task), tmp_path / "two", kind)
        for one, other in zip(first, second, strict=True):
            assert one.read_bytes() == other.read_bytes()


def test_a_frame_is_written_as_it_is(tmp_path):
    image = pytest.importorskip("PIL.Image")
    frame = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    path = save_frame(frame, tmp_path / "deep" / "frame.png")
    assert np.array_equal(np.asarray(image.open(path).convert("RGB")), frame)
