"""A planar arm of N links whose state hides the fingertip, in pure JAX."""

import jax
import jax.numpy as jnp
from brax.envs.base import State

from crlscale.envs.goal_env import GoalEnv
from crlscale.envs.spec import TaskSpec

TURN = 0.15  # radians that a full action turns a joint in one step
START_SPREAD = jnp.pi / 2  # joint angles at the start, uniform in +- this
GOAL_RADIUS = 0.9  # goals are uniform in a disc of this radius [arm lengths]
SINGLE_GOAL = 0.6  # along y, the one goal of `goals="single"` [arm lengths]


class Chain(GoalEnv):
    """Kinematic arm of total length 1, base at the origin.

    State: cosines then sines of the N relative joint angles (S = 2N); goal: fingertip position
    (G = 2), which the state does not contain: it is a composition of N rotations; action: joint
    velocities in [-1, 1] (A = N). Never fails."""

    def __init__(self, spec: TaskSpec):
        self.spec = spec
        self.links = spec.action_size

    def sample_goal(self, rng: jax.Array) -> jax.Array:
        if self.spec.options.goals == "single":
            return jnp.array([0.0, SINGLE_GOAL])
        radius_key, angle_key = jax.random.split(rng)
        radius = GOAL_RADIUS * jnp.sqrt(jax.random.uniform(radius_key))
        angle = jax.random.uniform(angle_key, maxval=2 * jnp.pi)
        return radius * jnp.stack([jnp.cos(angle), jnp.sin(angle)])

    def start(self, rng: jax.Array, goal: jax.Array) -> State:
        angles = jax.random.uniform(rng, (self.links,), minval=-START_SPREAD, maxval=START_SPREAD)
        return self._state(angles, goal)

    def step(self, state: State, action: jax.Array) -> State:
        turned = state.pipeline_state + TURN * jnp.clip(action, -1.0, 1.0)
        return self._state(jnp.mod(turned + jnp.pi, 2 * jnp.pi) - jnp.pi, self._goal(state))

    def achieved(self, state: State) -> jax.Array:
        headings = jnp.cumsum(state.pipeline_state, axis=-1)
        tip = jnp.stack([jnp.cos(headings).mean(-1), jnp.sin(headings).mean(-1)], axis=-1)
        return tip  # mean = sum of links of length 1 / N

    def distance(self, achieved: jax.Array, goal: jax.Array) -> jax.Array:
        return jnp.linalg.norm(achieved - goal, axis=-1)

    def _state(self, angles: jax.Array, goal: jax.Array) -> State:
        state = jnp.concatenate([jnp.cos(angles), jnp.sin(angles)])
        return self._pack(angles, state, goal, jnp.zeros((), bool))
