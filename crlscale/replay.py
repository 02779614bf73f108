"""Replay: a ring of steps written in place, and hindsight sampling in O(1) per sample.

C rows, N envs, U rows of one insert, B samples, H steps of a chunk. A row is a Step of all envs; row
`time` lies in slot `time % C`. A goal k >= 1 steps ahead of step t is what step t + k - 1 reached, so a step
never is its own goal and the terminal state can be one.
Source of the distribution: arXiv 2503.14858; the closed form is its inverse CDF.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from crlscale.envs.episode import FAILURE, RUNNING, Step

TRIES = 64  # of each sample to find an anchor whose chunk is whole
CUT = 3  # the hindsight window ended before the trajectory did; follows FAILURE and TIME_LIMIT


class Replay(NamedTuple):
    """`rows`: Step of [C, N, ...], whose `state` is float32 or, as uint16, the bits of bfloat16.
    `ends` int32 [N, C]: for episode number e, at e % C, the time after its newest step; at most C
    episodes can have steps in C rows, so none collide."""

    rows: Step
    ends: jax.Array


class Batch(NamedTuple):
    """B triples: `state` [B, S], `action` [B, A] or of a chunk [B, H A], hindsight `goal` [B, G], `steps`
    int32 [B] how far ahead the goal lies, `left` int32 [B] how many recorded steps it was drawn from, and
    `ending` int8 [B] what ends those: RUNNING (the newest step), FAILURE, TIME_LIMIT or CUT; `elsewhere`
    [B, k, G] k more goals of the same trajectory, at any time (None for k = 0)."""

    state: jax.Array
    action: jax.Array
    goal: jax.Array
    steps: jax.Array
    left: jax.Array
    ending: jax.Array
    elsewhere: jax.Array | None = None


class Transitions(NamedTuple):
    """B steps with their successors, for temporal differences: `state`, `next_state` [B, S], `action`
    [B, A], `goal` [B, G] commanded or relabelled, `reward` [B] 1 where the successor is inside the
    goal's radius, `failed` [B] 1 where the episode failed there (and `next_state` means nothing),
    `weight` [B] 0 for the few rows whose successor no row holds, else 1."""

    state: jax.Array
    action: jax.Array
    next_state: jax.Array
    goal: jax.Array
    reward: jax.Array
    failed: jax.Array
    weight: jax.Array


def empty(row: Step, capacity: int, precision: str = "float32") -> Replay:
    """A ring of `capacity` rows shaped like `row` (arrays or shapes [N, ...]).

    `precision` of the states: "float32", or "bfloat16", to which they are rounded when they go in. All
    else is kept exact: goals decide rewards and hits, and actions are few numbers."""
    if precision == "bfloat16":
        row = row._replace(state=jax.ShapeDtypeStruct(row.state.shape, jnp.uint16))
    rows = jax.tree.map(lambda x: jnp.zeros((capacity, *x.shape), x.dtype), row)
    return Replay(rows, jnp.zeros((row.episode.shape[0], capacity), jnp.int32))


def insert(replay: Replay, steps: Step, time: jax.Array) -> Replay:
    """Write `steps` [U, N, ...] as rows time ... time + U - 1; C must be a multiple of U."""
    capacity, envs = replay.rows.episode.shape
    unroll = steps.episode.shape[0]
    assert capacity % unroll == 0, (capacity, unroll)
    steps = steps._replace(state=_packed(steps.state, replay.rows.state.dtype))

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


def uniform_steps(u: jax.Array, left: jax.Array) -> jax.Array:
    """Steps ahead, int32 in 1 ... left, all equally likely, for u [B] uniform in [0, 1)."""
    return jnp.clip(1 + jnp.floor(u * left.astype(jnp.float32)).astype(jnp.int32), 1, left)


def sample(
    replay: Replay,
    rng: jax.Array,
    batch_size: int,
    *,
    time: jax.Array,
    capacity: int,
    discount: jax.Array | None,
    window: jax.Array,
    chunk_length: int = 1,
    elsewhere: int = 0,
) -> Batch:
    """B anchors, uniform over the newest `capacity` rows of all envs, each with a hindsight goal;
    without `discount` all goals of the same trajectory are equally likely. With a `chunk_length` of
    H > 1 anchors are uniform over the rows whose chunk is whole (`whole_chunks`). `elsewhere` asks for
    so many more goals of each anchor's trajectory, all kept ones equally likely.

    `time` is the number of rows written so far (at least 1), `window` the farthest goal allowed.
    Consumes `rng`."""
    row_key, env_key, goal_key, *more_keys = jax.random.split(rng, 4 if elsewhere else 3)
    at = anchors(replay, row_key, env_key, batch_size, time, capacity, chunk_length)
    left = jnp.minimum(at.end - at.row, window)
    u = jax.random.uniform(goal_key, (batch_size,))
    steps = uniform_steps(u, left) if discount is None else hindsight_steps(u, left, discount)
    ring = replay.rows.episode.shape[0]
    last_ending = replay.rows.ending[(at.end - 1) % ring, at.env]
    batch = Batch(
        state=at.step.state,
        action=chunks(replay, at, chunk_length),
        goal=replay.rows.reached[(at.row + steps - 1) % ring, at.env],
        steps=steps,
        left=left,
        ending=jnp.where(left < at.end - at.row, CUT, last_ending).astype(jnp.int8),
    )
    if not elsewhere:
        return batch
    oldest = time - jnp.minimum(time, capacity)
    u = jax.random.uniform(*more_keys, (batch_size, elsewhere))
    return batch._replace(elsewhere=_anywhere(replay, at, oldest, u))


def sample_transitions(
    replay: Replay,
    rng: jax.Array,
    batch_size: int,
    *,
    inside: Callable[[jax.Array, jax.Array], jax.Array],
    time: jax.Array,
    capacity: int,
    relabelled: jax.Array,
    window: jax.Array,
) -> Transitions:
    """B steps, uniform over the newest `capacity` rows of all envs, whose rows keep commanded goals.

    A share `relabelled` of them gets as goal what one of the steps from here to the end of the same
    trajectory (at most `window` ahead) reached, all equally likely; the rest keeps the commanded one.
    `inside(reached [B, G], goal [B, G])` says who is rewarded. The successor's state is that of the next
    row. No row holds it for the newest step and for one that the time limit ended: these weigh 0.
    Source of the relabelling: arXiv 1707.01495, strategy "future". Consumes `rng`."""
    row_key, env_key, goal_key, share_key = jax.random.split(rng, 4)
    at = anchors(replay, row_key, env_key, batch_size, time, capacity)
    ring = replay.rows.episode.shape[0]
    left = jnp.minimum(at.end - at.row, window)
    steps = uniform_steps(jax.random.uniform(goal_key, (batch_size,)), left)
    future = replay.rows.reached[(at.row + steps - 1) % ring, at.env]
    chosen = jax.random.uniform(share_key, (batch_size,)) < relabelled
    goal = jnp.where(chosen[:, None], future, at.step.goal)
    failed = at.step.ending == FAILURE
    known = failed | ((at.step.ending == RUNNING) & (at.row + 1 < time))
    return Transitions(
        state=at.step.state,
        action=at.step.action,
        next_state=_unpacked(replay.rows.state[(at.row + 1) % ring, at.env]),
        goal=goal,
        reward=inside(at.step.reached, goal).astype(jnp.float32),
        failed=failed.astype(jnp.float32),
        weight=known.astype(jnp.float32),
    )


class Anchors(NamedTuple):
    """B rows: their time `row`, their `env`, the `step` in them, and the time after the newest step
    of their episode, `end`."""

    row: jax.Array
    env: jax.Array
    step: Step
    end: jax.Array


def anchors(replay, row_key, env_key, batch_size, time, capacity, chunk_length=1) -> Anchors:
    """B rows, uniform over the newest `capacity` of all envs, or over those of them whose chunk is whole.
    Consumes both keys."""
    ring = replay.rows.episode.shape[0]
    draw = partial(_draw, replay, batch_size=batch_size, time=time, capacity=capacity)
    if chunk_length == 1:
        row, env = draw(row_key, env_key)
    else:
        row, env = _draw_whole(replay, draw, row_key, env_key, chunk_length)
    step = jax.tree.map(lambda x: x[row % ring, env], replay.rows)
    step = step._replace(state=_unpacked(step.state))
    return Anchors(row, env, step, replay.ends[env, step.episode % ring])


def _anywhere(replay, at: Anchors, oldest, u) -> jax.Array:
    """What the trajectories of the anchors reached in any of their steps since the time `oldest`, past
    and future alike: [B, k, G] for u [B, k] uniform in [0, 1).

    The episode before ends where this one begins. Its entry of `ends` can be taken only by the newest
    episode, C later, and then each of the C rows is an episode of its own: this one begins at its row."""
    ring = replay.rows.episode.shape[0]
    before = replay.ends[at.env, (at.step.episode - 1) % ring]
    begin = jnp.maximum(jnp.where(before > at.row, at.row, before), oldest)
    steps = uniform_steps(u, (at.end - begin)[:, None])
    row = begin[:, None] + steps - 1
    return replay.rows.reached[row % ring, at.env[:, None]]


def _draw(replay, row_key, env_key, batch_size, time, capacity):
    """Times and envs [B], uniform over the newest `capacity` rows."""
    filled = jnp.minimum(time, capacity)
    row = time - filled + jax.random.randint(row_key, (batch_size,), 0, filled)
    return row, jax.random.randint(env_key, (batch_size,), 0, replay.rows.episode.shape[1])


# --- states of two bytes -----------------------------------------------------------------
def _packed(state: jax.Array, dtype) -> jax.Array:
    """`state` as a ring of `dtype` keeps it: as it is or, as uint16, the bits of the nearest bfloat16 (ties
    to even). Of a ring of bfloat16 itself XLA's CPU part makes a float32 copy, to read and write there."""
    if dtype != jnp.uint16:
        return state
    return jax.lax.bitcast_convert_type(state.astype(jnp.bfloat16), jnp.uint16)


