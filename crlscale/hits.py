"""When a later step of a trajectory first reaches a goal: samples for methods that learn that time.

B samples, H steps of the horizon, G goal, C rows, N envs. Steps are counted as in crlscale.replay: k
steps after row t is what row t + k - 1 reached. A hit is looked for within the rows of the anchor's own
episode only, in a window of H rows a sample, never in the whole ring.
Source: arXiv 2605.31273.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from crlscale.replay import Anchors, Replay, anchors, chunks, hindsight_steps


class Hits(NamedTuple):
    """B rows: `state` [B, S], `action` [B, A] or of a chunk, relabelled `goal` [B, G]; `hit` bool [B]
    whether the goal was seen to be reached, `steps` int32 [B] when first (0: it holds already; means
    nothing without a hit), `observed` int32 [B] how many later steps, at most H, the record has;
    `ending` int8 [B] how the trajectory stands after its newest step; `closeness` [B, H] how close to
    the goal each later step of the record is (0 beyond it; None where the method does not ask)."""

    state: jax.Array
    action: jax.Array
    goal: jax.Array
    hit: jax.Array
    steps: jax.Array
    observed: jax.Array
    ending: jax.Array
    closeness: jax.Array | None = None


def sample_hits(
    replay: Replay,
    rng: jax.Array,
    batch_size: int,
    *,
    inside: Callable[[jax.Array, jax.Array], jax.Array],
    horizon: int,
    dwell: int,
    current: jax.Array,
    random: jax.Array,
    time: jax.Array,
    capacity: int,
    discount: jax.Array,
    window: jax.Array,
    chunk_length: int = 1,
    closeness: Callable[[jax.Array, jax.Array], jax.Array] | None = None,
) -> Hits:
    """B anchors, uniform over the newest `capacity` rows of all envs (those with whole chunks of
    `chunk_length` actions), each with a goal and its first hit.

    The goal of a share `current` is what the anchor's own state achieved (if the ring still has it: a
    state is known to have achieved what the row before it reached, so the first step of an episode gets
    a later goal), of a share `random` what any row reached, of the rest what a later step of the same
    trajectory reached, k steps ahead (at most `window`) with probability proportional to discount^k.
    `inside(reached [B, H, G], goal [B, 1, G])` says who is at the goal, `closeness` how close [B, H].
    Consumes `rng`."""
    row_key, env_key, goal_key, share_key, *random_keys = jax.random.split(rng, 6)
    at = anchors(replay, row_key, env_key, batch_size, time, capacity, chunk_length)
    other = anchors(replay, *random_keys, batch_size, time, capacity)
    ring = replay.rows.episode.shape[0]
    left = at.end - at.row
    ahead = hindsight_steps(
        jax.random.uniform(goal_key, (batch_size,)), jnp.minimum(left, window), discount
    )
    u = jax.random.uniform(share_key, (batch_size,))
    anywhere = u < random
    already = (u >= random) & (u < random + current) & _has_before(replay, at, time)
    goal = replay.rows.reached[(at.row + jnp.where(already, 0, ahead) - 1) % ring, at.env]
    goal = jnp.where(anywhere[:, None], other.step.reached, goal)

    observed = jnp.minimum(left, horizon)
    later = _later(replay, at, horizon)
    hit, steps = first_hit(inside(later, goal[:, None, :]), observed, dwell)
    return Hits(
        state=at.step.state,
        action=chunks(replay, at, chunk_length),
        goal=goal,
        hit=hit | already,
        steps=jnp.where(already, 0, steps),
        observed=observed,
        ending=replay.rows.ending[(at.end - 1) % ring, at.env],
        closeness=None if closeness is None else _closeness(closeness, later, goal, observed),
    )


def first_hit(found: jax.Array, observed: jax.Array, dwell: int) -> tuple[jax.Array, jax.Array]:
    """Whether, and at which step, the first run of `dwell` steps inside is complete, for `found` bool
    [B, H] (step 1 ... H) of which the first `observed` [B] are of the record -> bool [B], int32 [B]."""
    inside = (found & _counted(observed, found.shape[1])).astype(jnp.int32)
    count = jnp.cumsum(inside, axis=1)
    before = jnp.pad(count, ((0, 0), (dwell, 0)))[:, : found.shape[1]]
    complete = count - before == dwell
    return jnp.any(complete, axis=1), 1 + jnp.argmax(complete, axis=1).astype(jnp.int32)


def _closeness(closeness, later, goal, observed) -> jax.Array:
    return jnp.where(_counted(observed, later.shape[1]), closeness(later, goal[:, None, :]), 0.0)


def _counted(observed: jax.Array, horizon: int) -> jax.Array:
    """Which of the steps 1 ... H are of the record, bool [B, H]."""
    return jnp.arange(horizon, dtype=jnp.int32)[None, :] < observed[:, None]


def _later(replay: Replay, at: Anchors, horizon: int) -> jax.Array:
    """What steps 1 ... H after each anchor reached [B, H, G]; beyond the record it is of others."""
    rows = at.row[:, None] + jnp.arange(horizon, dtype=jnp.int32)[None, :]
    return replay.rows.reached[rows % replay.rows.episode.shape[0], at.env[:, None]]


def _has_before(replay: Replay, at: Anchors, time: jax.Array) -> jax.Array:
    """Whether the ring has the row before each anchor, and it is of the same episode, bool [B]."""
    ring = replay.rows.episode.shape[0]
    kept = at.row - 1 >= jnp.maximum(time - ring, 0)
    return kept & (replay.rows.episode[(at.row - 1) % ring, at.env] == at.step.episode)
