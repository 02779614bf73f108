"""Replay: a ring of steps written in place, and hindsight sampling in O(1) per sample.

C rows, N envs, U rows of one insert, B samples. A row is a Step of all envs; row `time` lies in
slot `time % C`. A goal k >= 1 steps ahead of step t is what step t + k - 1 reached, so a step
never is its own goal and the terminal state can be one.
Source of the distribution: arXiv 2503.14858; the closed form is its inverse CDF.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from crlscale.envs.episode import Step

CUT = 3  # the hindsight window ended before the trajectory did; follows FAILURE and TIME_LIMIT


class Replay(NamedTuple):
    """`rows`: Step of [C, N, ...]. `ends` int32 [N, C]: for episode number e, at e % C, the time
    after its newest step; at most C episodes can have steps in C rows, so none collide."""

    rows: Step
    ends: jax.Array


class Batch(NamedTuple):
    """B triples: `state` [B, S], `action` [B, A], hindsight `goal` [B, G], `steps` int32 [B] how
    far ahead the goal lies, `left` int32 [B] how many recorded steps it was drawn from, and
    `ending` int8 [B] what ends those: RUNNING (the newest step), FAILURE, TIME_LIMIT or CUT."""

    state: jax.Array
    action: jax.Array
    goal: jax.Array
    steps: jax.Array
    left: jax.Array
    ending: jax.Array


def empty(row: Step, capacity: int) -> Replay:
    """A ring of `capacity` rows shaped like `row` (arrays or shapes [N, ...])."""
    rows = jax.tree.map(lambda x: jnp.zeros((capacity, *x.shape), x.dtype), row)
    return Replay(rows, jnp.zeros((row.episode.shape[0], capacity), jnp.int32))


def insert(replay: Replay, steps: Step, time: jax.Array) -> Replay:
    """Write `steps` [U, N, ...] as rows time ... time + U - 1; C must be a multiple of U."""
    capacity, envs = replay.rows.episode.shape
    unroll = steps.episode.shape[0]
    assert capacity % unroll == 0, (capacity, unroll)

    def write(ring, new):
        return jax.lax.dynamic_update_slice_in_dim(ring, new, time % capacity, axis=0)

    rows = jax.tree.map(write, replay.rows, steps)
    after = time + 1 + jnp.arange(unroll, dtype=jnp.int32)
    env_index = jnp.arange(envs, dtype=jnp.int32)
    ends = replay.ends.at[env_index[None, :], steps.episode % capacity].max(after[:, None])
    return Replay(rows, ends)


def hindsight_steps(u: jax.Array, left: jax.Array, discount: jax.Array) -> jax.Array:
    """Steps ahead, int32 in 1 ... left: P(k) proportional to discount^k, for u [B] uniform in [0, 1)."""
    log_discount = jnp.log(discount)
    mass = -jnp.expm1(left.astype(jnp.float32) * log_discount)  # 1 - discount^left
    k = jnp.ceil(jnp.log1p(-u * mass) / log_discount)
    return jnp.clip(k.astype(jnp.int32), 1, left)


def sample(
    replay: Replay,
    rng: jax.Array,
    batch_size: int,
    *,
    time: jax.Array,
    capacity: int,
    discount: jax.Array,
    window: jax.Array,
) -> Batch:
    """B anchors, uniform over the newest `capacity` rows of all envs, each with a hindsight goal.

    `time` is the number of rows written so far (at least 1), `window` the farthest goal allowed.
    Consumes `rng`."""
    ring, envs = replay.rows.episode.shape
    row_key, env_key, goal_key = jax.random.split(rng, 3)
    filled = jnp.minimum(time, capacity)
    row = time - filled + jax.random.randint(row_key, (batch_size,), 0, filled)
    env = jax.random.randint(env_key, (batch_size,), 0, envs)
    anchor = jax.tree.map(lambda x: x[row % ring, env], replay.rows)
    end = replay.ends[env, anchor.episode % ring]
    left = jnp.minimum(end - row, window)
    steps = hindsight_steps(jax.random.uniform(goal_key, (batch_size,)), left, discount)
    last_ending = replay.rows.ending[(end - 1) % ring, env]
    return Batch(
        state=anchor.state,
        action=anchor.action,
        goal=replay.rows.reached[(row + steps - 1) % ring, env],
        steps=steps,
        left=left,
        ending=jnp.where(left < end - row, CUT, last_ending).astype(jnp.int8),
    )
