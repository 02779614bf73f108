"""GoalEnv: what every task promises, on top of brax's Env interface.

Letters: S state, A action, G goal. One instance describes one env; callers vmap it.
Source of the interface: brax.envs.base; of the goal conventions: arXiv 2503.14858.
"""

import abc

import jax
import jax.numpy as jnp
from brax.envs.base import Env, State

from crlscale.envs.spec import TaskSpec


class GoalEnv(Env):
    """A goal-reaching task without reward shaping.

    `obs` is concat(state [S], commanded goal [G]); the state alone does not contain the goal, unless
    `spec.options.goal_in_state` asks for it, as some published versions do. `reward` is 1 inside the
    success radius, else 0. `done` is 1 at a failure only: the time limit belongs to the episode, not
    to the physics (crlscale.envs.episode). `metrics` and `info` stay empty.
    """

    spec: TaskSpec

    @abc.abstractmethod
    def start(self, rng: jax.Array, goal: jax.Array) -> State:
        """A fresh start with commanded goal [G]. Consumes `rng`."""

    @abc.abstractmethod
    def sample_goal(self, rng: jax.Array) -> jax.Array:
        """A commanded goal [G] as in training. Consumes `rng`."""

    @abc.abstractmethod
    def achieved(self, state: State) -> jax.Array:
        """The achieved goal [G], a function of the physical state alone."""

    @abc.abstractmethod
    def distance(self, achieved: jax.Array, goal: jax.Array) -> jax.Array:
        """Distance in the unit of the success radius, between goals [..., G] -> [...]."""

    def start_case(self, rng: jax.Array, index: jax.Array) -> State:
        """A fresh start of evaluation case `index` of `spec.cases`, or of an episode as in training
        where the task has no cases. Consumes `rng`."""
        return self.reset(rng)

    # --- brax's interface ---------------------------------------------------------------
    def reset(self, rng: jax.Array) -> State:
        """A fresh start with a fresh goal, as in training."""
        goal_key, start_key = jax.random.split(rng)
        return self.start(start_key, self.sample_goal(goal_key))

    @property
    def observation_size(self) -> int:
        return self.spec.state_size + self.spec.goal_size

    @property
    def action_size(self) -> int:
        return self.spec.action_size

    @property
    def backend(self) -> str:
        return "jax"

    # --- shared by the tasks ------------------------------------------------------------
    def at_goal(self, state: State) -> jax.Array:
        """Whether the achieved goal lies within the success radius of the commanded one, bool."""
        return self.inside(self.achieved(state), self._goal(state))

    def inside(self, achieved: jax.Array, goal: jax.Array) -> jax.Array:
        """Whether achieved goals [..., G] lie within the success radius of goals [..., G], bool [...]."""
        return self.distance(achieved, goal) <= self.spec.success_radius

    def _goal(self, state: State) -> jax.Array:
        """The commanded goal [G] of a brax State."""
        return state.obs[..., self.spec.state_size :]

    def _pack(self, physics, state: jax.Array, goal: jax.Array, failed: jax.Array) -> State:
        """brax State of `physics` with observation concat(state, goal). With `goal_in_state` the goal
        is appended to a state that does not hold it yet."""
        lacking = self.spec.state_size - state.shape[-1]
        assert lacking in (0, self.spec.goal_size if self.spec.options.goal_in_state else 0), (
            state.shape
        )
        packed = State(
            pipeline_state=physics,
            obs=jnp.concatenate([state, goal[:lacking], goal]),
            reward=jnp.zeros(()),
            done=failed.astype(jnp.float32),
        )
        return packed.replace(reward=self.at_goal(packed).astype(jnp.float32))
