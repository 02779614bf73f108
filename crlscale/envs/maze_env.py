"""What the maze tasks share: starts and goals by cell, whatever the body that walks."""

import abc

import jax
import jax.numpy as jnp
import numpy as np
from brax.envs.base import State

from crlscale.envs.goal_env import GoalEnv
from crlscale.envs.spec import TaskSpec


class MazeEnv(GoalEnv):
    """A GoalEnv whose commanded goals are centres of cells.

    A body says where cells lie (`_goal_of`) and how it starts in one (`_start_in`)."""

    def __init__(self, spec: TaskSpec):
        maze, options = spec.maze, spec.options
        self.spec = spec
        self._pairs = maze.training_pairs(options.goals, options.stitch)
        self._case_goals = np.array([(case.row, case.column) for case in spec.cases], np.int32)
        starts = [case.start for case in spec.cases]
        self._case_starts = None if None in starts else np.array(starts, np.int32)

    @abc.abstractmethod
    def _goal_of(self, cell: jax.Array) -> jax.Array:
        """The commanded goal [G] at the centre of `cell` (row, column) int32 [2]."""

    @abc.abstractmethod
    def _start_in(self, rng: jax.Array, cell: jax.Array, goal: jax.Array) -> State:
        """A fresh start in `cell` int32 [2] with commanded goal [G]. Consumes `rng`."""

    def reset(self, rng: jax.Array) -> State:
        pair_key, start_key = jax.random.split(rng)
        start, goal = self._draw(pair_key, self._pairs)
        return self._start_in(start_key, start, self._goal_of(goal))

    def start_case(self, rng: jax.Array, index: jax.Array) -> State:
        cell_key, start_key = jax.random.split(rng)
        if self._case_starts is None:
            start = self._draw(cell_key, self.spec.maze.starts)
        else:
            start = jnp.asarray(self._case_starts)[index]
        return self._start_in(start_key, start, self._goal_of(jnp.asarray(self._case_goals)[index]))

    def sample_goal(self, rng: jax.Array) -> jax.Array:
        return self._goal_of(self._draw(rng, self._pairs)[1])

    def start(self, rng: jax.Array, goal: jax.Array) -> State:
        cell_key, start_key = jax.random.split(rng)
        return self._start_in(start_key, self._draw(cell_key, self.spec.maze.starts), goal)

    def _over_pit(self, place: jax.Array) -> jax.Array:
        """Whether `place` [2], in cells with cell (r, c) at [r, r + 1) x [c, c + 1), is over a pit."""
        if not self.spec.maze.pits:
            return jnp.zeros((), bool)
        holes = jnp.asarray(self.spec.maze.holes)
        cell = jnp.clip(place, 0, np.array(holes.shape, np.float32) - 1).astype(jnp.int32)
        return holes[cell[0], cell[1]]

    @staticmethod
    def _draw(rng: jax.Array, rows: np.ndarray) -> jax.Array:
        return jnp.asarray(rows)[jax.random.randint(rng, (), 0, len(rows))]
