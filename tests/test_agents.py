"""The methods beside crl: losses worked by hand, targets, metrics, what acts and what is evaluated.

Networks whose heads have zero kernels say their bias whatever they see, so everything can be computed
by hand: log_std is -5 + 3.5 = -1.5 at a bias of 0.
"""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxprs import quick_jit
from scipy import stats

from crlscale.agents import batches, gcbc, gcsl, sac, td3, twin_critics
from crlscale.agents.interface import algorithm
from crlscale.agents.twin_critics import Twin
from crlscale.config import RunConfig
from crlscale.hits import Hits
from crlscale.methods import METHODS
from crlscale.program import split
from crlscale.replay import Batch, Transitions
from crlscale.schema import METRICS

S, A, G, B = 3, 2, 2, 4
LEARNING = {"actor_learning_rate": 1e-2, "critic_learning_rate": 1e-2, "alpha_learning_rate": 1e-2}


def made(agent, **settings):
    """(module, networks, agent, hyper) of a small agent with one layer of 4 units."""
    config = RunConfig(agent=agent, depth=1, width=4, discount=0.5, **LEARNING, **settings)
    program, hyper = split(config)
    module = algorithm(agent)
    nets = module.networks(program, A)
    sizes = {"state_size": S, "action_size": A, "goal_size": G}
    return module, nets, quick_jit(partial(module.init, nets, **sizes))(jax.random.PRNGKey(0)), hyper


def saying(network, **values):
    """Parameters of `network` whose heads say `values` whatever they see."""
    parts = dict(network["params"])
    for head, value in values.items():
        bias = jnp.full_like(parts[head]["bias"], value)
        parts[head] = {"kernel": jnp.zeros_like(parts[head]["kernel"]), "bias": bias}
    return {"params": parts}


def numbers(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).uniform(-0.9, 0.9, shape), jnp.float32)


def transitions(reward=(1, 0, 1, 0), failed=(0, 0, 1, 0), weight=(1, 1, 1, 0)):
    flags = (jnp.asarray(x, jnp.float32) for x in (reward, failed, weight))
    return Transitions(numbers(0, B, S), numbers(1, B, A), numbers(2, B, S), numbers(3, B, G), *flags)


def triples(steps=(1, 2, 3, 4)):
    steps = jnp.asarray(steps, jnp.int32)
    return Batch(
        numbers(0, B, S), numbers(1, B, A), numbers(3, B, G), steps, steps, jnp.zeros(B, jnp.int8)
    )


def hits():
    """A goal that holds already, two that are reached later, and one that is not within 4 steps."""
    hit, steps = jnp.array([True, True, True, False]), jnp.array([0, 1, 3, 1], jnp.int32)
    data = numbers(0, B, S), numbers(1, B, A), numbers(3, B, G)
    return Hits(*data, hit, steps, jnp.full(B, 4, jnp.int32), jnp.zeros(B, jnp.int8))


def hits_and_closeness():
    """The same; each row was close to its goal in some of its later steps, and the last one failed."""
    closeness = jnp.asarray(np.random.default_rng(4).integers(0, 4, (B, 50)) / 3, jnp.float32)
    recorded = jnp.arange(50)[None, :] < 4
    ending = jnp.array([0, 2, 0, 1], jnp.int8)
    return hits()._replace(closeness=jnp.where(recorded, closeness, 0.0), ending=ending)


def data_for(agent):
    """A batch such as `agent` samples."""
    kinds = {batches.transitions: transitions, batches.hits: hits}
    kinds[batches.hits_and_closeness] = hits_and_closeness
    return kinds.get(algorithm(agent).sample, triples)()


def leaves_equal(one, other):
    return all(
        bool((a == b).all()) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    )


# --- temporal differences ----------------------------------------------------------------
def test_td_target_by_hand():
    """reward + 0.5 x value of the successor; at a failure the reward alone."""
    target = twin_critics.td_target(transitions(), jnp.array([4.0, 6.0, 100.0, 2.0]), jnp.float32(0.5))
    np.testing.assert_allclose(target, [3, 3, 1, 1])


def test_critic_loss_by_hand():
    """Critics that say 1 and 4 for targets 3, 3, 1 (and one row without weight): squared differences
    4, 4, 0 and 1, 1, 9; half the sum of their means 8/3 and 11/3."""
    _, nets, agent, _ = made("sac")
    twin = Twin(saying(agent.critic.first, head=1.0), saying(agent.critic.second, head=4.0))
    target = jnp.array([3.0, 3.0, 1.0, 1000.0])
    loss, metrics = twin_critics.critic_loss(nets.critic, twin, transitions(), target)
    assert float(loss) == pytest.approx(19 / 6, rel=1e-6)
    found = {name: float(value) for name, value in metrics.items()}
    assert found == pytest.approx({"critic_loss": 19 / 6, "value": 1.0, "reward": 2 / 3})


