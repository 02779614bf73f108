"""A point mass with momentum in the paper's mazes, in pure JAX."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from brax.envs.base import State

from crlscale.envs.maze_env import MazeEnv
from crlscale.envs.spec import TaskSpec

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


class PointMaze(MazeEnv):
    """State: position, centred and scaled to the maze, and velocity (S = 4); goal: position in
    the same scale (G = 2); action: thrust in [-1, 1] (A = 2). Fails over a pit only."""

    def __init__(self, spec: TaskSpec):
        super().__init__(spec)
        shape = np.array(spec.maze.walls.shape, np.float32)
        self._walls = np.asarray(spec.maze.walls)
        self._centre = shape / 2
        self._scale = np.float32(max(shape) / 2)

    def _goal_of(self, cell: jax.Array) -> jax.Array:
        return (cell.astype(jnp.float32) + np.float32(0.5) - self._centre) / self._scale

    def _start_in(self, rng: jax.Array, cell: jax.Array, goal: jax.Array) -> State:
        noise = jax.random.uniform(rng, (2,), minval=-START_NOISE, maxval=START_NOISE)
        place = cell.astype(jnp.float32) + np.float32(0.5) + noise
        return self._state(Physics(place, jnp.zeros(2)), goal)

    def step(self, state: State, action: jax.Array) -> State:
        old = state.pipeline_state
        velocity = FRICTION * old.velocity + THRUST * jnp.clip(action, -1.0, 1.0)
        x, vx = self._move(old.position[0], velocity[0], old.position[1], along_x=True)
        y, vy = self._move(old.position[1], velocity[1], x, along_x=False)
        physics = Physics(jnp.stack([x, y]), jnp.stack([vx, vy]))
        return self._state(physics, self._goal(state))

    def achieved(self, state: State) -> jax.Array:
        return state.obs[..., :2]

    def distance(self, achieved: jax.Array, goal: jax.Array) -> jax.Array:
        return jnp.linalg.norm(achieved - goal, axis=-1) * self._scale

    def _state(self, physics: Physics, goal: jax.Array) -> State:
        place = (physics.position - self._centre) / self._scale
        state = jnp.concatenate([place, physics.velocity])
        return self._pack(physics, state, goal, self._over_pit(physics.position))

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
