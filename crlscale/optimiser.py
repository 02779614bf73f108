"""The one place where parameters are stepped: clipping, warm-up, Adam, projection.

Adam as published (beta 0.9 and 0.999, epsilon 1e-8, no decay). The numbers are traced, so
an ablation of the step size, the warm-up or the limit of the clip shares one program."""

import jax
import jax.numpy as jnp
import optax

from crlscale.architecture import Architecture
from crlscale.networks import unit_rows
from crlscale.program import Hyper

BETA = 0.9
ADAM = optax.scale_by_adam(b1=BETA)


def begin(parameters) -> optax.OptState:
    """Moments of zero for a tree of parameters (or one scalar)."""
    return ADAM.init(parameters)


def step_network(
    architecture: Architecture, parameters, gradient, moments, rate: jax.Array, hyper: Hyper
):
    """One step of the parameters of one network, or of several that share an optimiser, at step size
    `rate` -> parameters, moments. The gradient is clipped by its norm over the whole tree; kernels
    of a hyperspherical architecture return to rows of norm 1."""
    gradient = _clip(gradient, hyper.gradient_clip)
    stepped, moments = _adam(parameters, gradient, moments, rate, hyper)
    return (project(stepped) if architecture.hyperspherical else stepped), moments


def first_gradient(moments: optax.OptState):
    """The gradient of the step that made `moments` out of those of `begin`, without a limit."""
    return jax.tree.map(lambda mean: mean / (1.0 - BETA), moments.mu)


def project(parameters):
    """The same tree with every row of every kernel scaled to norm 1."""
    return jax.tree.map_with_path(
        lambda path, leaf: unit_rows(leaf) if path[-1].key == "kernel" else leaf, parameters
    )


def step_scalar(value: jax.Array, gradient: jax.Array, moments, rate: jax.Array, hyper: Hyper):
    """The same for a scalar such as log alpha, which is not clipped -> value, moments."""
    return _adam(value, gradient, moments, rate, hyper)


def _adam(parameters, gradient, moments, rate, hyper):
    rate = rate * _warmth(moments.count, hyper.warmup_updates)
    with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an integer power
        direction, moments = ADAM.update(gradient, moments)
    stepped = jax.tree.map(lambda p, d: p - rate * d, parameters, direction)
    return stepped, moments


def _warmth(updates: jax.Array, warmup: jax.Array) -> jax.Array:
    """Share of the step size at the update after `updates`: (updates + 1) / warmup, at most 1."""
    done, wanted = (updates + 1).astype(jnp.float32), jnp.maximum(warmup, 1).astype(jnp.float32)
    return jnp.minimum(1.0, done / wanted)


def _clip(gradient, limit: jax.Array | None):
    """`gradient` scaled so that its norm is at most `limit`; None leaves it as it is."""
    if limit is None:
        return gradient
    norm = optax.tree.norm(gradient)
    scale = jnp.where(norm > limit, limit / norm, 1.0)
    return jax.tree.map(lambda g: g * scale, gradient)
