"""A GoalEnv whose every number is known in advance, for tests only."""

import dataclasses

import jax
import jax.numpy as jnp
from brax.envs.base import State

from crlscale.envs.goal_env import GoalEnv
from crlscale.envs.mazes import Case
from crlscale.envs.registry import task_spec


class Ruler(GoalEnv):
    """Walks one unit a step along a line, whatever it does; fails when its action exceeds 0.5.

    State (start, steps) (S = 2): where this episode began and how long it lasts; achieved goal
    start + steps (G = 1); action (A = 1). `spread` is the width of the uniform start around 0 and
    of the uniform goal around 0; `cells` are commanded goals in evaluation order."""

    def __init__(self, spread: float = 1.0, cells: list[float] | None = None, radius: float = 0.5):
        self.spread = spread
        self.cells = cells
        self.spec = dataclasses.replace(
            task_spec("chain_2"),
            name="ruler",
            family="probe",
            state_size=2,
            goal_size=1,
            action_size=1,
            radii=(("standard", radius),),
            cases=None
            if cells is None
            else tuple(Case(0, i, False, None, i) for i in range(len(cells))),
        )

    def start_case(self, rng: jax.Array, index: jax.Array) -> State:
        if self.cells is None:
            return self.reset(rng)
        return self.start(rng, jnp.asarray(self.cells, jnp.float32)[index][None])

    def sample_goal(self, rng: jax.Array) -> jax.Array:
        return self.spread * (jax.random.uniform(rng, (1,)) - 0.5)

    def start(self, rng: jax.Array, goal: jax.Array) -> State:
        place = self.spread * (jax.random.uniform(rng) - 0.5)
        return self._state(jnp.stack([place, jnp.zeros(())]), goal, jnp.zeros((), bool))

    def step(self, state: State, action: jax.Array) -> State:
        return self._state(state.pipeline_state + jnp.array([0.0, 1.0]), state.obs[2:], action[0] > 0.5)

    def achieved(self, state: State) -> jax.Array:
        return state.obs[..., :1] + state.obs[..., 1:2]

    def distance(self, achieved: jax.Array, goal: jax.Array) -> jax.Array:
        return jnp.abs(achieved - goal)[..., 0]

    def _state(self, physics: jax.Array, goal: jax.Array, failed: jax.Array) -> State:
        return self._pack(physics, physics, goal, failed)
