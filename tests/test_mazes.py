"""Maze layouts: closed, connected, and with the goals of the study."""

import numpy as np
import pytest

from crlscale.envs.mazes import MAZES

# tasks.md of the study: cells marked F, and every free cell but the start
FAR_CELLS = {"u": 3, "u2": 4, "u3": 5, "u4": 4, "u5": 8, "u6": 7, "u7": 6, "big": 9, "hardest": 0}
GOAL_CELLS = {
    "u": 6,
    "u2": 8,
    "u3": 10,
    "u4": 10,
    "u5": 16,
    "u6": 14,
    "u7": 12,
    "big": 25,
    "hardest": 45,
}

every_maze = pytest.mark.parametrize("maze", MAZES.values(), ids=MAZES)


def test_the_paper_s_nine_mazes():
    assert list(MAZES) == ["u", "u2", "u3", "u4", "u5", "u6", "u7", "big", "hardest"]


@every_maze
def test_a_closed_rectangle_of_known_characters(maze):
    assert {len(row) for row in maze.rows} == {len(maze.rows[0])}
    assert set("".join(maze.rows)) <= set("#R.F")
    border = np.ones_like(maze.walls)
    border[1:-1, 1:-1] = False
    assert maze.walls[border].all()


@every_maze
def test_one_start_and_every_goal_reachable(maze):
    assert len(maze.starts) == 1
    distance = maze.distances()
    assert distance[tuple(maze.starts[0])] == 0
    assert (distance[tuple(maze.goals.T)] > 0).all()
    assert ((distance < 0) == maze.walls).all()


@every_maze
def test_goals_are_the_free_cells_but_the_start(maze):
    free = {(r, c) for r, row in enumerate(maze.rows) for c, ch in enumerate(row) if ch in ".F"}
    cells = [tuple(cell) for cell in maze.goals.tolist()]
    assert set(cells) == free and cells == sorted(cells)
    assert len(cells) == GOAL_CELLS[maze.name]


@every_maze
def test_the_far_set(maze):
    assert maze.far.shape == (len(maze.goals),)
    assert maze.far.sum() == FAR_CELLS[maze.name]
    assert maze.goal_sets() == (("far", "near", "all") if maze.far.any() else ("all",))
    for (row, column), far in zip(maze.goals, maze.far, strict=True):
        assert (maze.rows[row][column] == "F") == far


def test_distances_by_hand():
    """#R..# / ###.# / #FFF#: three steps to the corner, six to the last cell."""
    distance = MAZES["u"].distances()
    assert distance[1, 1:4].tolist() == [0, 1, 2]
    assert distance[2, 3] == 3
    assert distance[3, 1:4].tolist() == [6, 5, 4]


def test_orientation():
    """x grows down the rows: in u4 the start lies two rows below the top wall, in column 1."""
    assert MAZES["u4"].starts.tolist() == [[2, 1]]
    assert MAZES["u4"].walls.shape == (7, 5)
