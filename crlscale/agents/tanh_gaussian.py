"""The policy that most methods share: a Gaussian squashed by tanh, from networks.Actor.

N envs, B batch, S state, A action, G goal.
"""

import jax
import jax.numpy as jnp

LARGEST = 1.0 - 1e-6  # recorded actions are clipped to this before atanh


def sample_action(mean: jax.Array, log_std: jax.Array, noise: jax.Array):
    """tanh-squashed Gaussian action [..., A] and its log density [...], for standard normal `noise`."""
    before = mean + jnp.exp(log_std) * noise
    log_prob = _log_density(before, log_std, noise)
    return jnp.tanh(before), log_prob


def log_density(mean: jax.Array, log_std: jax.Array, action: jax.Array) -> jax.Array:
    """Log density [...] of given actions [..., A] in [-1, 1]."""
    before = jnp.arctanh(jnp.clip(action, -LARGEST, LARGEST))
    return _log_density(before, log_std, (before - mean) * jnp.exp(-log_std))


def _log_density(before, log_std, noise):
    gaussian = -0.5 * (noise**2 + jnp.log(2 * jnp.pi)) - log_std
    # log(1 - tanh(x)^2) in a form that does not underflow
    squash = 2.0 * (jnp.log(2.0) - before - jax.nn.softplus(-2.0 * before))
    return jnp.sum(gaussian - squash, axis=-1)


def act(nets, actor: dict, observation: jax.Array, age: jax.Array, rng: jax.Array) -> jax.Array:
    """Stochastic action [N, A] for observations [N, S+G], at any age. Consumes `rng`."""
    mean, log_std = nets.actor.apply(actor, observation)
    return sample_action(mean, log_std, jax.random.normal(rng, mean.shape))[0]


def act_deterministic(nets, actor: dict, observation: jax.Array, age: jax.Array) -> jax.Array:
    """Action [N, A] = tanh(mean) for observations [N, S+G], at any age."""
    return jnp.tanh(nets.actor.apply(actor, observation)[0])


def alpha_loss(log_alpha: jax.Array, log_prob: jax.Array, target_entropy: jax.Array) -> jax.Array:
    """alpha times (entropy - target), so that alpha grows while entropy is below its target."""
    return jnp.exp(log_alpha) * jax.lax.stop_gradient(-log_prob - target_entropy)
