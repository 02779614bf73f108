"""Survival RL: its networks in numpy, its losses by hand, and the curve that it learns from records."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxprs import quick_jit
from scipy import special
from test_agents import A, B, G, S, hits, leaves_equal, numbers, saying

from crlscale.agents import film_critic, hazards, srl
from crlscale.agents.film_critic import GoalSide
from crlscale.agents.hazards import bin_edges
from crlscale.config import RunConfig
from crlscale.hits import Hits
from crlscale.program import split

LENGTH = 12


def made(**settings):
    """(networks, agent, hyper) of a small agent with one layer of 8 units and 12 bins of a step."""
    config = RunConfig(
        **{"agent": "srl", "depth": 1, "width": 8, "representation_size": 6, "episode_length": LENGTH}
        | settings
    )
    program, hyper = split(config)
    nets = srl.networks(program, A)
    sizes = {"state_size": S, "action_size": A, "goal_size": G}
    return nets, quick_jit(partial(srl.init, nets, **sizes))(jax.random.PRNGKey(0)), hyper


def flat(critic, already, later):
    """The critic, saying the same logits for all rows and bins."""
    joined = saying(critic.joined, already=already, pair=0.0)
    basis = joined["params"]["basis"]
    bins = basis["bias"].shape[0]
    bias = jnp.full(bins, later) + jnp.log(jnp.float32(bins))
    joined["params"]["basis"] = {"kernel": jnp.zeros_like(basis["kernel"]), "bias": bias}
    return critic._replace(joined=joined)


# --- networks ------------------------------------------------------------------------------
def test_the_goal_modulates_the_embedding():
    """Against numpy: z' = (1 + 0.1 scale) z + 0.1 shift and [z', g, z' - g, z' g] into the trunk, whose
    output says p0's logit and, through the basis, those of the hazards."""
    nets, agent, _ = made(survival_bins=5)
    joined, rng = agent.critic.joined["params"], np.random.default_rng(0)
    z, g, scale, shift = rng.standard_normal((4, B, 6)).astype(np.float32)
    found, _ = nets.critic.joined.apply(agent.critic.joined, z, GoalSide(g, scale, shift))
    moved = (1 + 0.1 * scale) * z + 0.1 * shift
    x = np.concatenate([moved, g, moved - g, moved * g], 1)
    block = jax.tree.map(lambda leaf: leaf[0], joined["trunk"]["blocks"]["Layer_0"])
    first = layer(joined["trunk"]["first"], x)
    out = first + layer(block, first)
    np.testing.assert_allclose(
        found.already, affine(joined["already"], out)[:, 0], rtol=1e-4, atol=1e-5
    )
    expected = affine(joined["basis"], affine(joined["pair"], out)) - np.log(5)
    np.testing.assert_allclose(found.later, expected, rtol=1e-4, atol=1e-5)
    assert found.later.shape == (B, 5) and joined["pair"]["bias"].shape == (5,)


def affine(parameters, x):
    return x @ np.asarray(parameters["kernel"]) + np.asarray(parameters["bias"])


def layer(parameters, x):
    x = affine(parameters["Dense_0"], x)
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    return x * special.expit(x)


def test_embeddings_have_a_norm_and_the_time_basis_a_rank():
    """Behind a LayerNorm an embedding has mean 0 and variance 1; 64 numbers say 100 hazards."""
    nets, agent, _ = made(episode_length=100)
    goal = nets.critic.goal.apply(agent.critic.goal, numbers(3, B, G))
    inputs = numbers(0, B, S), numbers(1, B, A)
    z = film_critic.outputs(nets.critic, agent.critic, goal, *inputs).embedding
    for embedding in (z, goal.embedding):
        np.testing.assert_allclose(jnp.mean(embedding, 1), 0, atol=1e-5)
        np.testing.assert_allclose(jnp.var(embedding, 1), 1, atol=1e-3)
    assert agent.critic.joined["params"]["basis"]["kernel"].shape == (64, 100)


def test_depth_is_shared_by_the_encoders():
    """Twelve layers: two blocks, one block, and three in the joined trunk."""
    nets, _, _ = made(depth=12)
    parts = nets.critic
    assert [part.depth for part in parts] == [8, 4, 12]


# --- losses ------------------------------------------------------------------------------
def test_critic_loss_by_hand():
    """p0 = 1/2, hazards of 1/5; goals that hold, that come after 1 and 3 steps, that do not in 4."""
    nets, agent, _ = made()
    critic = flat(agent.critic, 0.0, np.log(1 / 4))
    loss, (_, metrics) = srl.critic_loss(nets, critic, hits())
    chances = [1 / 2, 1 / 2 / 5, 1 / 2 * (4 / 5) ** 2 / 5, 1 / 2 * (4 / 5) ** 4]
    assert float(loss) == pytest.approx(-np.log(chances).mean(), rel=1e-5)
    assert float(metrics["hit_share"]) == 0.75
    public, _, _ = made(censoring="horizon")
    loss, _ = srl.critic_loss(public, critic, hits())
    chances[3] = 1 / 2 * (4 / 5) ** LENGTH
    assert float(loss) == pytest.approx(-np.log(chances).mean(), rel=1e-5)


