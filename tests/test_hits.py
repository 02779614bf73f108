"""When a goal is first reached: against a search in plain Python, over random ends of episodes.

Rows are those of test_replay: reached is (env, time, episode). Here a step is at a goal if both times
leave the same remainder by 4, in whatever env and episode, so a search that leaves its own would find
hits that are none.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxprs import equations
from scipy import stats
from test_replay import ANY_DISTANCE, CAPACITY, ENVS, RING, endings, fill, history

from crlscale import hits
from crlscale import replay as ring
from crlscale.envs.episode import FAILURE, RUNNING, TIME_LIMIT

SAMPLES = 4000


def inside(reached, goal):
    return (reached[..., 1] - goal[..., 1]) % 4 == 0


@partial(jax.jit, static_argnames=("horizon", "dwell", "chunk", "samples"))
def draw(replay, key, time, shares, window, horizon, dwell, chunk=1, samples=SAMPLES):
    return hits.sample_hits(
        replay,
        key,
        samples,
        inside=inside,
        horizon=horizon,
        dwell=dwell,
        current=shares[0],
        random=shares[1],
        time=time,
        capacity=CAPACITY,
        discount=jnp.float32(0.9),
        window=window,
        chunk_length=chunk,
    )


def batch_of(rows, shares=(0.3, 0.3), horizon=6, dwell=1, seed=0, window=ANY_DISTANCE, chunk=1):
    key, time = jax.random.PRNGKey(seed), jnp.int32(len(rows.episode))
    shares = jnp.asarray(shares, jnp.float32)
    batch = draw(fill(rows), key, time, shares, jnp.int32(window), horizon, dwell, chunk)
    return jax.tree.map(np.asarray, batch)


def searched(rows, env, time, goal_time, horizon, dwell):
    """(hit, steps, observed) by walking through the episode from row `time` on."""
    run = observed = 0
    hit = None
    for row in range(time, len(rows.episode)):
        if rows.episode[row, env] != rows.episode[time, env] or observed == horizon:
            break
        observed += 1
        run = run + 1 if (row + 1 - goal_time) % 4 == 0 else 0
        if run >= dwell and hit is None:
            hit = observed
    return hit is not None, hit, observed


@given(endings=endings, horizon=st.sampled_from([1, 3, 6, 20]), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_first_hits_are_those_of_a_search(endings, horizon, seed):
    """Of every sample: the first later step of the same episode that is at the goal, within the
    horizon; how much of the record there is; and how its trajectory stands."""
    rows = history(endings)
    batch = batch_of(rows, horizon=horizon, seed=seed)
    expected = {}
    for row in range(SAMPLES):
        env, time, episode, position = batch.state[row].astype(int)
        goal_env, goal_time, goal_episode = batch.goal[row].astype(int)
        key = (env, time, goal_time)
        hit, steps, observed = expected.setdefault(
            key, searched(rows, env, time, goal_time, horizon, dwell=1)
        )
        assert batch.observed[row] == observed
        own = rows.ending[rows.episode[:, env] == episode, env]
        assert batch.ending[row] == own[-1]
        if batch.hit[row] and batch.steps[row] == 0:
            assert (goal_env, goal_time, goal_episode) == (env, time, episode) and position > 0
        else:
            assert batch.hit[row] == hit
            assert not hit or batch.steps[row] == steps


@given(endings=endings, seed=st.integers(0, 99), window=st.sampled_from([1, 3, ANY_DISTANCE]))
@settings(max_examples=20, deadline=None)
def test_later_goals_are_of_the_same_episode(endings, seed, window):
    """Without the other kinds each goal is one that this episode reached later, at most `window` steps
    ahead, so a horizon that holds the episode sees it reached."""
    rows = history(endings)
    batch = batch_of(rows, shares=(0, 0), horizon=20, seed=seed, window=window)
    env, time, episode, _ = batch.state.astype(int).T
    goal_env, goal_time, goal_episode = batch.goal.astype(int).T
    assert (goal_env == env).all() and (goal_episode == episode).all()
    assert (goal_time > time).all() and (goal_time - time <= window).all()
    assert batch.hit.all() and (batch.steps <= goal_time - time).all()


@given(found=st.lists(st.booleans(), min_size=1, max_size=12), dwell=st.integers(1, 4), data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_dwell_is_complete_when_its_last_step_is_inside(found, dwell, data):
    observed = data.draw(st.integers(1, len(found)))
    runs = [
        k
        for k in range(dwell, observed + 1)
        if all(found[k - dwell : k])  # steps k - dwell + 1 ... k
    ]
    hit, steps = hits.first_hit(jnp.array([found]), jnp.array([observed], jnp.int32), dwell)
    assert bool(hit[0]) == bool(runs)
    assert not runs or int(steps[0]) == runs[0]


def test_dwell_by_hand():
    """Steps 2, 4, 5, 7, 8 and 9 are inside: one in a row at 2, two at 5, three at 9, four never."""
    found = jnp.array([[False, True, False, True, True, False, True, True, True]])
    known = [hits.first_hit(found, jnp.array([9], jnp.int32), dwell) for dwell in (1, 2, 3, 4)]
    assert [bool(hit[0]) for hit, _ in known] == [True, True, True, False]
    assert [int(steps[0]) for _, steps in known[:3]] == [2, 5, 9]
    hit, _ = hits.first_hit(found, jnp.array([8], jnp.int32), 3)
    assert not hit[0], "the record ends before"


@pytest.mark.parametrize("shares", [(0.05, 0.1), (0.5, 0.5), (0.0, 1.0), (1.0, 0.0)])
def test_the_stated_shares(shares):
    """Of rows whose own goal is known; that of the first step of an episode is not."""
    rows = history([[RUNNING] * ENVS] * RING)
    batch = batch_of(rows, shares=shares, horizon=20)
    later = batch.state[:, 1] > 0
    current = batch.hit & (batch.steps == 0)
    assert np.mean(current[later]) == pytest.approx(shares[0], abs=0.03)
    elsewhere = batch.goal[:, 0] != batch.state[:, 0]
    assert np.mean(elsewhere) == pytest.approx(shares[1] * (1 - 1 / ENVS), abs=0.03)


def test_random_goals_are_uniform_over_the_rows():
    rows = history([[RUNNING] * ENVS] * CAPACITY)
    batch = batch_of(rows, shares=(0, 1))
    index = batch.goal[:, 0].astype(int) * CAPACITY + batch.goal[:, 1].astype(int) - 1
    counts = np.bincount(index, minlength=ENVS * CAPACITY)
    assert stats.chisquare(counts).pvalue > 1e-4
    assert abs(np.corrcoef(batch.goal[:, 1], batch.state[:, 1])[0, 1]) < 0.06


def test_a_goal_that_holds_is_not_of_the_episode_before():
    """The first step after a failure and after a time limit, and the first of the ring, have none."""
    rows = history([[0, 0, 0], [FAILURE, TIME_LIMIT, 0], [0, 0, 0]])
    batch = batch_of(rows, shares=(1.0, 0.0))
    current = batch.hit & (batch.steps == 0)
    assert (current == (batch.state[:, 3] > 0)).all() and current.any()


def test_a_row_that_was_overwritten_is_not_read():
    """A ring of as many rows as are sampled: the oldest row's own goal is gone."""
    rows = history([[RUNNING] * ENVS] * (RING + 3))
    replay, time = fill(rows), jnp.int32(RING + 3)

    def drawn(capacity):
        return hits.sample_hits(
            replay,
            jax.random.PRNGKey(0),
            SAMPLES,
            inside=inside,
            horizon=5,
            dwell=1,
            current=jnp.float32(1.0),
            random=jnp.float32(0.0),
            time=time,
            capacity=capacity,
            discount=jnp.float32(0.9),
            window=jnp.int32(9),
        )

    batch = jax.tree.map(np.asarray, jax.jit(drawn, static_argnums=0)(RING))
    current = batch.hit & (batch.steps == 0)
    assert (current == (batch.state[:, 1] > 3)).all()
    assert (batch.state[:, 1] == 3).any()


