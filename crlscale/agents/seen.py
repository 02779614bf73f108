"""What each network of a method sees of a batch: for diagnoses block by block (crlscale/blocks.py).

Each function takes (nets, agent, batch) and returns, by the name under which the agent keeps its
parameters (`actor`, or a field of `critic`), the network and what it is applied to.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp


class Seen(NamedTuple):
    """A network with a trunk, and the positional arguments after its parameters."""

    network: nn.Module
    inputs: tuple[Any, ...]


def policy(nets, agent, batch) -> dict[str, Seen]:
    """The actor alone."""
    return {"actor": Seen(nets.actor, (jnp.concatenate([batch.state, batch.goal], -1),))}


def encoders(nets, agent, batch) -> dict[str, Seen]:
    """Actor and two encoders."""
    return {**policy(nets, agent, batch), **_encoders(nets, batch)}


def _encoders(nets, batch) -> dict[str, Seen]:
    state_action = jnp.concatenate([batch.state, batch.action], -1)
    return {
        "state_action": Seen(nets.state_action, (state_action,)),
        "goal": Seen(nets.goal, (batch.goal,)),
    }


def twins(nets, agent, batch) -> dict[str, Seen]:
    """Actor and two critics."""
    inputs = (jnp.concatenate([batch.state, batch.action, batch.goal], -1),)
    critics = {name: Seen(nets.critic, inputs) for name in ("first", "second")}
    return {**policy(nets, agent, batch), **critics}


def joined(nets, agent, batch) -> dict[str, Seen]:
    """Actor, two encoders, and the trunk that joins their embeddings."""
    found = _encoders(nets.critic, batch)
    embedding, goal = (
        found[name].network.apply(getattr(agent.critic, name), *found[name].inputs)
        for name in ("state_action", "goal")
    )
    trunk = {"joined": Seen(nets.critic.joined, (embedding, goal))}
    return {**policy(nets, agent, batch), **found, **trunk}