def test_actor_loss_by_hand():
    """alpha log pi + the discounted time: discount 1/2, p0 = 1/2, hazards 1/5: 1/2 sum of 0.4^k."""
    nets, agent, _ = made()
    actor = saying(agent.actor, mean=0.0, log_std=0.0)
    critic = flat(agent.critic, 0.0, np.log(1 / 4))
    goal = nets.critic.goal.apply(critic.goal, hits().goal)
    loss, (log_prob, value) = srl.actor_loss(
        nets, actor, critic, goal, jnp.float32(0.25), jnp.float32(0.5), hits(), jnp.zeros((B, A))
    )
    density = 2 * (1.5 - 0.5 * np.log(2 * np.pi))  # of two Gaussians at their mean
    time = 0.5 * sum(0.4**k for k in range(LENGTH))
    assert float(log_prob) == pytest.approx(density, rel=1e-5)
    assert float(value) == pytest.approx(-time, rel=1e-5)
    assert float(loss) == pytest.approx(0.25 * density + time, rel=1e-5)


@pytest.mark.parametrize("name", ["value_discount", "actor_learning_rate", "critic_learning_rate"])
def test_traced_settings_are_read(name):
    nets, agent, hyper = made()
    update = quick_jit(partial(srl.update, nets))
    one, _ = update(agent, hits(), jax.random.PRNGKey(0), hyper)
    changed = hyper._replace(**{name: jnp.float32(0.1)})
    other, _ = update(agent, hits(), jax.random.PRNGKey(0), changed)
    assert not leaves_equal(one, other)


def test_the_critic_moves_toward_what_is_sooner():
    """Over updates on the same rows their likelihood grows."""
    nets, agent, hyper = made(critic_learning_rate=1e-2)
    update = quick_jit(partial(srl.update, nets))
    losses = []
    for index in range(30):
        agent, metrics = update(agent, hits(), jax.random.PRNGKey(index), hyper)
        losses.append(float(metrics["critic_loss"]))
    assert losses[-1] < 0.2 * losses[0]


# --- what it learns --------------------------------------------------------------------------
RATES = (0.1, 0.3)


def learned_survival(censoring):
    """Survival [2, 12] behind each of two states, whose goals are reached with chance 0.1 and 0.3 in each
    step; records end after 1 ... 12 steps, all equally likely."""
    nets, agent, hyper = made(critic_learning_rate=3e-3, censoring=censoring, depth=2, width=16)
    update = quick_jit(partial(srl.update, nets))
    rng = np.random.default_rng(0)
    blank = jnp.zeros((512, G))
    for index in range(800):
        kind = rng.integers(0, 2, 512)
        steps, observed = rng.geometric(np.take(RATES, kind)), rng.integers(1, LENGTH + 1, 512)
        counts = (jnp.asarray(x, jnp.int32) for x in (steps, observed))
        hit, state = jnp.asarray(steps <= observed), jnp.asarray(np.eye(S)[kind], jnp.float32)
        batch = Hits(state, jnp.zeros((512, A)), blank, hit, *counts, jnp.zeros(512, jnp.int8))
        agent, _ = update(agent, batch, jax.random.PRNGKey(index), hyper)
    goal = nets.critic.goal.apply(agent.critic.goal, blank[:2])
    state = jnp.eye(S)[:2]
    found = film_critic.outputs(nets.critic, agent.critic, goal, state, jnp.zeros((2, A)))
    return np.asarray(jnp.exp(hazards.log_survival(found.hazards)))


@pytest.mark.slow
def test_survival_is_that_of_two_known_rates():
    """(1 - p)^k at the start of bin k, within 0.05, though records are cut at random. Censored at the
    horizon, the same records give curves that end 0.23 and 0.19 too high."""
    true = (1 - np.array(RATES))[:, None] ** np.arange(LENGTH)
    right = learned_survival("observed")
    assert np.abs(right - true)[:, :11].max() < 0.05, right - true
    public = learned_survival("horizon")
    assert (public - true)[:, -1].min() > 0.15, public - true
    assert np.abs(right - true).max() < 0.3 * np.abs(public - true).max()


def test_edges_are_those_of_the_config():
    nets, _, _ = made(survival_bins=4, survival_horizon=8)
    np.testing.assert_array_equal(nets.edges, bin_edges(8, 4))
    assert nets.edges[-1] == 8