def test_a_chunk_leaves_goals_and_hits_as_they_are():
    """Hits count from its first step; its actions follow each other in one episode."""
    rows = history([[0, 0, 0], [0, 0, 0], [FAILURE, TIME_LIMIT, 0], *[[0] * ENVS] * 3])
    batch = batch_of(rows, chunk=2)
    env, time, _, _ = batch.state.astype(int).T
    actions = batch.action.reshape(SAMPLES, 2, 2).astype(int)
    assert (actions[:, :, 0] == env[:, None]).all() and (actions[:, 0, 1] == time).all()
    failing = rows.ending[time, env] == FAILURE
    assert failing.any() and (actions[:, 1, 1] == time + ~failing).all()
    assert not (rows.ending[time, env] == TIME_LIMIT).any() and time.max() == 4
    for row in range(0, SAMPLES, 10):
        if not (batch.hit[row] and batch.steps[row] == 0):
            goal_time = int(batch.goal[row, 1])
            hit, steps, observed = searched(rows, env[row], time[row], goal_time, 6, 1)
            assert (batch.hit[row], batch.observed[row]) == (hit, observed)
            assert not hit or batch.steps[row] == steps


def test_shapes_and_types():
    batch = batch_of(history([[0] * ENVS] * 6))
    assert batch.hit.dtype == bool and batch.ending.dtype == np.int8
    assert batch.steps.dtype == batch.observed.dtype == np.int32


def test_sampling_makes_nothing_as_large_as_the_ring():
    """trap 20: a window of H rows a sample, whatever the ring holds."""
    samples, horizon, big = 16, 5, 3000
    row = jax.tree.map(lambda x: x[0], history([[0] * ENVS] * 6))
    replay = jax.eval_shape(lambda: ring.empty(jax.tree.map(jnp.asarray, row), big))
    shares, window = jnp.zeros(2), jnp.int32(9)
    drawn = partial(draw, horizon=horizon, dwell=2, samples=samples)
    traced = jax.make_jaxpr(drawn)(replay, jax.random.PRNGKey(0), jnp.int32(5), shares, window)
    sizes = [v.aval.size for equation in equations(traced) for v in equation.outvars]
    assert len(sizes) > 50 and max(sizes) <= samples * horizon * 3
