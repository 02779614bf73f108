"""The buffer with its oldest step first, and hindsight goals drawn from all pairs of steps of a window.

C rows, N envs, U rows of one insert, T steps of a window, B batch, M batches. Goal k >= 1 steps ahead of
step t is what step t + k - 1 reached, as in crlscale.replay; the public code, which keeps no successors,
gives the last step of a trajectory itself as its goal and never the terminal state.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from crlscale.bench.naive.update import Triples
from crlscale.envs.episode import Step


class Buffer(NamedTuple):
    """`rows`: Step of [C, N, ...], of which the first `filled` (int32) hold steps, oldest first."""

    rows: Step
    filled: jax.Array


def empty(row: Step, capacity: int) -> Buffer:
    """A buffer of `capacity` rows shaped like `row` (arrays or shapes [N, ...])."""
    rows = jax.tree.map(lambda x: jnp.zeros((capacity, *x.shape), x.dtype), row)
    return Buffer(rows, jnp.zeros((), jnp.int32))


def insert(buffer: Buffer, steps: Step) -> Buffer:
    """`steps` [U, N, ...] behind the newest row; where there is no room all rows move up first."""
    capacity, unroll = len(buffer.rows.episode), len(steps.episode)
    over = jnp.maximum(buffer.filled + unroll - capacity, 0)

    def move(rows):
        return jax.tree.map(lambda x: jnp.roll(x, -over, axis=0), rows)

    rows = jax.lax.cond(over > 0, move, lambda rows: rows, buffer.rows)
    at = buffer.filled - over
    rows = jax.tree.map(
        lambda x, new: jax.lax.dynamic_update_slice_in_dim(x, new, at, axis=0), rows, steps
    )
    return Buffer(rows, at + unroll)


def goal_log_weights(episode: jax.Array, discount: float) -> jax.Array:
    """Logarithm of the weight of step j as the goal of step i, [T, T], for episode numbers [T]:
    discount^(j - i) where j >= i is of the same episode, else 0."""
    time = jnp.arange(len(episode))
    ahead = time[None, :] - time[:, None]
    legal = (ahead >= 0) & (episode[:, None] == episode[None, :])
    weights = jnp.where(legal, discount ** jnp.maximum(ahead, 0).astype(jnp.float32), 0.0)
    return jnp.log(weights)


def relabel(rng: jax.Array, window: Step, discount: float) -> Triples:
    """A goal for each of the T steps of one env. Consumes `rng`."""
    chosen = jax.random.categorical(rng, goal_log_weights(window.episode, discount))
    return Triples(window.state, window.action, window.reached[chosen])


def sample(buffer: Buffer, rng: jax.Array, length: int, batch_size: int, discount: float) -> Triples:
    """One window of `length` steps of every env, all its steps with a goal, shuffled and cut into as many
    whole batches as there are: [M, B, ...]. Consumes `rng`."""
    env_key, start_key, goal_key, order_key = jax.random.split(rng, 4)
    envs = buffer.rows.episode.shape[1]
    order = jax.random.permutation(env_key, envs)
    rows = jax.tree.map(lambda x: x[:, order], buffer.rows)
    starts = jax.random.randint(start_key, (envs,), 0, buffer.filled - length + 1)
    cut = partial(jax.lax.dynamic_slice_in_dim, slice_size=length)
    windows = jax.tree.map(lambda x: jax.vmap(cut, in_axes=(1, 0))(x, starts), rows)
    keys = jax.random.split(goal_key, envs)
    triples = jax.vmap(partial(relabel, discount=discount))(keys, windows)
    order = jax.random.permutation(order_key, envs * length)
    batches = envs * length // batch_size

    def shuffled(x):
        x = x.reshape(envs * length, *x.shape[2:])[order]
        return x[: batches * batch_size].reshape(batches, batch_size, *x.shape[1:])

    return jax.tree.map(shuffled, triples)
