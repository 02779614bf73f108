"""The critic of survival RL: an encoder of state-action, one of the goal, and a trunk that joins them.

B batch, R representation, K bins. The goal scales and shifts the embedding z of the state-action (FiLM):
z' = (1 + 0.1 scale(z_g)) z + 0.1 shift(z_g), and the trunk sees [z', z_g, z' - z_g, z' z_g].
Source: arXiv 2605.31273.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from crlscale.agents.hazards import Hazards
from crlscale.architecture import Architecture
from crlscale.methods import HAZARD_RANK
from crlscale.networks import Trunk, dense

MODULATION = 0.1  # how far a goal moves the embedding of a state-action at first


class Critic(NamedTuple):
    """Parameters (or gradients, or moments) of the three networks."""

    state_action: dict
    goal: dict
    joined: dict


class GoalSide(NamedTuple):
    """What the goal gives to the trunk, each [B, R]: its embedding, scale and shift."""

    embedding: jax.Array
    scale: jax.Array
    shift: jax.Array


class Outputs(NamedTuple):
    """What the critic says of B rows: hazards, logits of `occupancy` [B, O] (None without that head),
    and the `embedding` of the state-action [B, R]."""

    hazards: Hazards
    occupancy: jax.Array | None
    embedding: jax.Array


class Networks(NamedTuple):
    state_action: nn.Module
    goal: nn.Module
    joined: nn.Module


class StateActionEncoder(nn.Module):
    """concat(state, action) [B, S+A] -> embedding [B, R] behind a LayerNorm."""

    depth: int
    architecture: Architecture
    representation_size: int

    @nn.compact
    def __call__(self, x):
        x = Trunk(self.depth, self.architecture, name="trunk")(x)
        return nn.LayerNorm(name="norm")(
            dense(self.representation_size, self.architecture, name="head")(x)
        )


class GoalEncoder(nn.Module):
    """Goal [B, G] -> GoalSide."""

    depth: int
    architecture: Architecture
    representation_size: int

    @nn.compact
    def __call__(self, x):
        size, shape = self.representation_size, self.architecture
        x = Trunk(self.depth, shape, name="trunk")(x)
        z = nn.LayerNorm(name="norm")(dense(size, shape, name="head")(x))
        return GoalSide(z, dense(size, shape, name="scale")(z), dense(size, shape, name="shift")(z))


class Joined(nn.Module):
    """Embedding [B, R] and GoalSide -> Hazards of K bins, and logits [B, O] of an occupancy head of O
    outputs (None for 0).

    The hazards' logits are a product: numbers of the pair, at most 64, times a learned basis over time,
    from -log K on, where each bin is as likely as another."""

    depth: int
    architecture: Architecture
    bins: int
    occupancy_bins: int = 0

    @nn.compact
    def __call__(self, z, goal: GoalSide):
        shape = self.architecture
        z = (1.0 + MODULATION * goal.scale) * z + MODULATION * goal.shift
        g = goal.embedding
        x = Trunk(self.depth, shape, name="trunk")(jnp.concatenate([z, g, z - g, z * g], -1))
        already = dense(1, shape, name="already")(x)[..., 0]
        pair = dense(min(HAZARD_RANK, self.bins), shape, name="pair")(x)
        later = dense(self.bins, shape, name="basis")(pair) - jnp.log(jnp.float32(self.bins))
        occupancy = None
        if self.occupancy_bins:
            occupancy = dense(self.occupancy_bins, shape, name="occupancy")(x)
        return Hazards(already, later), occupancy


def init(nets: Networks, rng: jax.Array, state_size: int, action_size: int, goal_size: int) -> Critic:
    """Fresh parameters. Consumes `rng`."""
    keys = jax.random.split(rng, 3)
    state_action = nets.state_action.init(keys[0], jnp.zeros((1, state_size + action_size)))
    goal = nets.goal.init(keys[1], jnp.zeros((1, goal_size)))
    none = jnp.zeros((1, nets.goal.representation_size))
    return Critic(state_action, goal, nets.joined.init(keys[2], none, GoalSide(none, none, none)))


def outputs(nets: Networks, critic: Critic, goal: GoalSide, state, action) -> Outputs:
    """What the critic says of reaching the goals from state [B, S] and action [B, A]."""
    z = nets.state_action.apply(critic.state_action, jnp.concatenate([state, action], -1))
    return Outputs(*nets.joined.apply(critic.joined, z, goal), z)