def test_targets_move_by_their_share():
    moved = twin_critics.toward({"a": jnp.array([0.0, 10.0])}, {"a": jnp.array([1.0, 20.0])}, 0.25)
    np.testing.assert_allclose(moved["a"], [0.25, 12.5])


def test_sac_target_by_hand():
    """Targets say 2 and 3, alpha is 0.5: 2 - 0.5 log pi of the sampled next action."""
    _, nets, agent, _ = made("sac")
    actor = saying(agent.actor, mean=0.2, log_std=0.0)
    target = Twin(saying(agent.target.first, head=2.0), saying(agent.target.second, head=3.0))
    agent = agent._replace(actor=actor, target=target, log_alpha=jnp.log(0.5))
    noise = np.random.default_rng(5).standard_normal((B, A))
    found = sac.target_values(nets, agent, transitions(), jnp.asarray(noise, jnp.float32), 0.5)
    before = 0.2 + np.exp(-1.5) * noise
    log_prob = stats.norm.logpdf(before, 0.2, np.exp(-1.5)) - np.log(1 - np.tanh(before) ** 2)
    soft = 2 - 0.5 * log_prob.sum(1)
    np.testing.assert_allclose(found, [1 + 0.5 * soft[0], 0.5 * soft[1], 1, 0.5 * soft[3]], rtol=1e-4)


def test_sac_actor_loss_by_hand():
    """alpha log pi minus the smaller value: critics 2 and 3."""
    _, nets, agent, _ = made("sac")
    actor = saying(agent.actor, mean=0.0, log_std=0.0)
    critic = Twin(saying(agent.critic.first, head=2.0), saying(agent.critic.second, head=3.0))
    noise = jnp.zeros((B, A))
    loss, log_prob = sac.actor_loss(nets, actor, critic, jnp.float32(0.25), transitions(), noise)
    density = 2 * (1.5 - 0.5 * np.log(2 * np.pi))  # of two Gaussians at their mean
    assert float(log_prob) == pytest.approx(density, rel=1e-5)
    assert float(loss) == pytest.approx(0.25 * density - 2, rel=1e-5)


def test_td3_target_by_hand():
    """The target policy's action, with noise of 0.2 clipped at 0.5, clipped to 1; the smaller value."""
    _, nets, agent, _ = made("td3")
    agent = agent._replace(actor_target=saying(agent.actor_target, head=1.0))
    noise = jnp.array([[0.5, -1.0], [100.0, -100.0], [0.0, 0.0], [3.0, -2.0]])
    still = np.tanh(1.0)
    action = jnp.asarray(
        [[still + 0.1, still - 0.2], [1.0, still - 0.5], [still] * 2, [1.0, still - 0.4]], jnp.float32
    )
    batch = transitions(failed=(0, 0, 0, 1))
    found = td3.target_values(nets, agent, batch, noise, jnp.float32(0.5))
    inputs = (batch.next_state, action, batch.goal)
    values = [twin_critics.value(nets.critic, p, *inputs) for p in agent.target]
    expected = batch.reward + 0.5 * np.minimum(*values) * np.array([1, 1, 1, 0])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_td3_actor_and_targets_learn_at_every_second_update():
    """The first, the third; metrics of the actor are those of its latest step; targets move by their
    share toward what was just stepped."""
    _, nets, agent, hyper = made("td3", polyak=0.25)
    update = quick_jit(partial(td3.update, nets))
    agents, losses = [agent], []
    for index in range(3):
        agent, metrics = update(agents[-1], transitions(), jax.random.PRNGKey(index), hyper)
        agents.append(agent)
        losses.append(float(metrics["actor_loss"]))
    same = [leaves_equal(a.actor, b.actor) for a, b in itertools.pairwise(agents)]
    assert same == [False, True, False]
    assert not any(leaves_equal(a.critic, b.critic) for a, b in itertools.pairwise(agents))
    assert leaves_equal(agents[1].target, agents[2].target)
    assert losses[0] == losses[1] != losses[2]
    before, after = agents[2], agents[3]
    for old, new, target in (
        (before.target, after.critic, after.target),
        (before.actor_target, after.actor, after.actor_target),
    ):
        for o, n, t in zip(*map(jax.tree.leaves, (old, new, target)), strict=True):
            np.testing.assert_allclose(t, 0.75 * o + 0.25 * n, rtol=1e-4, atol=1e-6)


