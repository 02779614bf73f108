"""Maze layouts: closed, connected, and with the goals of the study."""

import numpy as np
import pytest

from crlscale.envs.mazes import MAZES, Maze, check_layout, maze_of
from crlscale.errors import CrlscaleError

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


# --- what is commanded ------------------------------------------------------------------
def test_cases_are_the_goal_cells_in_reading_order():
    maze = MAZES["u"]
    cases = maze.cases()
    assert [(case.row, case.column) for case in cases] == [tuple(goal) for goal in maze.goals.tolist()]
    assert [case.apart for case in cases] == [1, 2, 3, 6, 5, 4]
    assert {case.start for case in cases} == {None}
    pairs = maze.training_pairs()
    assert pairs.tolist() == [[[1, 1], goal] for goal in maze.goals.tolist()]


def test_single_goal_is_the_farthest_cell():
    (case,) = MAZES["u"].cases("single")
    assert (case.row, case.column, case.apart) == (3, 1, 6)
    assert MAZES["u"].training_pairs("single").tolist() == [[[1, 1], [3, 1]]]
    assert MAZES["u"].goal_sets("single") == ("all",)


def test_stitching_by_hand():
    """The u maze is a path of seven cells: 7 - d ordered pairs each way at distance d."""
    cases = MAZES["u"].cases(stitch=3)
    apart = np.bincount([case.apart for case in cases])
    assert apart.tolist() == [0, 12, 10, 8, 6, 4, 2]
    assert sorted({case.apart for case in cases if case.far}) == [4, 5, 6]
    assert all(case.far is (case.apart > 3) for case in cases)
    assert all(case.start != (case.row, case.column) for case in cases)
    assert len(set(cases)) == 42
    assert MAZES["u"].goal_sets(stitch=3) == ("far", "near", "all")
    trained = MAZES["u"].training_pairs(stitch=3).tolist()
    assert len(trained) == 12 + 10 + 8
    far = [[list(case.start), [case.row, case.column]] for case in cases if case.far]
    assert not [pair for pair in trained if pair in far]


def test_nothing_left_to_stitch_is_refused():
    with pytest.raises(CrlscaleError, match="farther apart than 6") as refused:
        MAZES["u"].cases(stitch=6)
    assert refused.value.remedy == "--set stitch=3"


def test_pits_are_the_inner_walls():
    """#####, #R..#, ###.#: two pits in the third row; the border stands."""
    walls, pits = MAZES["u"], maze_of("ant", "ant_u_pitfall", None)
    assert pits.pits and pits.rows == walls.rows
    assert np.argwhere(pits.holes).tolist() == [[2, 1], [2, 2]]
    assert (pits.walls | pits.holes == walls.walls).all() and not (pits.walls & pits.holes).any()
    assert not walls.holes.any()
    assert (pits.distances() == walls.distances()).all()


# --- names and layouts of the user's ----------------------------------------------------
def test_names():
    assert maze_of("ant", "ant_u4_maze", None) == MAZES["u4"]
    assert maze_of("ant", "point_u4_maze", None) is None
    assert maze_of("ant", "ant_u9_maze", None) is None
    assert maze_of("ant", "ant", None) is None
    own = maze_of("ant", "ant_maze", "#### #RF# ####")
    assert own == Maze("custom", ("####", "#RF#", "####"))
    other = maze_of("humanoid", "humanoid_u_maze", None, {"u": "#### #RF# ####"})
    assert other.rows == ("####", "#RF#", "####")


def test_a_layout_belongs_to_a_task_without_one():
    with pytest.raises(CrlscaleError, match="needs a layout"):
        maze_of("ant", "ant_maze", None)
    with pytest.raises(CrlscaleError, match="has a layout already") as refused:
        maze_of("ant", "ant_u_pitfall", "#### #R.# ####")
    assert refused.value.remedy == "--env ant_pitfall"


@pytest.mark.parametrize(
    "rows, words",
    [
        (["##", "##"], "at least 3 rows and 3 columns"),
        (["####", "#R.#", "###"], "row 3 has 3 columns, row 1 has 4"),
        (["####", "#Rx#", "####"], "row 2, column 3: 'x' is none of"),
        (["####", "#R..", "####"], "row 2, column 4: '.' is on the border"),
        (["#R##", "#..#", "####"], "row 1, column 2: 'R' is on the border"),
        (["####", "#..#", "####"], "no R"),
        (["####", "#RR#", "####"], "no free cell but R"),
        (["#####", "#R#.#", "#####"], "row 2, column 4 cannot be reached"),
    ],
)
def test_layout_that_cannot_be_walked_names_the_place(rows, words):
    with pytest.raises(CrlscaleError, match=r"mine\.txt: ") as refused:
        check_layout(rows, "mine.txt")
    assert words in refused.value.message and refused.value.remedy


@every_maze
def test_the_layouts_of_the_study_pass_the_check(maze):
    assert check_layout(list(maze.rows), maze.name) == maze.rows


def test_several_starts():
    maze = Maze("two", ("######", "#R..R#", "######"))
    assert maze.distances()[1, 1:5].tolist() == [0, 1, 1, 0]
    assert len(maze.training_pairs()) == 4
