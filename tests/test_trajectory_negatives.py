"""More negatives of a row from its own trajectory: which are drawn, and what the critic makes of them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxprs import equations, quick_jit
from scipy import special, stats
from test_crl import A, B, G, Reference, S, batch_of, hyper_of, nets_of
from test_replay import ANY_DISTANCE, CAPACITY, ENVS, endings, fill, history

from crlscale import replay as ring
from crlscale.agents import crl
from crlscale.envs.episode import RUNNING, TIME_LIMIT

SAMPLES, K = 8000, 3


@partial(jax.jit, static_argnames=("count", "samples", "capacity"))
def draw(replay, seed, time, count=K, samples=SAMPLES, capacity=CAPACITY):
    return ring.sample(
        replay,
        jax.random.PRNGKey(seed),
        samples,
        time=time,
        capacity=capacity,
        discount=jnp.float32(0.9),
        window=jnp.int32(ANY_DISTANCE),
        elsewhere=count,
    )


def drawn(rows, seed=0):
    """(env, time, episode) [SAMPLES] of the anchors and [SAMPLES, K] of their further goals."""
    batch = draw(fill(rows), seed, jnp.int32(len(rows.episode)))
    anchors = np.asarray(batch.state[:, :3]).astype(int)
    return anchors.T, np.moveaxis(np.asarray(batch.elsewhere).astype(int), -1, 0)


@given(endings=endings, seed=st.integers(0, 99))
@settings(max_examples=25)
def test_they_are_all_goals_of_the_trajectory_that_are_kept_and_no_others(endings, seed):
    """traps 2, 3: past and future, over random ends and the wrap of the ring, the anchor's own among
    them, for every trajectory; also where every step is an episode, as many as the ring has rows."""
    rows = history(endings)
    (env, _, number), (goal_env, goal_time, goal_number) = drawn(rows, seed)
    assert (goal_env == env[:, None]).all() and (goal_number == number[:, None]).all()
    kept = np.arange(max(0, len(endings) - CAPACITY), len(endings))
    expected = {(n, int(rows.episode[t, n]), int(t) + 1) for t in kept for n in range(ENVS)}
    found = set(zip(goal_env.ravel(), goal_number.ravel(), goal_time.ravel(), strict=True))
    assert {tuple(map(int, one)) for one in found} == expected


def test_where_every_step_is_an_episode():
    """Then the entry of the episode before may be that of the newest."""
    (env, time, _), (goal_env, goal_time, _) = drawn(history([[TIME_LIMIT] * ENVS] * 18))
    assert (goal_time == time[:, None] + 1).all() and (goal_env == env[:, None]).all()


def test_they_are_uniform_whatever_the_discount_and_drawn_apart():
    """Trajectories of five: chi-square over the five goals of an anchor in the middle; the draws of a
    row are independent of each other and of its positive."""
    rows = history(np.where(np.arange(9)[:, None] % 5 == 4, TIME_LIMIT, RUNNING).repeat(ENVS, 1))
    (_, time, _), (_, goal_time, _) = drawn(rows, seed=1)
    middle = goal_time[time == 2]
    counts = np.bincount(middle.ravel(), minlength=6)[1:]
    assert len(counts) == 5 and stats.chisquare(counts).pvalue > 1e-4
    assert np.abs(np.corrcoef(middle.T) - np.eye(K)).max() < 0.12
    batch = draw(fill(rows), 1, jnp.int32(9))
    ahead = np.asarray(batch.steps)[time == 2]
    assert abs(np.corrcoef(ahead, middle[:, 0])[0, 1]) < 0.12


def test_sampling_them_makes_nothing_as_large_as_the_ring():
    """trap 20."""
    big, rows = 1200, history([[0] * ENVS] * 6)
    replay = jax.eval_shape(lambda: ring.empty(jax.tree.map(lambda x: jnp.asarray(x[0]), rows), big))
    traced = jax.make_jaxpr(partial(draw, samples=16, capacity=big))(replay, 0, jnp.int32(5))
    sizes = [v.aval.size for equation in equations(traced) for v in equation.outvars]
    assert len(sizes) > 30 and max(sizes) < 16 * 10 * K


# --- the critic --------------------------------------------------------------------------
def with_negatives(size=B):
    rng = np.random.default_rng(5)
    goals = jnp.asarray(rng.standard_normal((size, K, G)), jnp.float32)
    return batch_of(0, size)._replace(elsewhere=goals)


def test_the_critic_s_loss_is_that_of_numpy():
    """Every row over the goals of the batch and its own three; the metrics and what the actor gets of
    the goals are as without."""
    nets, batch, penalty = nets_of(depth=2), with_negatives(), jnp.float32(0.1)
    sizes = {"state_size": S, "action_size": A, "goal_size": G}
    agent = quick_jit(partial(crl.init, nets, **sizes))(jax.random.PRNGKey(0))
    loss, (psi, metrics) = quick_jit(partial(crl.critic_loss, nets))(agent.critic, batch, penalty)
    reference = Reference(agent, hyper_of(), depth=2)
    numbers = jax.tree.map(lambda x: np.asarray(x, np.float64), batch)
    _, logits = reference.critic_loss(numbers)
    phi = reference.embed(reference.parameters["phi"], numbers.state, numbers.action)
    own = reference.embed(reference.parameters["psi"], numbers.elsewhere)
    more = -np.sqrt(((phi[:, None] - own) ** 2).sum(-1) + 1e-6)
    lse = special.logsumexp(np.concatenate([logits, more], 1), axis=1)
    expected = np.mean(lse - np.diag(logits)) + 0.1 * np.mean(lse**2)
    assert float(loss) == pytest.approx(expected, rel=1e-4)
    plain = batch._replace(elsewhere=None)
    before, (same, others) = quick_jit(partial(crl.critic_loss, nets))(agent.critic, plain, penalty)
    assert float(before) < float(loss)
    np.testing.assert_allclose(psi, same, rtol=1e-6)
    for name in set(metrics) - {"critic_loss"}:
        assert float(metrics[name]) == pytest.approx(float(others[name]), rel=1e-6)


def test_they_take_b_by_k_energies_and_no_more():
    """The largest array of an update is the B x B of the batch with the B x k beside it, not
    B x (B k); the k goals of a row pass the goal encoder once."""
    size = 64
    nets, key = nets_of(depth=2), jax.random.PRNGKey(0)
    agent = jax.eval_shape(partial(crl.init, nets, state_size=S, action_size=A, goal_size=G), key)
    arguments = agent, with_negatives(size), key, hyper_of()
    traced = list(equations(jax.make_jaxpr(partial(crl.update, nets))(*arguments)))
    largest = max(v.aval.size for e in traced for v in e.outvars)
    assert largest == size * (size + K)
    rows = [e.invars[0].aval.shape for e in traced if e.primitive.name == "dot_general"]
    assert rows.count((size * K, G)) == 1