def test_td3_explores_around_what_is_evaluated():
    _, nets, agent, _ = made("td3", exploration_noise=0.1)
    actor = saying(agent.actor, head=0.3)
    observation, age = jnp.ones((5000, S + G)), jnp.zeros(5000, jnp.int32)
    still = td3.act_deterministic(nets, actor, observation, age)
    np.testing.assert_allclose(still, np.tanh(0.3), rtol=1e-6)
    noise = np.asarray(td3.act(nets, actor, observation, age, jax.random.PRNGKey(0)) - still)
    assert noise.std() == pytest.approx(0.1, rel=0.05) and abs(noise.mean()) < 0.01
    wild = td3.act(nets, saying(agent.actor, head=5.0), observation, age, jax.random.PRNGKey(0))
    assert float(jnp.abs(wild).max()) == 1.0


@pytest.mark.parametrize("agent", ["sac_her", "td3_her"])
def test_discount_and_polyak_are_read(agent):
    module, nets, fresh, hyper = made(agent)
    update = quick_jit(partial(module.update, nets))
    key = jax.random.PRNGKey(0)
    base, _ = update(fresh, transitions(), key, hyper)
    for name, value in {"discount": 0.9, "polyak": 0.5}.items():
        other, _ = update(fresh, transitions(), key, hyper._replace(**{name: jnp.float32(value)}))
        assert not leaves_equal(base, other), name


# --- cloning ------------------------------------------------------------------------------
@pytest.mark.parametrize("agent", [gcbc, gcsl])
def test_cloning_loss_by_hand(agent):
    """Minus the log density of the recorded actions, by scipy."""
    _, nets, fresh, _ = made(agent.__name__.rsplit(".", 1)[-1])
    actor = saying(fresh.actor, mean=0.2, log_std=0.0)
    batch = triples()
    before = np.arctanh(np.asarray(batch.action, np.float64))
    density = stats.norm.logpdf(before, 0.2, np.exp(-1.5)) - np.log(1 - np.tanh(before) ** 2)
    loss = agent.actor_loss(nets, actor, batch)
    assert float(loss) == pytest.approx(-density.sum(1).mean(), rel=1e-4)


def test_gcsl_sees_the_time_to_its_goal():
    """As a share of the episode of 50 steps: in training what it took, acting what is left."""
    _, nets, agent, _ = made("gcsl")
    observation = jnp.ones((2, S + G))
    seen = gcsl.with_horizon(nets, observation, jnp.array([5, 50], jnp.int32))
    np.testing.assert_allclose(seen[:, -1], [0.1, 1.0], rtol=1e-6)
    assert seen.shape == (2, S + G + 1)
    age = jnp.array([0, 40], jnp.int32)
    acted = gcsl.act_deterministic(nets, agent.actor, observation, age)
    for row, share in enumerate((1.0, 0.2)):
        inputs = jnp.concatenate([observation[row], jnp.array([share])])[None]
        expected = jnp.tanh(nets.actor.apply(agent.actor, inputs)[0])
        np.testing.assert_allclose(acted[row], expected[0], rtol=1e-5)
    assert (acted[0] != acted[1]).any()
    _, hasty, _, _ = made("gcsl", commanded_horizon=5)
    acted = gcsl.act_deterministic(hasty, agent.actor, observation, age)
    assert (acted[0] == acted[1]).all(), "the commanded time does not run down"


# --- every method -------------------------------------------------------------------------
@pytest.mark.parametrize("agent", METHODS)
def test_metrics_are_columns_and_move_the_agent(agent):
    """trap 10: names of columns, finite, and different for other data; norms of what is trained."""
    module, nets, fresh, hyper = made(agent)
    data = data_for(agent)
    update = quick_jit(partial(module.update, nets))
    stepped, metrics = update(fresh, data, jax.random.PRNGKey(0), hyper)
    norms = module.parameter_norms(stepped)
    columns = {column.name for column in METRICS}
    assert metrics.keys() | norms.keys() <= columns and "actor_loss" in metrics
    assert all(np.isfinite(float(x)) for x in [*metrics.values(), *norms.values()])
    assert ("critic_loss" in metrics) == bool(METHODS[agent].critic)
    other, _ = update(fresh, data._replace(goal=-data.goal), jax.random.PRNGKey(0), hyper)
    assert not leaves_equal(stepped.actor, other.actor) and not leaves_equal(stepped.actor, fresh.actor)
    flat = np.concatenate([np.ravel(x) for x in jax.tree.leaves(stepped.actor)])
    np.testing.assert_allclose(norms["actor_parameter_norm"], np.linalg.norm(flat), rtol=1e-5)
