"""Two action values of state, action and goal, and their slowly moving targets.

B batch, S state, A action, G goal.
Source: arXiv 1802.09477 (the smaller of two values against overestimation).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from crlscale.networks import Encoder
from crlscale.replay import Transitions


class Twin(NamedTuple):
    """Parameters (or gradients, or moments) of both critics."""

    first: dict
    second: dict


def init(network: Encoder, rng: jax.Array, inputs: int) -> Twin:
    """Two fresh critics for concat(state, action, goal) of `inputs` numbers. Consumes `rng`."""
    return Twin(*[network.init(key, jnp.zeros((1, inputs))) for key in jax.random.split(rng)])


def value(network: Encoder, parameters: dict, state, action, goal) -> jax.Array:
    """Action values [B] of one critic."""
    return network.apply(parameters, jnp.concatenate([state, action, goal], -1))[..., 0]


def smaller_value(network: Encoder, twin: Twin, state, action, goal) -> jax.Array:
    """The smaller of both critics' values [B]."""
    return jnp.minimum(*[value(network, parameters, state, action, goal) for parameters in twin])


def td_target(batch: Transitions, next_value: jax.Array, discount: jax.Array) -> jax.Array:
    """Reward plus discounted value [B] of the successor, which a failure does not have."""
    return batch.reward + discount * (1.0 - batch.failed) * next_value


def critic_loss(network: Encoder, twin: Twin, batch: Transitions, target: jax.Array):
    """Mean squared difference to `target` [B] over both critics, rows weighted -> loss, metrics."""
    values = [value(network, p, batch.state, batch.action, batch.goal) for p in twin]
    rows = jnp.maximum(jnp.sum(batch.weight), 1.0)
    loss = 0.5 * sum(jnp.sum(batch.weight * (v - target) ** 2) / rows for v in values)
    return loss, {
        "critic_loss": loss,
        "value": jnp.sum(batch.weight * jnp.minimum(*values)) / rows,
        "reward": jnp.sum(batch.weight * batch.reward) / rows,
    }


def toward(target, online, polyak: jax.Array):
    """`target` moved by the share `polyak` of the way to `online`, trees of parameters."""
    return jax.tree.map(lambda old, new: old + polyak * (new - old), target, online)
