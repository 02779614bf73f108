"""Rollouts of physics tasks: one compiled program a task, shared by all tests of a process."""

from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from brax.envs.base import State
from jaxprs import quick_jit

from crlscale.envs import episode
from crlscale.envs.registry import make_env, task_spec
from crlscale.envs.spec import PLAIN


class Roll(NamedTuple):
    """N envs over T steps: `first` and `last` brax states [N], the rows [T, N], the commanded goal
    before each step [T, N, G] and the reward after it [T, N] (before any restart)."""

    first: State
    last: State
    rows: episode.Step
    goals: np.ndarray


def env_of(name, options=PLAIN):
    return _env(name, options)


def program(name, options=PLAIN):
    """jitted (key, actions [T, N, A], limit) -> Roll."""
    return _program(name, options)


# apart from the above, because a default that is left out and one that is given are two cache keys
@lru_cache
def _env(name, options):
    return make_env(task_spec(name, options))


@lru_cache
def _program(name, options):
    env = env_of(name, options)

    def run(key, actions, limit):
        def step(episodes, action):
            goals = episodes.env.obs[:, env.spec.state_size :]
            after, row = episode.advance(env, episodes, action, limit)
            return after, (row, goals)

        begun = episode.begin(env, key, actions.shape[1])
        end, (rows, goals) = jax.lax.scan(step, begun, actions)
        return Roll(begun.env, end.env, rows, goals)

    return quick_jit(run)


def noise(name, steps, envs, seed=0):
    """Actions [T, N, A], uniform in [-1, 1]."""
    shape = (steps, envs, env_of(name).action_size)
    return jax.random.uniform(jax.random.PRNGKey(seed), shape, minval=-1.0)


@lru_cache
def roll(name, limit=1000, seed=0, steps=200, envs=4, options=PLAIN) -> Roll:
    """A rollout of random actions, as numpy arrays (do not write to them)."""
    result = program(name, options)(
        jax.random.PRNGKey(seed), noise(name, steps, envs, seed), jnp.int32(limit)
    )
    return jax.tree.map(np.asarray, result)


def starts(name):
    """First states [M, S] and commanded goals [M, G] of some 400 episodes of two steps."""
    found = roll(name, limit=2)
    fresh = np.concatenate([np.ones((1, 4), bool), found.rows.ending[:-1] != episode.RUNNING])
    return found.rows.state[fresh], found.goals[fresh]
