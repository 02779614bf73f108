"""A phase: one unroll of every env, all samples drawn at once, then the updates.

N envs, U unroll, M batches of B, A action.
"""

from typing import NamedTuple

import jax

from crlscale.bench.naive import sampling
from crlscale.bench.naive.update import Agent, Design
from crlscale.envs import episode
from crlscale.envs.goal_env import GoalEnv

WINDOW = 1000  # steps of the window from which goals are drawn


class State(NamedTuple):
    """What a run carries from phase to phase."""

    agent: Agent
    episodes: episode.Episodes
    buffer: sampling.Buffer
    key: jax.Array


def phase(design: Design, env: GoalEnv, state: State) -> tuple[State, dict]:
    """-> state, metrics [M] of the updates. Every env keeps its first start and goal (`frozen` episodes)."""
    config = design.config
    collect_key, sample_key, update_key, key = jax.random.split(state.key, 4)
    episodes, buffer = _collect(design, env, state, collect_key)
    batches = sampling.sample(buffer, sample_key, WINDOW, config.batch_size, config.discount)
    batches = jax.tree.map(lambda x: x[: config.updates], batches)
    assert len(batches.state) == config.updates, "a window of every env holds too few batches"

    def update(agent, given):
        return design.update(agent, *given)

    keys = jax.random.split(update_key, config.updates)
    agent, metrics = jax.lax.scan(update, state.agent, (batches, keys))
    return State(agent, episodes, buffer, key), metrics


def _collect(design: Design, env: GoalEnv, state: State, rng: jax.Array):
    config, size = design.config, env.spec.state_size

    def step(episodes, rng):
        noise = jax.random.normal(rng, (config.num_envs, env.spec.action_size))
        obs = episodes.env.obs
        action = design.draw(state.agent.actor, obs[:, :size], obs[:, size:], noise)[0]
        return episode.advance(env, episodes, action, config.episode_length)

    keys = jax.random.split(rng, config.unroll_length)
    episodes, steps = jax.lax.scan(step, state.episodes, keys)
    return episodes, sampling.insert(state.buffer, steps)
