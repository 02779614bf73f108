"""LayerNorm over the last axis, with a gradient of its own.

Equal to flax.linen.LayerNorm up to rounding, with the same parameters. On CPUs, means of rows are
matrix-vector products: XLA adds up a row one number after the other. W width.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

EPSILON = 1e-6


@jax.custom_vjp
def layer_norm(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
    """x [..., W] with every row at mean 0 and variance 1, times scale [W] plus bias [W]."""
    return _forward(x, scale, bias)[0]


def _forward(x, scale, bias):
    return _normal(x)[0] * _row(scale, x) + _row(bias, x), (x, scale)


def _backward(inputs, slope):
    x, scale = inputs
    normal, inverse = _normal(x)
    rows = tuple(range(x.ndim - 1))
    scaled = slope * _row(scale, x)
    along = _means(scaled) + normal * _means(scaled * normal)
    return inverse * (scaled - along), jnp.sum(slope * normal, rows), jnp.sum(slope, rows)


layer_norm.defvjp(_forward, _backward)


def _normal(x):
    """Rows at mean 0 and variance 1, and the inverse of their standard deviation [..., 1] before."""
    centred = x - _means(x)
    inverse = jax.lax.rsqrt(_means(jnp.square(centred)) + EPSILON)
    return centred * inverse, inverse


def _means(x):
    """Mean [..., 1] of each row, never rounded to the TF32 of GPUs."""
    if jax.default_backend() != "cpu":
        return jnp.mean(x, axis=-1, keepdims=True)
    width = x.shape[-1]
    return jnp.dot(x, jnp.full((width, 1), 1 / width), precision=jax.lax.Precision.HIGHEST)


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
