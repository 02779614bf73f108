"""The tanh Gaussian: densities against scipy, given and sampled actions, alpha."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from crlscale.agents.tanh_gaussian import alpha_loss, log_density, sample_action


def test_log_density_against_scipy():
    """Density of tanh(x), x ~ N(mean, std): normal density over |d tanh / dx|, summed over actions."""
    rng = np.random.default_rng(0)
    mean, log_std, noise = (
        rng.normal(0, 1, (50, 3)),
        rng.uniform(-3, 1, (50, 3)),
        rng.normal(0, 1, (50, 3)),
    )
    action, log_prob = sample_action(*(jnp.asarray(x, jnp.float32) for x in (mean, log_std, noise)))
    before = mean + np.exp(log_std) * noise
    np.testing.assert_allclose(action, np.tanh(before), rtol=1e-4, atol=1e-6)
    expected = stats.norm.logpdf(before, mean, np.exp(log_std)) + 2 * np.log(np.cosh(before))
    np.testing.assert_allclose(log_prob, expected.sum(-1), rtol=1e-4, atol=1e-4)


def test_log_density_integrates_to_one():
    """Over actions in (-1, 1), by the noise that leads to each."""
    mean, log_std = 0.3, -0.4
    action = np.linspace(-0.9999, 0.9999, 40_001)
    noise = (np.arctanh(action) - mean) / np.exp(log_std)
    full = partial(jnp.full, (len(action), 1))
    _, log_prob = sample_action(full(mean), full(log_std), jnp.asarray(noise[:, None], jnp.float32))
    assert np.trapezoid(np.exp(log_prob), action) == pytest.approx(1, abs=1e-3)


def test_log_density_is_finite_where_tanh_saturates():
    mean = jnp.array([[60.0, -60.0]])

    def log_prob(mean):
        return sample_action(mean, jnp.full((1, 2), 2.0), jnp.ones((1, 2)))[1][0]

    value, gradient = jax.value_and_grad(log_prob)(mean)
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_alpha_loss_by_hand():
    """alpha (entropy - target): at alpha 2, entropy 1.5, target -1 it is 5, and alpha falls; with
    entropy -3, below its target, alpha grows. No gradient reaches the policy."""
    log_alpha = jnp.log(2.0)
    loss = partial(alpha_loss, target_entropy=jnp.float32(-1.0))
    assert float(loss(log_alpha, jnp.float32(-1.5))) == pytest.approx(5.0)
    assert float(jax.grad(loss)(log_alpha, jnp.float32(-1.5))) == pytest.approx(5.0)
    assert float(jax.grad(loss)(log_alpha, jnp.float32(3.0))) == pytest.approx(-4.0)
    assert float(jax.grad(loss, 1)(log_alpha, jnp.float32(3.0))) == 0


def test_a_given_action_has_the_density_it_was_sampled_with():
    rng = np.random.default_rng(3)
    mean, log_std, noise = (jnp.asarray(rng.normal(0, 0.7, (40, 3)), jnp.float32) for _ in range(3))
    action, log_prob = sample_action(mean, log_std, noise)
    np.testing.assert_allclose(log_density(mean, log_std, action), log_prob, rtol=1e-3, atol=2e-3)


def test_the_density_of_an_action_at_its_limit_is_finite():
    """A recorded action may have been rounded to 1."""

    def density(mean):
        return log_density(mean, jnp.zeros((1, 1)), jnp.ones((1, 1)))[0]

    value, gradient = jax.value_and_grad(density)(jnp.zeros((1, 1)))
    assert np.isfinite(value) and np.isfinite(gradient).all()
    assert value == density(jnp.zeros((1, 1))) and gradient[0, 0] > 0, "it pulls the mean up"
