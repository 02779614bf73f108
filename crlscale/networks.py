"""The deep residual trunk, and what depth and width mean.

Depth = Dense layers inside the residual blocks; the input layer and the heads are not counted.
Layer = Dense -> LayerNorm -> swish. A block is L layers with the input added after the last
activation; a depth below L is one block of that many layers. Blocks run under one scan over
stacked parameters [K, ...], so the program does not grow with depth, and each block is
checkpointed: its inner activations are computed again in the backward pass.
Source: arXiv 2503.14858 and its public code. Letters: W width, K blocks, L layers per block.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from crlscale.architecture import Architecture

KERNEL_INIT = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
LOG_STD_MIN, LOG_STD_MAX = -5.0, 2.0


@jax.custom_vjp
def mixed_matmul(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """x [..., in] times kernel [in, out] with bfloat16 inputs, accumulated and returned in float32;
    so are both matmuls of its gradient."""
    return _bfloat16_dot(x, kernel)


def _mixed_forward(x, kernel):
    return _bfloat16_dot(x, kernel), (x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16))


def _mixed_backward(inputs, slope):
    x, kernel = inputs
    rows = x.reshape(-1, x.shape[-1]), slope.reshape(-1, slope.shape[-1])
    return _bfloat16_dot(slope, kernel.T), _bfloat16_dot(rows[0].T, rows[1])


mixed_matmul.defvjp(_mixed_forward, _mixed_backward)


def _bfloat16_dot(x, y):
    x, y = x.astype(jnp.bfloat16), y.astype(jnp.bfloat16)
    return jnp.dot(x, y, preferred_element_type=jnp.float32)


def _mixed_dot(x, kernel, dimension_numbers, precision=None, preferred_element_type=None):
    """What nn.Dense asks for: the last axis of x against the first of its kernel."""
    assert dimension_numbers == (((x.ndim - 1,), (0,)), ((), ())), dimension_numbers
    return mixed_matmul(x, kernel)


def dense(features: int, precision: str, name: str | None = None) -> nn.Dense:
    """Dense with the study's initialisation: kernel variance 1 / (3 fan_in), bias zero."""
    dot = _mixed_dot if precision == "mixed" else None
    return nn.Dense(features, kernel_init=KERNEL_INIT, dot_general=dot, name=name)


class Layer(nn.Module):
    """Dense -> LayerNorm -> swish: [..., any] -> [..., W]."""

    architecture: Architecture

    @nn.compact
    def __call__(self, x):
        return nn.swish(nn.LayerNorm()(dense(self.architecture.width, self.architecture.precision)(x)))


class Block(nn.Module):
    """x [..., W] -> x + L layers of x. The pair it returns is what a scan asks for."""

    layers: int
    architecture: Architecture

    @nn.compact
    def __call__(self, x, _):
        y = x
        for _layer in range(self.layers):
            y = Layer(self.architecture)(y)
        return x + y, None


def block_shape(depth: int, block_size: int) -> tuple[int, int]:
    """(K, L): number of blocks and layers in each, for a legal depth."""
    return (1, depth) if depth < block_size else (depth // block_size, block_size)


class Trunk(nn.Module):
    """[..., any] -> [..., W]: one Layer, then the residual blocks."""

    depth: int
    architecture: Architecture

    @nn.compact
    def __call__(self, x):
        blocks, layers = block_shape(self.depth, self.architecture.block_size)
        x = Layer(self.architecture, name="first")(x)
        # One block is not a loop: there, checkpointing would only cost time (1.5x at depth 4).
        block = nn.remat(Block, prevent_cse=False) if blocks > 1 else Block
        scanned = nn.scan(
            block,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            length=blocks,
        )
        x, _ = scanned(layers, self.architecture, name="blocks")(x, None)
        return x


class Encoder(nn.Module):
    """[..., any] -> embedding [..., R]."""

    depth: int
    architecture: Architecture
    representation_size: int

    @nn.compact
    def __call__(self, x):
        x = Trunk(self.depth, self.architecture, name="trunk")(x)
        return dense(self.representation_size, self.architecture.precision, name="head")(x)


class Actor(nn.Module):
    """concat(state, goal) [..., S+G] -> mean [..., A] and log_std [..., A] of the Gaussian before tanh."""

    depth: int
    architecture: Architecture
    action_size: int

    @nn.compact
    def __call__(self, x):
        x = Trunk(self.depth, self.architecture, name="trunk")(x)
        mean = dense(self.action_size, self.architecture.precision, name="mean")(x)
        log_std = jnp.tanh(dense(self.action_size, self.architecture.precision, name="log_std")(x))
        return mean, LOG_STD_MIN + 0.5 * (LOG_STD_MAX - LOG_STD_MIN) * (log_std + 1.0)
