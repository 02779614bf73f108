"""LayerNorm over the last axis, with a gradient of its own.

Equal to flax.linen.LayerNorm up to rounding, with the same parameters. On CPUs, sums are
matrix-vector products, because XLA adds up one number after the other. W width.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

EPSILON = 1e-6
ROWS = "rows"  # name of mean and inverse standard deviation, which a checkpointed block keeps


def layer_norm(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
    """x [..., W] with every row at mean 0 and variance 1, times scale [W] plus bias [W]."""
    mean, inverse = (checkpoint_name(value, ROWS) for value in _rows(jax.lax.stop_gradient(x)))
    return _scaled(x, mean, inverse, scale, bias)


def _rows(x):
    """Mean and inverse standard deviation [..., 1] of each row."""
    mean = _means(x)
    return mean, jax.lax.rsqrt(_means(jnp.square(x - mean)) + EPSILON)


@jax.custom_vjp
def _scaled(x, mean, inverse, scale, bias):
    return (x - mean) * inverse * _row(scale, x) + _row(bias, x)


def _forward(x, mean, inverse, scale, bias):
    return _scaled(x, mean, inverse, scale, bias), (x, mean, inverse, scale)


def _backward(inputs, slope):
    """What x does through the mean and the variance of its row is in its own gradient."""
    x, mean, inverse, scale = inputs
    normal = (x - mean) * inverse
    turned = slope * normal
    along = _means(slope, scale) + normal * _means(turned, scale)
    gradient = inverse * (slope * _row(scale, x) - along)
    return gradient, jnp.zeros_like(mean), jnp.zeros_like(inverse), _totals(turned), _totals(slope)


_scaled.defvjp(_forward, _backward)


def _means(x, weights=None):
    """Mean [..., 1] of each row, its numbers times `weights` [W]; never rounded to the TF32 of GPUs."""
    weights = jnp.ones(x.shape[-1]) if weights is None else weights
    if jax.default_backend() != "cpu":
        return jnp.mean(x * _row(weights, x), axis=-1, keepdims=True)
    return jnp.dot(x, weights[:, None] / x.shape[-1], precision=jax.lax.Precision.HIGHEST)


def _totals(x):
    """Sum [W] over all rows."""
    if jax.default_backend() != "cpu":
        return jnp.sum(x, axis=tuple(range(x.ndim - 1)))
    rows = x.reshape(-1, x.shape[-1])
    return jnp.dot(jnp.ones(len(rows)), rows, precision=jax.lax.Precision.HIGHEST)


def _row(values, x):
    return values.reshape((1,) * (x.ndim - 1) + (-1,))


class LayerNorm(nn.Module):
    """[..., W] -> [..., W] with a learned scale and bias [W], which begin at `scale_init` and 0."""

    scale_init: nn.initializers.Initializer = nn.initializers.ones

    @nn.compact
    def __call__(self, x):
        width = x.shape[-1:]
        scale = self.param("scale", self.scale_init, width)
        return layer_norm(x, scale, self.param("bias", nn.initializers.zeros, width))
