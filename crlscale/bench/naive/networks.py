"""The trunk with every layer a module of its own: no scan, nothing computed twice.

B batch, S state, A action, G goal, R representation, W width, K blocks, L layers per block.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from crlscale.architecture import block_shape

BLOCK_SIZE = 4  # layers of a block
KERNEL_INIT = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def _dense(features: int, name: str) -> nn.Dense:
    return nn.Dense(features, kernel_init=KERNEL_INIT, name=name)


class Trunk(nn.Module):
    """[B, any] -> [B, W]: an input layer, then K blocks of L layers."""

    depth: int
    width: int

    @nn.compact
    def __call__(self, x):
        blocks, layers = block_shape(self.depth, BLOCK_SIZE)
        x = self._layer(x, 0)
        for block in range(blocks):
            before = x
            for layer in range(layers):
                x = self._layer(x, 1 + block * layers + layer)
            x = before + x
        return x

    def _layer(self, x, index):
        x = _dense(self.width, f"dense_{index}")(x)
        return nn.swish(nn.LayerNorm(name=f"norm_{index}")(x))


class Encoder(nn.Module):
    """[B, any] -> embedding [B, R]."""

    depth: int
    width: int
    representation_size: int

    @nn.compact
    def __call__(self, x):
        x = Trunk(self.depth, self.width, name="trunk")(x)
        return _dense(self.representation_size, "head")(x)


class Actor(nn.Module):
    """concat(state, goal) [B, S+G] -> mean [B, A] and log_std [B, A] in [-5, 2]."""

    depth: int
    width: int
    action_size: int

    @nn.compact
    def __call__(self, x):
        x = Trunk(self.depth, self.width, name="trunk")(x)
        mean = _dense(self.action_size, "mean")(x)
        log_std = jnp.tanh(_dense(self.action_size, "log_std")(x))
        return mean, -5.0 + 3.5 * (log_std + 1.0)


def unrolled(parameters: dict, depth: int) -> dict:
    """Parameters of crlscale.networks, whose blocks are stacked [K, ...], as those of a network of the
    same depth here."""
    blocks, layers = block_shape(depth, BLOCK_SIZE)
    parts = dict(parameters["params"])
    stacked = parts.pop("trunk")
    trunk = _named(stacked["first"], 0)
    for block in range(blocks):
        one = jax.tree.map(lambda leaf, at=block: leaf[at], stacked["blocks"])
        for layer in range(layers):
            trunk |= _named(one[f"Layer_{layer}"], 1 + block * layers + layer)
    return {"params": {"trunk": trunk, **parts}}


def _named(layer: dict, index: int) -> dict:
    return {f"dense_{index}": layer["Dense_0"], f"norm_{index}": layer["LayerNorm_0"]}
