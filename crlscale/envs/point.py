"""A point mass with momentum in the paper's mazes, in pure JAX."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from brax.envs.base import State

from crlscale.envs.goal_env import GoalEnv
from crlscale.envs.mazes import Maze
from crlscale.envs.registry import TaskSpec

FRICTION = 0.8  # velocity kept each step
THRUST = 0.2  # velocity gained by a full action, so speed stays below 1
STRIDE = 0.3  # cells moved by speed 1 in one step; below 1 - 2 HALF_WIDTH, so no wall is jumped
HALF_WIDTH = 0.15  # of the square body [cells]
START_NOISE = 0.1  # start position, uniform around the centre of an R cell [cells]
CLEARANCE = 1e-3  # kept from a wall, so that a touching body does not count as inside [cells]


class Physics(NamedTuple):
    """Position [2] in cells and velocity [2] in strides."""

    position: jax.Array
    velocity: jax.Array


class PointMaze(GoalEnv):
    """State: position, centred and scaled to the maze, and velocity (S = 4); goal: position in
    the same scale (G = 2); action: thrust in [-1, 1] (A = 2). Never fails."""

    def __init__(self, maze: Maze, spec: TaskSpec):
        self.maze = maze
        self.spec = spec
        self._walls = np.asarray(maze.walls)
        self._centre = np.array(maze.walls.shape, np.float32) / 2
        self._scale = np.float32(max(maze.walls.shape) / 2)
        self._goals = (maze.goals + np.float32(0.5) - self._centre) / self._scale
        self._starts = maze.starts + np.float32(0.5)

    def goal_cells(self) -> jax.Array:
        return jnp.asarray(self._goals)

    def sample_goal(self, rng: jax.Array) -> jax.Array:
        return jnp.asarray(self._goals)[jax.random.randint(rng, (), 0, len(self._goals))]

    def start(self, rng: jax.Array, goal: jax.Array) -> State:
        cell_key, noise_key = jax.random.split(rng)
        cell = jnp.asarray(self._starts)[jax.random.randint(cell_key, (), 0, len(self._starts))]
        noise = jax.random.uniform(noise_key, (2,), minval=-START_NOISE, maxval=START_NOISE)
        return self._state(Physics(cell + noise, jnp.zeros(2)), goal)

    def step(self, state: State, action: jax.Array) -> State:
        old = state.pipeline_state
        velocity = FRICTION * old.velocity + THRUST * jnp.clip(action, -1.0, 1.0)
        x, vx = self._move(old.position[0], velocity[0], old.position[1], along_x=True)
        y, vy = self._move(old.position[1], velocity[1], x, along_x=False)
        physics = Physics(jnp.stack([x, y]), jnp.stack([vx, vy]))
        return self._state(physics, state.obs[self.spec.state_size :])

    def achieved(self, state: State) -> jax.Array:
        return state.obs[..., :2]

    def distance(self, achieved: jax.Array, goal: jax.Array) -> jax.Array:
        return jnp.linalg.norm(achieved - goal, axis=-1) * self._scale

    def _state(self, physics: Physics, goal: jax.Array) -> State:
        place = (physics.position - self._centre) / self._scale
        return self._pack(
            physics, jnp.concatenate([place, physics.velocity]), goal, jnp.zeros((), bool)
        )

    def _move(self, place, speed, other, along_x: bool):
        """Move along one axis and stop flush at a wall: -> (place, speed)."""
        moved = place + STRIDE * speed
        front = moved + jnp.sign(speed) * HALF_WIDTH
        edge = jnp.floor(front)
        cell = edge.astype(jnp.int32)
        sides = jnp.floor(other + np.array([-HALF_WIDTH, HALF_WIDTH], np.float32)).astype(jnp.int32)
        walls = jnp.asarray(self._walls)
        blocked = jnp.any(walls[cell, sides] if along_x else walls[sides, cell])
        face = jnp.where(speed > 0, edge - HALF_WIDTH - CLEARANCE, edge + 1 + HALF_WIDTH + CLEARANCE)
        return jnp.where(blocked, face, moved), jnp.where(blocked, 0.0, speed)
