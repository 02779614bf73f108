"""Which goals of a maze does each cell of a study reach?"""

from dataclasses import dataclass

import numpy as np

from crlscale.envs.mazes import Maze
from crlscale.errors import CrlscaleError
from crlscale.score import LAST_EVALUATIONS, CellScore, StudyScores


@dataclass(frozen=True)
class GoalMap:
    """One cell of a study. `time_at_goal` and `success_rate` are arrays [rows, columns] over the maze:
    means over seeds and their last min(5, n) evaluations, NaN where no goal lies. `seeds` maps a run
    id to its own time at goal [rows, columns]."""

    cell: CellScore
    time_at_goal: np.ndarray
    success_rate: np.ndarray
    seeds: dict[str, np.ndarray]


@dataclass(frozen=True)
class GoalMaps:
    """The maps of every cell of a study that has per-goal rows, in the order of the plan. `far`
    [rows, columns] marks the far goals."""

    study: str
    maze: Maze
    far: np.ndarray
    maps: tuple[GoalMap, ...]

    @property
    def sentence(self) -> str:
        """How many goal cells the worst and the best cell reach in half of their episodes."""
        reached = [int((m.success_rate >= 0.5).sum()) for m in self.maps]
        goals = int(np.isfinite(self.maps[0].success_rate).sum())
        best = int(np.argmax(reached))
        return (
            f"{reached[best]} of {goals} goal cells are reached in at least half of the episodes at"
            f" {self.maps[best].cell.where}, {min(reached)} at the worst level (means over seeds, no interval)."
        )


def goal_maps(scores: StudyScores, goals) -> GoalMaps:
    """The maps from the frame of `store.read_goals`; a study without a maze is a CrlscaleError."""
    scores.require_finished()
    maze = scores.finished[0].config.task.maze
    mazes = {cell.config.task.maze for cell in scores.finished}
    if maze is None or len(mazes) > 1 or not len(goals):
        reason = "compares several mazes" if len(mazes) > 1 else "has no rows per goal cell"
        raise CrlscaleError(
            f"study {scores.study.name!r} {reason}, so there is no map of its goals",
            value=scores.study.name,
            remedy="crlscale sweep depth --env point_u_maze --preset quick",
        )
    rows = dict(iter(goals.groupby("run_id", sort=False)))
    shape = maze.blocked.shape
    far = np.zeros(shape, dtype=bool)
    marked = goals[goals["far"].astype(bool)]
    far[marked["row"].astype(int), marked["column"].astype(int)] = True
    maps = []
    for cell in scores.finished:
        found = {
            run.run_id: _means(rows[run.run_id], shape) for run in cell.scored if run.run_id in rows
        }
        if found:
            both = np.mean(list(found.values()), axis=0)
            maps.append(GoalMap(cell, both[0], both[1], {run: m[0] for run, m in found.items()}))
    return GoalMaps(scores.study.name, maze, far, tuple(maps))


def _means(frame, shape: tuple[int, int]) -> np.ndarray:
    """Time at goal and success rate of one run, [2, rows, columns]."""
    last = sorted(frame.loc[frame["evaluation"] > 0, "evaluation"].unique())[-LAST_EVALUATIONS:]
    kept = frame[frame["evaluation"].isin(last)]
    found = np.full((2, *shape), np.nan)
    for (row, column), group in kept.groupby(["row", "column"]):
        weights = group["episodes"].to_numpy(dtype=float)
        for index, metric in enumerate(("time_at_goal", "success_rate")):
            found[index, row, column] = np.average(group[metric].to_numpy(dtype=float), weights=weights)
    return found
