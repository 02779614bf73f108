"""The ring and hindsight sampling, with ids in every field.

A row of env n at time t in episode e holds state (n, t, e, position), action (n, t) and
reached (n, t + 1, e), so any triple that is sampled tells where its parts came from.
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

from crlscale import replay as ring
from crlscale.envs.episode import FAILURE, RUNNING, TIME_LIMIT, Step
from crlscale.hits import sample_hits

ENVS, UNROLL, RING, CAPACITY = 3, 3, 12, 10
SAMPLES = 20_000
ANY_DISTANCE = 2**31 - 1


def history(endings):
    """Rows of all envs from `endings` [T, N]: Step of numpy arrays [T, N, ...]."""
    endings = np.asarray(endings, np.int8)
    steps, envs = endings.shape
    ended = np.concatenate([np.zeros((1, envs), int), (endings != RUNNING).cumsum(0)[:-1]])
    time = np.repeat(np.arange(steps)[:, None], envs, 1)
    env = np.repeat(np.arange(envs)[None], steps, 0)
    position = np.zeros_like(time)
    for t in range(1, steps):
        position[t] = np.where(endings[t - 1] == RUNNING, position[t - 1] + 1, 0)
    return Step(
        state=np.stack([env, time, ended, position], -1).astype(np.float32),
        action=np.stack([env, time], -1).astype(np.float32),
        reached=np.stack([env, time + 1, ended], -1).astype(np.float32),
        ending=endings,
        episode=ended.astype(np.int32),
    )


insert = jax.jit(ring.insert)


def fill(rows, capacity_rows=RING, precision="float32"):
    """The ring after all of `rows` went in, one unroll after the other."""
    replay = ring.empty(jax.tree.map(lambda x: x[0], rows), capacity_rows, precision)
    for time in range(0, len(rows.episode), UNROLL):
        chunk = jax.tree.map(lambda x, at=time: jnp.asarray(x[at : at + UNROLL]), rows)
        replay = insert(replay, chunk, jnp.int32(time))
    return replay


@partial(jax.jit, static_argnames=("samples", "capacity"))
def draw(replay, seed, time, discount, window, samples=SAMPLES, capacity=CAPACITY):
    key = jax.random.PRNGKey(seed)
    return ring.sample(
        replay, key, samples, time=time, capacity=capacity, discount=discount, window=window
    )


def batch_of(replay, time, seed=0, discount=0.9, window=ANY_DISTANCE):
    batch = draw(replay, seed, jnp.int32(time), jnp.float32(discount), jnp.int32(window))
    return jax.tree.map(np.asarray, batch)


def expected_triples(rows, window):
    """{(env, time, steps): (left, ending)} of every triple that may be sampled, in plain Python."""
    steps, envs = rows.episode.shape
    triples = {}
    for env in range(envs):
        for time in range(max(0, steps - CAPACITY), steps):
            end = time + 1  # one past the last recorded step of this episode
            while end < steps and rows.episode[end, env] == rows.episode[time, env]:
                end += 1
            left = min(end - time, window)
            ending = ring.CUT if left < end - time else rows.ending[end - 1, env]
            for k in range(1, left + 1):
                triples[env, time, k] = (left, int(ending))
    return triples


endings = st.integers(1, 7).flatmap(
    lambda unrolls: st.lists(
        st.lists(
            st.sampled_from([RUNNING, RUNNING, RUNNING, FAILURE, TIME_LIMIT]),
            min_size=ENVS,
            max_size=ENVS,
        ),
        min_size=unrolls * UNROLL,
        max_size=unrolls * UNROLL,
    )
)


@given(endings=endings, window=st.sampled_from([1, 2, 3, 100, ANY_DISTANCE]), seed=st.integers(0, 99))
@settings(max_examples=40)
def test_sampling_covers_exactly_the_legal_triples(endings, window, seed):
    """traps 2, 3, 5, 6: goals of the same env and episode, 1 ... left steps ahead, the terminal
    state among them, never the step itself; the newest row, no unfilled and no overwritten one;
    with the right `left` and `ending`. Every legal triple comes up, and no other."""
    rows = history(endings)
    batch = batch_of(fill(rows), len(endings), seed=seed, window=window)
    env, time, episode, _ = batch.state.astype(int).T
    goal_env, goal_time, goal_episode = batch.goal.astype(int).T
    assert (batch.action.astype(int) == np.stack([env, time], 1)).all()
    assert (goal_env == env).all() and (goal_episode == episode).all()
    assert (goal_time - time == batch.steps).all() and (batch.steps >= 1).all()
    seen = {}
    for n, t, k, left, ending in zip(env, time, batch.steps, batch.left, batch.ending, strict=True):
        seen.setdefault((int(n), int(t), int(k)), set()).add((int(left), int(ending)))
    assert seen == {triple: {value} for triple, value in expected_triples(rows, window).items()}


def test_shapes_and_types():
    batch = batch_of(fill(history([[0] * ENVS] * 6)), 6)
    assert batch.state.shape == (SAMPLES, 4) and batch.goal.shape == (SAMPLES, 3)
    assert batch.steps.dtype == batch.left.dtype == np.int32 and batch.ending.dtype == np.int8


def test_four_endings_by_hand():
    """trap 4: failure, time limit, newest step and end of the window are told apart."""
    rows = history([[FAILURE, 0, 0], [0, TIME_LIMIT, 0], [0, 0, 0]])
    replay = fill(rows)

    def ending(env, time, window):
        batch = batch_of(replay, 3, window=window)
        found = (batch.state[:, 0] == env) & (batch.state[:, 1] == time)
        (left,), (kind,) = np.unique(batch.left[found]), np.unique(batch.ending[found])
        return int(left), int(kind)

    assert ending(0, 0, 100) == (1, FAILURE)
    assert ending(1, 0, 100) == (2, TIME_LIMIT)
    assert ending(2, 0, 100) == (3, RUNNING)
    assert ending(2, 0, 2) == (2, ring.CUT)
    assert ending(1, 0, 2) == (2, TIME_LIMIT), "a window as long as the rest cuts nothing"
    assert ending(0, 1, 1) == (1, ring.CUT)


def test_anchors_are_uniform():
    """trap 6: chi-square over every filled (env, row), the newest and the oldest included."""
    rows = history(np.where(np.arange(18)[:, None] % 5 == 4, TIME_LIMIT, RUNNING).repeat(ENVS, 1))
    batch = batch_of(fill(rows), 18, seed=5)
    index = (batch.state[:, 1].astype(int) - (18 - CAPACITY)) * ENVS + batch.state[:, 0].astype(int)
    counts = np.bincount(index, minlength=CAPACITY * ENVS)
    assert len(counts) == CAPACITY * ENVS
    assert stats.chisquare(counts).pvalue > 1e-4


def test_row_env_and_distance_are_drawn_apart():
    """trap 11: with one key for two of them they would be correlated."""
    batch = batch_of(fill(history([[0] * ENVS] * 12)), 12, seed=2)
    oldest = batch.state[batch.left == CAPACITY]
    assert stats.chisquare(np.bincount(oldest[:, 0].astype(int), minlength=ENVS)).pvalue > 1e-4
    share = batch.steps / batch.left
    assert abs(np.corrcoef(batch.state[:, 0], share)[0, 1]) < 0.03
    assert abs(np.corrcoef(batch.state[:, 0], batch.state[:, 1])[0, 1]) < 0.03
    again = batch_of(fill(history([[0] * ENVS] * 12)), 12, seed=3)
    assert (again.state != batch.state).any()


# --- the truncated geometric ------------------------------------------------------------
GAMMAS, LEFTS = (0.5, 0.9, 0.99), (1, 2, 50, 1000)
distances = jax.jit(ring.hindsight_steps)


def steps_of(u, left, gamma):
    left = jnp.full(len(u), left, jnp.int32)
    return np.asarray(distances(jnp.asarray(u, jnp.float32), left, jnp.float32(gamma)))


def enumerated(left, gamma):
    """P(k) for k = 1 ... left, proportional to gamma^k, in float64."""
    weight = np.float64(gamma) ** np.arange(left)
    return weight / weight.sum()


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("left", LEFTS)
def test_distances_follow_the_truncated_geometric(gamma, left):
    """Chi-square against the enumerated distribution, rare distances pooled (trap 7: also where
    gamma^left underflows)."""
    u = jax.random.uniform(jax.random.PRNGKey(left), (200_000,))
    k = steps_of(u, left, gamma)
    assert k.min() >= 1 and k.max() <= left
    counts = np.bincount(k, minlength=left + 1)[1:]
    expected = enumerated(left, gamma) * len(k)
    common = expected >= 10
    observed = np.append(counts[common], counts[~common].sum())
    wanted = np.append(expected[common], expected[~common].sum())
    observed, wanted = observed[wanted > 0], wanted[wanted > 0]
    if len(wanted) > 1:
        assert stats.chisquare(observed, wanted).pvalue > 1e-4
    else:
        assert (k == 1).all()


@pytest.mark.parametrize("gamma", [*GAMMAS, 0.1, 0.91, 0.999999])
@pytest.mark.parametrize("left", LEFTS)
def test_distances_invert_the_cumulative_distribution(gamma, left):
    """The middle of every step of the CDF gives that distance."""
    cumulative = np.cumsum(enumerated(left, np.float32(gamma)))
    below = np.append(0, cumulative[:-1])
    wide = cumulative - below > 1e-4
    u = np.float32((below + cumulative) / 2)
    np.testing.assert_array_equal(steps_of(u[wide], left, gamma), np.arange(1, left + 1)[wide])


@pytest.mark.parametrize("gamma", [0.1, 0.5, 0.9, 0.91, 0.99, 0.999, 0.999999])
def test_edges_of_the_uniform_draw(gamma):
    """trap 5: u = 0 is one step ahead, not the step itself; trap 7: u next to 1 stays in range."""
    last = np.nextafter(np.float32(1), np.float32(0))
    for left in (*LEFTS, 10_000):
        first, farthest = steps_of([0.0, last], left, gamma)
        assert first == 1 and 1 <= farthest <= left
        # what lies beyond is below the resolution of u, 2^-24
        beyond = enumerated(left, np.float32(gamma))[farthest:].sum()
        assert beyond < 3e-7


def test_no_nan_before_the_distance_becomes_an_integer():
    """trap 7: gamma <= 0.91 with 1000 steps left; a NaN would be hidden by the cast and the clip."""
    u = jnp.linspace(0, 1, 1001, endpoint=False)
    with jax.debug_nans(True):
        for gamma in (0.01, 0.5, 0.9, 0.91, 0.99, 0.999999):
            for left in (1, 1000):
                ring.hindsight_steps(u, jnp.full(1001, left, jnp.int32), jnp.float32(gamma))


# --- states of two bytes ----------------------------------------------------------------
# by hand: of 8 bits; next to 1 are 1 + 1/128 and 1 + 2/128, next to 300 is 302
EXACT = np.float32([1 + 1 / 256, 1 + 3 / 256, 1 + 1 / 256 + 2**-20, -(1 + 1 / 256), 301.5])
NEAREST = np.float32([1, 1 + 2 / 128, 1 + 1 / 128, -1, 302])  # ties go to the even one
PARTS = {"action": EXACT + 1, "reached": EXACT + 2, "goal": EXACT + 3}


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def kept(request):
    """A ring of steps that are all alike, of numbers that bfloat16 cannot hold; its states as they return."""
    rows = ROWS._replace(**{name: np.tile(x, (6, ENVS, 1)) for name, x in PARTS.items()})
    replay = fill(rows._replace(state=np.tile(EXACT, (6, ENVS, 1))), precision=request.param)
    return replay, EXACT if request.param == "float32" else NEAREST


def equal_everywhere(found, wanted):
    np.testing.assert_array_equal(found, np.broadcast_to(wanted, found.shape))
    assert found.dtype == np.float32


def test_only_states_are_rounded_and_to_the_nearest_even(kept):
    replay, state = kept
    batch = batch_of(replay, 6)
    equal_everywhere(batch.state, state)
    equal_everywhere(batch.action, PARTS["action"])
    equal_everywhere(batch.goal, PARTS["reached"])


@pytest.mark.parametrize("relabelled, goal", [(0.0, "goal"), (1.0, "reached")])
def test_successors_are_rounded_as_states_are_and_rewards_are_exact(kept, relabelled, goal):
    replay, state = kept
    numbers = jnp.int32(6), jnp.float32(relabelled), jnp.int32(ANY_DISTANCE)
    batch = jax.tree.map(np.asarray, draw_transitions(replay, 0, *numbers))
    equal_everywhere(batch.state, state)
    equal_everywhere(batch.next_state[batch.weight > 0], state)
    equal_everywhere(batch.action, PARTS["action"])
    equal_everywhere(batch.goal, PARTS[goal])
    equal_everywhere(batch.reward, relabelled)  # what was reached is the one goal, and not the other


def test_samples_with_hits_have_rounded_states_and_exact_goals(kept):
    replay, state = kept
    sample = partial(
        sample_hits,
        inside=lambda reached, goal: jnp.all(reached == goal, axis=-1),
        **{"horizon": 3, "dwell": 1, "time": jnp.int32(6), "capacity": CAPACITY},
        **{"current": jnp.float32(0.1), "random": jnp.float32(0.1), "discount": jnp.float32(0.9)},
        window=jnp.int32(ANY_DISTANCE),
    )
    found = jax.tree.map(
        np.asarray, jax.jit(partial(sample, batch_size=64))(replay, jax.random.PRNGKey(0))
    )
    equal_everywhere(found.state, state)
    equal_everywhere(found.action, PARTS["action"])
    equal_everywhere(found.goal, PARTS["reached"])
    assert found.hit.all()


# --- cost -------------------------------------------------------------------------------
def test_sampling_makes_nothing_as_large_as_the_ring():
    """trap 20: no whole-buffer gather, permutation or roll."""
    big = 1200
    replay = jax.eval_shape(lambda: ring.empty(jax.tree.map(lambda x: jnp.asarray(x[0]), ROWS), big))
    traced = jax.make_jaxpr(partial(draw, samples=16, capacity=big))(
        replay, 0, jnp.int32(5), jnp.float32(0.9), jnp.int32(9)
    )
    sizes = [v.aval.size for equation in equations(traced) for v in equation.outvars]
    assert len(sizes) > 30 and max(sizes) < 16 * 10


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("seeds", [1, 3])
def test_insert_writes_in_place(seeds, precision):
    """traps 20, 23: a donated ring is written where it lies, under vmap over seeds too: every byte
    of it is reused and no other array comes near its size."""
    big = 3000
    row, chunk = jax.tree.map(lambda x: x[0], ROWS), jax.tree.map(lambda x: x[:UNROLL], ROWS)
    arguments = jax.eval_shape(
        lambda: jax.tree.map(
            lambda x: jnp.zeros((seeds, *x.shape), x.dtype), (ring.empty(row, big, precision), chunk)
        )
    )
    over_seeds = jax.jit(jax.vmap(ring.insert, in_axes=(0, 0, None)), donate_argnums=0)
    memory = over_seeds.lower(*arguments, jnp.int32(3)).compile().memory_analysis()
    ring_bytes = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(arguments[0]))
    assert ring_bytes == seeds * big * ENVS * {"float32": 45, "bfloat16": 37}[precision]
    assert memory.alias_size_in_bytes == ring_bytes
    assert memory.temp_size_in_bytes < ring_bytes / 50


def test_a_ring_that_is_no_multiple_of_the_unroll_is_refused():
    with pytest.raises(AssertionError):
        fill(ROWS, capacity_rows=RING + 1)


ROWS = history([[0] * ENVS] * 6)


# --- steps with successors ---------------------------------------------------------------
@partial(jax.jit, static_argnames=("samples",))
def draw_transitions(replay, seed, time, relabelled, window, samples=SAMPLES):
    def inside(reached, goal):
        return jnp.all(reached == goal, axis=-1)

    return ring.sample_transitions(
        replay,
        jax.random.PRNGKey(seed),
        samples,
        inside=inside,
        time=time,
        capacity=CAPACITY,
        relabelled=relabelled,
        window=window,
    )


def transitions_of(endings, relabelled, window=ANY_DISTANCE, seed=0):
    """(rows, Transitions) as numpy, where the commanded goal of episode e of env n is (n, -1, e)."""
    rows = history(endings)
    commanded = rows.reached.copy()
    commanded[..., 1] = -1
    replay = fill(rows._replace(goal=commanded))
    numbers = jnp.int32(len(endings)), jnp.float32(relabelled), jnp.int32(window)
    return rows, jax.tree.map(np.asarray, draw_transitions(replay, seed, *numbers))


@given(endings=endings, window=st.sampled_from([1, 3, ANY_DISTANCE]), seed=st.integers(0, 99))
@settings(max_examples=30)
def test_her_relabels_within_the_episode(endings, window, seed):
    """traps 2, 3, 4: over random failures and time limits, a hindsight goal is one that this episode
    of this env reached later, every one of them comes up, and the reward is that of the next state."""
    rows, batch = transitions_of(endings, 1.0, window, seed)
    env, time, episode, _ = batch.state.astype(int).T
    goal_env, goal_time, goal_episode = batch.goal.astype(int).T
    assert (goal_env == env).all() and (goal_episode == episode).all()
    assert (batch.reward == (goal_time == time + 1)).all()
    seen = set(zip(env.tolist(), time.tolist(), (goal_time - time).tolist(), strict=True))
    assert seen == expected_triples(rows, window).keys()


@given(endings=endings, seed=st.integers(0, 99))
@settings(max_examples=30)
def test_a_successor_is_the_next_state_of_the_same_episode(endings, seed):
    """traps 2, 4: at a failure nothing follows; where the successor's state is in no row, at a time
    limit and for the newest step, the row weighs nothing."""
    rows, batch = transitions_of(endings, 0.0, seed=seed)
    env, time, episode, _ = batch.state.astype(int).T
    next_env, next_time, next_episode, _ = batch.next_state.astype(int).T
    ending = rows.ending[time, env]
    assert (batch.failed == (ending == FAILURE)).all()
    follows = (ending == RUNNING) & (time < len(endings) - 1)
    assert (batch.weight == (follows | (ending == FAILURE))).all()
    assert (next_env == env)[follows].all() and (next_time == time + 1)[follows].all()
    assert (next_episode == episode)[follows].all()
    commanded = np.stack([env, np.full_like(env, -1), episode], 1)
    assert (batch.goal.astype(int) == commanded).all() and (batch.reward == 0).all()


@pytest.mark.parametrize("share", [0.0, 0.25, 0.8, 1.0])
def test_the_stated_share_is_relabelled(share):
    _, batch = transitions_of([[RUNNING] * ENVS] * 9, share)
    assert np.mean(batch.goal[:, 1] >= 0) == pytest.approx(share, abs=0.02)


def test_hindsight_goals_of_her_are_uniform_over_what_is_left():
    """Step 0 of nine: 1 to 9 steps ahead, each in a ninth of the draws."""
    _, batch = transitions_of([[RUNNING] * ENVS] * 9, 1.0)
    ahead = (batch.goal[:, 1] - batch.state[:, 1])[batch.state[:, 1] == 0]
    counts = np.bincount(ahead.astype(int), minlength=10)
    assert counts[0] == 0 and stats.chisquare(counts[1:]).pvalue > 1e-3


def test_without_a_discount_all_later_goals_are_equally_likely():
    replay = fill(history([[RUNNING] * ENVS] * 9))
    sample = partial(ring.sample, capacity=CAPACITY, discount=None, window=jnp.int32(ANY_DISTANCE))
    batch = jax.jit(lambda key: sample(replay, key, SAMPLES, time=jnp.int32(9)))(jax.random.PRNGKey(0))
    first = np.asarray(batch.state[:, 1]) == 0
    assert stats.chisquare(np.bincount(np.asarray(batch.steps)[first])[1:]).pvalue > 1e-3