def _unpacked(state: jax.Array) -> jax.Array:
    """The float32 numbers of `_packed`."""
    if state.dtype != jnp.uint16:
        return state
    return jax.lax.bitcast_convert_type(state, jnp.bfloat16).astype(jnp.float32)


# --- chunks ------------------------------------------------------------------------------
def whole_chunks(replay: Replay, row: jax.Array, env: jax.Array, length: int) -> jax.Array:
    """Whether the chunks of H = `length` actions from times `row` [B] of `env` [B] on are whole, bool [B].

    All H steps are recorded and of one episode; or a failure ended it earlier, so that the chunk was
    carried out as far as it ever could be. A chunk that a time limit or the newest row cuts is not."""
    ring = replay.rows.episode.shape[0]
    end = replay.ends[env, replay.rows.episode[row % ring, env] % ring]
    failed = replay.rows.ending[(end - 1) % ring, env] == FAILURE
    return (end - row >= length) | failed


def _draw_whole(replay, draw, row_key, env_key, length):
    """Like `_draw`, uniform over the anchors with whole chunks: what is none is drawn again, TRIES
    times at most. Then it is taken as it is (there may be no whole chunk at all)."""

    def attempt(index):
        row, env = draw(jax.random.fold_in(row_key, index), jax.random.fold_in(env_key, index))
        return row, env, whole_chunks(replay, row, env, length)

    def again(carry):
        index, *held = carry
        whole = held[2]
        fresh = attempt(index)
        return index + 1, *[jnp.where(whole, a, b) for a, b in zip(held, fresh, strict=True)]

    def unfinished(carry):
        return (carry[0] < TRIES) & ~jnp.all(carry[3])

    _, row, env, _ = jax.lax.while_loop(unfinished, again, (jnp.int32(1), *attempt(jnp.int32(0))))
    return row, env


def chunks(replay, at: Anchors, length: int) -> jax.Array:
    """The actions from the anchors on, [B, H A], first step first; one after the end of the episode is
    the last one again."""
    if length == 1:
        return at.step.action
    ring = replay.rows.episode.shape[0]
    ahead = jnp.arange(length, dtype=jnp.int32)[None]
    row = at.row[:, None] + jnp.minimum(ahead, (at.end - at.row - 1)[:, None])
    actions = replay.rows.action[row % ring, at.env[:, None]]
    return actions.reshape(len(actions), -1)
