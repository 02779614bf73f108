"""Norms block by block, from one batch: what flows, what pulls, how large the weights are, what moves.

Pure, for one seed and any method, through what agents/interface.py says of an agent. K blocks.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from crlscale import optimiser
from crlscale.agents.interface import traced_once
from crlscale.program import Hyper

MOMENTS = "_moments"


class Norms(NamedTuple):
    """Of one network, each [K]: mean norm over the batch of the stream behind a block, and of what it
    adds; L2 norms of its gradient (not clipped) and of its parameters; norm of the step that an update
    takes by that of the parameters after it."""

    stream_norm: jax.Array
    branch_norm: jax.Array
    gradient_norm: jax.Array
    parameter_norm: jax.Array
    update_ratio: jax.Array


def measure(algorithm, nets, agent, batch, rng: jax.Array, hyper: Hyper) -> dict[str, Norms]:
    """Norms of every network, by its name in `agent`, at its parameters before an update from `batch`.
    Consumes `rng`."""
    gradients = _gradients(algorithm, nets, agent, batch, rng, hyper)
    stepped = _stepped(nets.actor.architecture, agent, gradients, hyper)
    found = {}
    for name, (network, inputs) in algorithm.seen(nets, agent, batch).items():
        before, after, gradient = (_network(tree, name) for tree in (agent, stepped, gradients))
        _, sown = network.apply(before, *inputs, mutable=["intermediates"])
        flow = sown["intermediates"]["trunk"]["blocks"]
        found[name] = Norms(
            flow["stream_norm"][0],
            flow["branch_norm"][0],
            _norms(gradient),
            _norms(before),
            _norms(jax.tree.map(jnp.subtract, after, before)) / _norms(after),
        )
    return found


def _gradients(algorithm, nets, agent, batch, rng, hyper):
    """`agent` with the gradients of actor and critic in place of their parameters: an update from
    moments of zero leaves them in the moments, whatever the method. It moves nothing, so that td3's
    actor, too, is seen against the critic that is there."""
    fresh = [name for name in agent._fields if name.endswith(MOMENTS) or name == "updates"]
    zero = {name: jax.tree.map(jnp.zeros_like, getattr(agent, name)) for name in fresh}
    still = jnp.zeros(())
    bare = hyper._replace(gradient_clip=None, actor_learning_rate=still, critic_learning_rate=still)
    updated, _ = traced_once(algorithm.update)(nets, agent._replace(**zero), batch, rng, bare)
    moments = {name: getattr(updated, name + MOMENTS) for name in _parts(agent)}
    return agent._replace(**{k: optimiser.first_gradient(m) for k, m in moments.items()})


def _stepped(architecture, agent, gradients, hyper):
    """`agent` with actor and critic after the step that its own moments make of `gradients`."""
    rates = {"actor": hyper.actor_learning_rate, "critic": hyper.critic_learning_rate}
    return agent._replace(
        **{
            name: optimiser.step_network(
                architecture,
                getattr(agent, name),
                getattr(gradients, name),
                getattr(agent, name + MOMENTS),
                rates[name],
                hyper,
            )[0]
            for name in _parts(agent)
        }
    )


def _parts(agent) -> list[str]:
    return [name for name in ("actor", "critic") if name in agent._fields]


def _network(agent, name: str):
    return agent.actor if name == "actor" else getattr(agent.critic, name)


def _norms(network) -> jax.Array:
    """L2 norm [K] of each block's share of a tree like the parameters of one network."""
    leaves = jax.tree.leaves(network["params"]["trunk"]["blocks"])
    return jnp.sqrt(sum(jnp.sum(jnp.square(x).reshape(x.shape[0], -1), axis=1) for x in leaves))
