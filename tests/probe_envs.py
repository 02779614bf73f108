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


class OneStep(GoalEnv):
    """An episode is one step, in which the action (A = 1) is what is achieved (G = 1), and ends it.

    State: a constant (S = 1); goals uniform in +-0.7, radius 0.15. The best action is the goal."""

    def __init__(self):
        self.spec = _probe_spec("one_step", state_size=1, goal_size=1, radius=0.15)

    def sample_goal(self, rng: jax.Array) -> jax.Array:
        return jax.random.uniform(rng, (1,), minval=-0.7, maxval=0.7)

    def start(self, rng: jax.Array, goal: jax.Array) -> State:
        return self._pack(jnp.zeros(1), jnp.ones(1), goal, jnp.zeros((), bool))

    def step(self, state: State, action: jax.Array) -> State:
        return self._pack(action, jnp.ones(1), state.obs[1:], jnp.ones((), bool))

    def achieved(self, state: State) -> jax.Array:
        return state.pipeline_state

    def distance(self, achieved: jax.Array, goal: jax.Array) -> jax.Array:
        return jnp.abs(achieved - goal)[..., 0]


class Line(GoalEnv):
    """`cells` in a row; an action (A = 1) above 1/3 moves right, below -1/3 left, else nowhere.

    State and goal: the cell as a one-hot vector (S = G = `cells`). Never fails. From d cells away the
    goal is reached in step max(1, d) at best. Any cell is commanded, or always `commanded`."""

    def __init__(self, cells: int, commanded: int | None = None):
        self.cells, self.commanded = cells, commanded
        self.spec = _probe_spec("line", state_size=cells, goal_size=cells, radius=0.5)

    def sample_goal(self, rng: jax.Array) -> jax.Array:
        cell = jax.random.randint(rng, (), 0, self.cells)
        return jax.nn.one_hot(cell if self.commanded is None else self.commanded, self.cells)

    def start(self, rng: jax.Array, goal: jax.Array) -> State:
        return self._at(jax.random.randint(rng, (), 0, self.cells), goal)

    def step(self, state: State, action: jax.Array) -> State:
        move = (action[0] > 1 / 3).astype(jnp.int32) - (action[0] < -1 / 3).astype(jnp.int32)
        cell = jnp.clip(state.pipeline_state + move, 0, self.cells - 1)
        return self._at(cell, state.obs[self.cells :])

    def achieved(self, state: State) -> jax.Array:
        return jax.nn.one_hot(state.pipeline_state, self.cells)

    def distance(self, achieved: jax.Array, goal: jax.Array) -> jax.Array:
        return jnp.max(jnp.abs(achieved - goal), axis=-1)

    def _at(self, cell: jax.Array, goal: jax.Array) -> State:
        return self._pack(cell, jax.nn.one_hot(cell, self.cells), goal, jnp.zeros((), bool))


class Blind(Line):
    """The same line, but the state shows the cell at the start of an episode only, then nothing."""

    def step(self, state: State, action: jax.Array) -> State:
        after = super().step(state, action)
        obs = after.obs.at[: self.cells].set(0.0)
        return after.replace(obs=obs)


def _probe_spec(name: str, state_size: int, goal_size: int, radius: float):
    return dataclasses.replace(
        task_spec("chain_2"),
        name=name,
        family="probe",
        state_size=state_size,
        goal_size=goal_size,
        action_size=1,
        radii=(("standard", radius),),
    )
