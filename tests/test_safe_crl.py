"""Safe-CRL: survival mass, its labels and its loss by hand, and the survival of a known chain."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxprs import quick_jit
from test_agents import A, G, S, numbers, saying

from crlscale.agents import crl, safe_crl
from crlscale.config import RunConfig
from crlscale.envs.episode import FAILURE, RUNNING, TIME_LIMIT
from crlscale.program import split
from crlscale.replay import CUT, Batch

ENDINGS = (FAILURE, FAILURE, TIME_LIMIT, RUNNING, CUT)
LEFT = (1, 3, 1, 2, 4)


def batch_of(left=LEFT, endings=ENDINGS):
    size = len(left)
    steps = jnp.ones(size, jnp.int32)
    left, endings = jnp.asarray(left, jnp.int32), jnp.asarray(endings, jnp.int8)
    return Batch(numbers(0, size, S), numbers(1, size, A), numbers(2, size, G), steps, left, endings)


def made(**settings):
    config = RunConfig(agent="safe_crl", depth=1, width=8, discount=0.5, **settings)
    program, hyper = split(config)
    nets = safe_crl.networks(program, A)
    sizes = {"state_size": S, "action_size": A, "goal_size": G}
    return nets, quick_jit(partial(safe_crl.init, nets, **sizes))(jax.random.PRNGKey(0)), hyper


def test_future_mass_by_hand():
    """A failure in this step leaves 1 - 1/2, one in three 1 - 1/8; all else leaves the whole."""
    mass = safe_crl.future_mass(batch_of(), jnp.float32(0.5))
    np.testing.assert_allclose(mass, [0.5, 0.875, 1, 1, 1], rtol=1e-6)


@pytest.mark.parametrize(
    ("horizon", "survived", "known"),
    [
        (1, (0, 1, 1, 1, 1), (1, 1, 1, 1, 1)),
        (2, (0, 1, 0, 1, 1), (1, 1, 0, 1, 1)),
        (3, (0, 0, 0, 0, 1), (1, 1, 0, 0, 1)),
        (5, (0, 0, 0, 0, 0), (1, 1, 0, 0, 0)),
    ],
)
def test_labels_by_hand(horizon, survived, known):
    """A failure in step L is none within a horizon below L; a record that ends without a failure
    knows of no horizon beyond it."""
    found = safe_crl.survival_labels(batch_of(), jnp.full(5, horizon, jnp.int32))
    np.testing.assert_array_equal(found, [survived, known])


def test_survival_loss_by_hand():
    """Logit 1 for all: log(1 + e) - 1 where it survived, log(1 + e) where not; unknown rows are left
    out: at horizon 3 rows 0 and 1 failed, row 4 survived."""
    nets, agent, _ = made()
    critic = agent.critic._replace(survival=saying(agent.critic.survival, head=1.0))
    loss = safe_crl.survival_loss(nets, critic, batch_of(), jnp.full(5, 3, jnp.int32))
    assert float(loss) == pytest.approx(np.log(1 + np.e) - 1 / 3, rel=1e-5)


def test_rows_weigh_what_they_should():
    """A row of weight 0 might as well have another diagonal; nothing is renormalised."""
    nets, agent, _ = made()
    batch, horizon = batch_of(), jnp.ones(5, jnp.int32)

    def loss(weights):
        found, (_, metrics) = safe_crl.critic_loss(
            nets, agent.critic, batch, jnp.asarray(weights, jnp.float32), horizon, jnp.float32(0.1)
        )
        return float(found - metrics["survival_loss"])

    rows = [loss(np.eye(5)[i]) for i in range(5)]
    assert loss(np.ones(5)) == pytest.approx(sum(rows), rel=1e-5)
    assert loss([0.5, 0.875, 1, 1, 1]) == pytest.approx(np.dot([0.5, 0.875, 1, 1, 1], rows), rel=1e-5)


def test_without_both_terms_it_is_crl():
    """The same losses as crl.py from the same parameters."""
    nets, agent, _ = made()
    batch, critic, alpha = batch_of(), agent.critic, jnp.float32(0.3)
    loss, (psi, metrics) = safe_crl.critic_loss(
        nets, critic, batch, jnp.ones(5), jnp.ones(5, jnp.int32), jnp.float32(0.1)
    )
    plain = crl.Networks(nets.actor, nets.state_action, nets.goal, nets.energy, "forward")
    expected, _ = crl.critic_loss(plain, critic, batch, jnp.float32(0.1))
    assert float(loss - metrics["survival_loss"]) == pytest.approx(float(expected), rel=1e-5)
    noise = jnp.zeros((5, A))
    ours, _ = safe_crl.actor_loss(nets, agent.actor, critic, psi, alpha, 0.0, batch, noise)
    theirs, _ = crl.actor_loss(plain, agent.actor, critic, psi, alpha, batch, noise)
    assert float(ours) == pytest.approx(float(theirs), rel=1e-5)


def test_the_actor_climbs_log_survival():
    """A survival logit of 1 everywhere adds bonus x log(1 + 1/e) to its loss."""
    nets, agent, _ = made()
    critic = agent.critic._replace(survival=saying(agent.critic.survival, head=1.0))
    psi = jnp.zeros((5, 64))
    loss = partial(safe_crl.actor_loss, nets, agent.actor, critic, psi, jnp.float32(0.3))
    with_bonus, (_, survival) = loss(2.0, batch_of(), jnp.zeros((5, A)))
    without, _ = loss(0.0, batch_of(), jnp.zeros((5, A)))
    assert float(with_bonus - without) == pytest.approx(2 * np.log(1 + 1 / np.e), rel=1e-4)
    assert float(survival) == pytest.approx(1 / (1 + 1 / np.e), rel=1e-5)


@pytest.mark.parametrize("name", ["survival_weights", "survival_bonus"])
def test_switches_are_read(name):
    nets, agent, hyper = made()
    update = quick_jit(partial(safe_crl.update, nets))
    on, _ = update(agent, batch_of(), jax.random.PRNGKey(0), hyper)
    off, _ = update(
        agent, batch_of(), jax.random.PRNGKey(0), hyper._replace(**{name: jnp.float32(0.0)})
    )
    pairs = zip(jax.tree.leaves(on), jax.tree.leaves(off), strict=True)
    assert not all(bool((a == b).all()) for a, b in pairs)


@pytest.mark.slow
def test_survival_is_that_of_a_chain_of_known_failure_rate():
    """A state that fails in each step with chance p survives a geometric horizon of mean 2 steps with
    chance sum of 0.5^h (1 - p)^h = 0.5 (1 - p) / (1 - 0.5 (1 - p)): 0.9048 at p = 0.05, 0.4286 at 0.4."""
    nets, agent, hyper = made(critic_learning_rate=3e-3)
    update = quick_jit(partial(safe_crl.update, nets))
    rng = np.random.default_rng(0)
    for index in range(600):
        risky = rng.integers(0, 2, 256)
        left = rng.geometric(np.where(risky, 0.4, 0.05))
        batch = batch_of(left, np.full(256, FAILURE))
        state = jnp.asarray(np.stack([risky, 1 - risky, np.ones(256)], 1), jnp.float32)
        agent, _ = update(agent, batch._replace(state=state), jax.random.PRNGKey(index), hyper)
    inputs = jnp.concatenate([jnp.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]]), jnp.zeros((2, A))], 1)
    found = jax.nn.sigmoid(nets.survival.apply(agent.critic.survival, inputs)[:, 0])
    np.testing.assert_allclose(found, [0.9048, 0.4286], atol=0.05)
