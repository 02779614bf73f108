"""Every task by name: its sizes as plain data (no jax), and the class behind it on demand."""

import difflib
import re
from dataclasses import dataclass

from crlscale.envs.mazes import MAZES, Maze
from crlscale.errors import CrlscaleError

CHAIN_LINKS = range(2, 65)


@dataclass(frozen=True)
class TaskSpec:
    """What the planner must know of a task without building it.

    `episode_length` is the default time limit in env steps, `discount` the default decay of the
    hindsight goal's distance, `goal_sets` are the legal goal
    sets of an evaluation (the first one scores a run by default), `goal_cells` is the number
    of distinct goal cells (None where goals are drawn from a continuum).
    """

    name: str
    family: str
    state_size: int
    goal_size: int
    action_size: int
    episode_length: int
    discount: float
    success_radius: float
    goal_sets: tuple[str, ...]
    goal_cells: int | None
    goal: str
    source: str


def _point_spec(maze_name: str) -> TaskSpec:
    maze = MAZES[maze_name]
    return TaskSpec(
        name=f"point_{maze_name}_maze",
        family="point",
        state_size=4,
        goal_size=2,
        action_size=2,
        episode_length=200,
        discount=0.99,
        success_radius=0.5,
        goal_sets=maze.goal_sets,
        goal_cells=len(maze.goals),
        goal="position x, y [cells]",
        source="crlscale, in the layouts of arXiv 2503.14858",
    )


def _chain_spec(links: int) -> TaskSpec:
    return TaskSpec(
        name=f"chain_{links}",
        family="chain",
        state_size=2 * links,
        goal_size=2,
        action_size=links,
        episode_length=50,
        discount=0.95,
        success_radius=0.1,
        goal_sets=("all",),
        goal_cells=None,
        goal="fingertip x, y [arm lengths]",
        source="crlscale",
    )


def task_names() -> list[str]:
    """The tasks that `crlscale envs` lists; chain_N exists for every N from 2 to 64."""
    return [f"point_{maze}_maze" for maze in MAZES] + [f"chain_{n}" for n in (4, 8, 12, 16, 32)]


def task_spec(name: str) -> TaskSpec:
    """The spec of task `name`; an unknown name is a CrlscaleError that lists near ones."""
    point = re.fullmatch(r"point_(\w+)_maze", name)
    if point and point[1] in MAZES:
        return _point_spec(point[1])
    chain = re.fullmatch(r"chain_([1-9]\d*)", name)
    if chain and int(chain[1]) in CHAIN_LINKS:
        return _chain_spec(int(chain[1]))
    if chain:
        raise CrlscaleError(
            f"env {name!r}: a chain has 2 to 64 links", value=name, remedy="--env chain_8"
        )
    near = difflib.get_close_matches(name, task_names(), n=3, cutoff=0.4) or task_names()[:3]
    raise CrlscaleError(
        f"unknown env {name!r}; near names: {', '.join(near)}",
        value=name,
        remedy=f"--env {near[0]}, or `crlscale envs` for all",
    )


def goal_maze(name: str) -> Maze | None:
    """The maze whose cells are the goals of task `name`; None for a task without goal cells."""
    point = re.fullmatch(r"point_(\w+)_maze", name)
    return MAZES[point[1]] if point else None


def make_env(name: str):
    """Build the GoalEnv of task `name` (imports jax and brax)."""
    spec = task_spec(name)
    if spec.family == "point":
        from crlscale.envs.point import PointMaze

        return PointMaze(goal_maze(name), spec)
    from crlscale.envs.chain import Chain

    return Chain(spec)
