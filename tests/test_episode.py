"""Episode boundaries over parallel envs, on an env whose every number is known (Ruler)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxprs import quick_jit
from probe_envs import Ruler

from crlscale.envs import episode

ENVS, STEPS, LIMIT = 4, 30, 5
RULER = Ruler()


def run(key, fails, limit):
    """N envs for T steps that fail where `fails` [T, N] says."""

    def step(episodes, failing):
        action = jnp.where(failing, 1.0, 0.0)[:, None]
        after, row = episode.advance(RULER, episodes, action, limit)
        return after, (episodes, row)

    begun = episode.begin(RULER, key, ENVS)
    end, (before, rows) = jax.lax.scan(step, begun, fails)
    return rows, before, end


@pytest.fixture(scope="module")
def play():
    """play(seed, fails [T, N], limit) -> Step [T, N, ...], Episodes before each step, Episodes at the end."""
    compiled = quick_jit(run)

    def arrays(seed, fails, limit=LIMIT):
        result = compiled(jax.random.PRNGKey(seed), jnp.asarray(fails), jnp.int32(limit))
        return jax.tree.map(np.asarray, result)

    return arrays


def labels(fails):
    """Reference in plain Python: ending, episode and age before the step, all [T, N]."""
    ending, number, age = (np.zeros(fails.shape, int) for _ in range(3))
    for n in range(fails.shape[1]):
        episode_number = steps = 0
        for t in range(len(fails)):
            number[t, n], age[t, n] = episode_number, steps
            steps += 1
            ending[t, n] = 1 if fails[t, n] else 2 if steps == LIMIT else 0
            if ending[t, n]:
                episode_number, steps = episode_number + 1, 0
    return ending, number, age


patterns = st.lists(
    st.lists(st.sampled_from([False, False, False, True]), min_size=ENVS, max_size=ENVS),
    min_size=STEPS,
    max_size=STEPS,
).map(np.array)


@given(fails=patterns, seed=st.integers(0, 1000))
@settings(max_examples=60)
def test_boundaries_over_random_failures(play, fails, seed):
    """traps 2, 3, 4: true successor, labels of the step itself, failure and time limit apart."""
    rows, before, _ = play(seed, fails)
    ending, number, age = labels(fails)
    assert (rows.ending == ending).all(), "failure wins where both happen at once"
    assert rows.ending.dtype == np.int8
    assert (rows.episode == number).all()
    assert (before.age == age).all()
    # what the step saw: steps into its own episode, and a start that holds for the episode
    start, steps = rows.state[..., 0], rows.state[..., 1]
    assert (steps == age).all()
    same = number[1:] == number[:-1]
    assert (start[1:] == start[:-1])[same].all()
    # what it reached: one unit on in its own episode, also at the last step
    np.testing.assert_array_equal(rows.reached[..., 0], start + (steps + 1))
    assert (rows.action[..., 0] == fails).all()


def test_terminal_successor_is_recorded(play):
    """trap 2: the state after the last step, not the reset state, is what that step reached."""
    rows, before, _ = play(0, np.zeros((STEPS, ENVS), bool), limit=2)
    start = rows.state[0, :, 0]
    assert (rows.ending[1] == episode.TIME_LIMIT).all()
    np.testing.assert_array_equal(rows.reached[1, :, 0], start + 2)
    # the next step sees a new episode, in which nothing of the old one is left
    assert (rows.state[2, :, 1] == 0).all() and (rows.state[2, :, 0] != start).all()
    assert (before.age[2] == 0).all() and (before.number[2] == 1).all()
    assert (before.env.done == 0).all()


def test_failure_and_time_limit(play):
    """trap 4: a time limit is no failure, and a failure in the last step is a failure."""
    fails = np.zeros((STEPS, ENVS), bool)
    fails[0, 0] = True
    rows, _, _ = play(0, fails, limit=1)
    assert rows.ending[0].tolist() == [episode.FAILURE] + [episode.TIME_LIMIT] * 3
    rows, _, _ = play(0, fails, limit=2)
    assert rows.ending[0].tolist() == [episode.FAILURE] + [episode.RUNNING] * 3


def test_every_episode_has_a_start_and_a_goal_of_its_own(play):
    """trap 1: new start and goal at every episode of every env."""
    rows, before, _ = play(7, np.zeros((STEPS, ENVS), bool))
    goals = before.env.obs[..., 2]
    starts = rows.state[..., 0]
    for n in range(ENVS):
        for e in range(STEPS // LIMIT):
            assert len(np.unique(goals[rows.episode[:, n] == e, n])) == 1
    assert len(np.unique(goals)) == len(np.unique(starts)) == ENVS * STEPS // LIMIT


def test_no_key_is_used_twice(play):
    """trap 11: keys differ over envs and episodes, and goal and start are drawn apart."""
    rows, before, _ = play(7, np.zeros((STEPS, ENVS), bool))
    keys = before.key.reshape(-1, 2)
    assert len(np.unique(keys, axis=0)) == ENVS * STEPS // LIMIT
    goals, starts = before.env.obs[..., 2], rows.state[..., 0]
    assert not np.intersect1d(goals, starts).size
    many = episode.begin(RULER, jax.random.PRNGKey(3), 4000)
    assert abs(np.corrcoef(many.env.obs[:, 0], many.env.obs[:, 2])[0, 1]) < 0.06
    child = np.concatenate([many.key, jax.random.split(jax.random.PRNGKey(3))])
    assert len(np.unique(child, axis=0)) == 4002


def test_an_ended_episode_touches_no_other_env(play):
    """The envs that go on are the same whether or not a neighbour restarts."""
    calm = np.zeros((STEPS, ENVS), bool)
    wild = calm.copy()
    wild[:, 0] = True
    wild_rows, _, wild_end = play(5, wild)
    calm_rows, _, calm_end = play(5, calm)
    for one, two in zip(jax.tree.leaves(wild_rows), jax.tree.leaves(calm_rows), strict=True):
        np.testing.assert_array_equal(one[:, 1:], two[:, 1:])
    for one, two in zip(jax.tree.leaves(wild_end), jax.tree.leaves(calm_end), strict=True):
        np.testing.assert_array_equal(one[1:], two[1:])
    assert wild_rows.episode[:, 0].tolist() == list(range(STEPS))


def test_repeatable_and_seeded(play):
    fails = np.random.default_rng(0).random((STEPS, ENVS)) < 0.2
    one, same, other = play(1, fails), play(1, fails), play(2, fails)
    assert all((a == b).all() for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(same), strict=True))
    assert not (one[0].state == other[0].state).all()


def test_seeds_under_vmap_equal_single_seeds(play):
    """Under vmap the cond of the restart becomes a select: the numbers stay."""
    fails = np.random.default_rng(1).random((STEPS, ENVS)) < 0.2
    keys = jnp.stack([jax.random.PRNGKey(seed) for seed in range(3)])
    over_seeds = quick_jit(jax.vmap(run, in_axes=(0, None, None)))
    together = over_seeds(keys, jnp.asarray(fails), jnp.int32(LIMIT))
    for seed in range(3):
        alone = play(seed, fails)
        for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(a[seed], b, rtol=1e-6)


# --- frozen starts ----------------------------------------------------------------------
def test_frozen_envs_keep_their_first_start_and_goal():
    """The public rule (trap 1), as `reset = frozen`: the same start and goal at every episode of an
    env, different ones between the envs; all else as without it."""

    def play(frozen):
        def step(episodes, _):
            after, row = episode.advance(RULER, episodes, jnp.zeros((ENVS, 1)), LIMIT)
            return after, (episodes, row)

        begun = episode.begin(RULER, jax.random.PRNGKey(3), ENVS, frozen)
        return jax.tree.map(np.asarray, jax.lax.scan(step, begun, None, 4 * LIMIT)[1])

    (before, rows), (_, free) = play(True), play(False)
    place, goal = rows.state[..., 0], before.env.obs[..., 2]
    assert (place == place[0]).all() and (goal == goal[0]).all()
    assert len(np.unique(place[0])) == len(np.unique(goal[0])) == ENVS
    assert (rows.state[..., 1] == np.tile(np.arange(LIMIT), 4)[:, None]).all()
    assert (rows.episode == np.repeat(np.arange(4), LIMIT)[:, None]).all()
    assert (rows.ending == free.ending).all()
    assert (rows.state[:LIMIT] == free.state[:LIMIT]).all()
    assert len(np.unique(free.state[..., 0])) == 4 * ENVS
