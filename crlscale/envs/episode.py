"""Episodes over N parallel envs: time limit, boundary-correct restart, what each step recorded.

N envs, S state, A action, G goal. Every episode gets a start and a goal of its own; the state
reached by its last step is recorded before the restart.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from brax.envs.base import State

from crlscale.envs.goal_env import GoalEnv

RUNNING, FAILURE, TIME_LIMIT = 0, 1, 2  # how the episode stands after a step


class Episodes(NamedTuple):
    """The running episodes: brax states [N], steps taken [N], episode number [N], keys [N, 2], and
    where every episode starts, brax states [N], if that is `frozen` (else None)."""

    env: State
    age: jax.Array
    number: jax.Array
    key: jax.Array
    frozen: State | None


class Step(NamedTuple):
    """One step of N envs, a row of the replay.

    `state` [N, S] and `action` [N, A] of the step, `reached` [N, G] the goal achieved by its
    true successor (the terminal state too), `ending` int8 [N] and `episode` int32 [N]; `goal` [N, G]
    the commanded goal, None where the method does not ask for it."""

    state: jax.Array
    action: jax.Array
    reached: jax.Array
    ending: jax.Array
    episode: jax.Array
    goal: jax.Array | None = None


def begin(env: GoalEnv, rng: jax.Array, num_envs: int, frozen: bool = False) -> Episodes:
    """N fresh episodes, numbered 0. Consumes `rng`.

    `frozen`: each env keeps this start and this goal for ever, as the public code of the study does."""
    reset_key, keep_key = jax.random.split(rng)
    states = _strong(jax.vmap(env.reset)(jax.random.split(reset_key, num_envs)))
    zeros = jnp.zeros(num_envs, jnp.int32)
    keys = jax.random.split(keep_key, num_envs)
    return Episodes(states, zeros, zeros, keys, jax.tree.map(jnp.copy, states) if frozen else None)


def advance(
    env: GoalEnv, episodes: Episodes, action: jax.Array, limit: int, keep_goal: bool = False
) -> tuple[Episodes, Step]:
    """One step of every env with `action` [N, A]; ended episodes start anew, with a new goal
    unless starts are frozen. `keep_goal` records the commanded goal."""
    before, goal = jnp.split(episodes.env.obs, [env.spec.state_size], axis=1)
    after = _strong(jax.vmap(env.step)(episodes.env, action))
    age = episodes.age + 1
    failed = after.done > 0
    ending = jnp.where(failed, FAILURE, jnp.where(age >= limit, TIME_LIMIT, RUNNING)).astype(jnp.int8)
    step = Step(before, action, jax.vmap(env.achieved)(after), ending, episodes.number)
    step = step._replace(goal=goal) if keep_goal else step
    ended = ending != RUNNING
    stepped = episodes._replace(env=after, age=age)
    # Resets cost as much as steps: they are computed only in the steps where an episode ends.
    return jax.lax.cond(jnp.any(ended), lambda e: _restart(env, e, ended), lambda e: e, stepped), step


def _restart(env: GoalEnv, episodes: Episodes, ended: jax.Array) -> Episodes:
    keys = jax.vmap(jax.random.split)(episodes.key)
    again = episodes.frozen
    fresh = episodes._replace(
        env=_strong(jax.vmap(env.reset)(keys[:, 0])) if again is None else again,
        age=jnp.zeros_like(episodes.age),
        number=episodes.number + 1,
        key=keys[:, 1],
    )

    def choose(new, old):
        return jnp.where(ended.reshape((-1,) + (1,) * (new.ndim - 1)), new, old)

    return jax.tree.map(choose, fresh, episodes)


def _strong(tree):
    """Drop weak types, which would make a second compile of the same program."""
    return jax.tree.map(lambda leaf: leaf.astype(leaf.dtype), tree)
