"""The deep residual trunk, and what depth and width mean.

Depth = Dense layers inside the residual blocks; the input layer and the heads are not counted.
Layer = Dense -> LayerNorm -> swish. A block is L layers with the input added after the last
activation; a depth below L is one block of that many layers. Blocks run under one scan over
stacked parameters [K, ...], so the program does not grow with depth, and each block is
checkpointed: of its inside only the matrix products are kept, one [..., W] for each layer, and
two numbers for each row of a LayerNorm; the rest is computed again in the backward pass. The
variants of Architecture change what a layer and a block compute (docs/extreme-depth.md), never that.
Source: arXiv 2503.14858 and its public code. Letters: W width, K blocks, L layers per block.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from crlscale.architecture import Architecture, block_shape
from crlscale.layer_norm import ROWS, LayerNorm
from crlscale.matmul import matmul

ACTIVATIONS = {"swish": nn.swish, "relu": nn.relu}
SPHERE_EPSILON = 1e-6
KERNEL_INIT = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
LOG_STD_MIN, LOG_STD_MAX = -5.0, 2.0
PRODUCT = "product"  # name of what a checkpointed block keeps


def _dot(mixed: bool):
    """The product that nn.Dense asks for: the last axis of x against the first of its kernel."""

    def dot(x, kernel, dimension_numbers, precision=None, preferred_element_type=None):
        assert dimension_numbers == (((x.ndim - 1,), (0,)), ((), ())), dimension_numbers
        return checkpoint_name(matmul(x, kernel, mixed), PRODUCT)

    return dot


def unit_rows(kernel: jax.Array) -> jax.Array:
    """Kernel [..., in, out] with the incoming weights of every unit scaled to norm 1."""
    return kernel / jnp.linalg.norm(kernel, axis=-2, keepdims=True)


def _unit_init(rng, shape, dtype=jnp.float32):
    return unit_rows(jax.random.normal(rng, shape, dtype))


def on_sphere(x: jax.Array) -> jax.Array:
    """x [..., W] scaled to the norm sqrt(W), so that its entries have mean square 1."""
    return x * jax.lax.rsqrt(jnp.mean(x**2, axis=-1, keepdims=True) + SPHERE_EPSILON)


def dense(features: int, shape: Architecture, zero: bool = False, name: str | None = None) -> nn.Dense:
    """Dense with the study's initialisation (kernel variance 1 / (3 fan_in), bias zero), with rows of
    norm 1, or with a kernel of zero."""
    dot = _dot(shape.precision == "mixed")
    kernel = _unit_init if shape.hyperspherical else KERNEL_INIT
    if zero:
        kernel = nn.initializers.zeros
    return nn.Dense(features, kernel_init=kernel, dot_general=dot, name=name)


class Layer(nn.Module):
    """[..., any] -> [..., W]. Post (as published): Dense -> LayerNorm -> activation; pre: LayerNorm ->
    Dense -> activation. `zero`: its output starts at 0."""

    architecture: Architecture
    pre: bool = False
    zero: bool = False

    @nn.compact
    def __call__(self, x):
        shape = self.architecture
        post = shape.layer_norm and not self.pre
        if self.pre:
            x = LayerNorm()(x)
        x = dense(shape.width, shape, zero=self.zero and not post)(x)
        if post:
            # A LayerNorm would undo a small kernel, so its scale starts at 0 and not the kernel.
            scale = nn.initializers.zeros if self.zero else nn.initializers.ones
            x = LayerNorm(scale_init=scale)(x)
        return ACTIVATIONS[shape.activation](x)


class SphereLayer(nn.Module):
    """Dense -> sphere -> learned scale -> activation -> sphere: [..., any] -> [..., W]."""

    architecture: Architecture

    @nn.compact
    def __call__(self, x):
        shape = self.architecture
        scale = self.param("scale", nn.initializers.ones, (shape.width,))
        x = on_sphere(dense(shape.width, shape)(x)) * scale.reshape((1,) * (x.ndim - 1) + (-1,))
        return on_sphere(ACTIVATIONS[shape.activation](x))


class Block(nn.Module):
    """x [..., W] -> x joined with L layers of x; one of K blocks. The pair it returns is what a scan
    asks for. Mean norms of the stream after it and of what it adds are sown for diagnoses."""

    blocks: int
    layers: int
    architecture: Architecture

    @nn.compact
    def __call__(self, x, _):
        shape, y = self.architecture, x
        for index in range(self.layers):
            last = index == self.layers - 1
            if shape.hyperspherical:
                y = SphereLayer(shape)(y)
            else:
                y = Layer(shape, shape.norm_order == "pre", shape.zero_init and last)(y)
        joined = self._join(x, y)
        if self.is_mutable_collection("intermediates"):
            self.sow("intermediates", "stream_norm", _mean_norm(joined))
            self.sow("intermediates", "branch_norm", _mean_norm(joined - x if shape.residual else y))
        return joined, None

    def _join(self, x, y):
        shape = self.architecture
        if shape.hyperspherical:
            start = nn.initializers.constant(1 / (self.blocks + 1))
            share = self.param("interpolation", start, (shape.width,))
            return on_sphere(x + share.reshape((1,) * (x.ndim - 1) + (-1,)) * (y - x))
        if not shape.residual:
            return y
        if shape.residual_scale == "inverse_sqrt":
            y = y * (self.blocks**-0.5)
        return x + y


def _mean_norm(x: jax.Array) -> jax.Array:
    return jnp.mean(jnp.linalg.norm(x, axis=-1))


class Trunk(nn.Module):
    """[..., any] -> [..., W]: one layer (in the published order), then the residual blocks."""

    depth: int
    architecture: Architecture

    @nn.compact
    def __call__(self, x):
        blocks, layers = block_shape(self.depth, self.architecture.block_size)
        first = SphereLayer if self.architecture.hyperspherical else Layer
        x = first(self.architecture, name="first")(x)
        # One block is not a loop: there, checkpointing would only cost time (1.5x at depth 4).
        policy = jax.checkpoint_policies.save_only_these_names(PRODUCT, ROWS)
        block = nn.remat(Block, prevent_cse=False, policy=policy) if blocks > 1 else Block
        scanned = nn.scan(
            block,
            variable_axes={"params": 0, "intermediates": 0},
            split_rngs={"params": True},
            length=blocks,
        )
        x, _ = scanned(blocks, layers, self.architecture, name="blocks")(x, None)
        return x


class Encoder(nn.Module):
    """[..., any] -> embedding [..., R]."""

    depth: int
    architecture: Architecture
    representation_size: int

    @nn.compact
    def __call__(self, x):
        x = Trunk(self.depth, self.architecture, name="trunk")(x)
        return dense(self.representation_size, self.architecture, name="head")(x)


class Actor(nn.Module):
    """concat(state, goal) [..., S+G] -> mean [..., A] and log_std [..., A] of the Gaussian before tanh."""

    depth: int
    architecture: Architecture
    action_size: int

    @nn.compact
    def __call__(self, x):
        x = Trunk(self.depth, self.architecture, name="trunk")(x)
        mean = dense(self.action_size, self.architecture, name="mean")(x)
        log_std = jnp.tanh(dense(self.action_size, self.architecture, name="log_std")(x))
        return mean, LOG_STD_MIN + 0.5 * (LOG_STD_MAX - LOG_STD_MIN) * (log_std + 1.0)
