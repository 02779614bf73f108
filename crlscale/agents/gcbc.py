"""Goal-conditioned behavioural cloning: imitate what led to the goals that were reached.

B batch, S state, A action, G goal. The data are the agent's own, from the replay; the goal of a step
is one achieved later, geometrically far ahead, as in crl.py.
Source: arXiv 1906.05838 (loss), 2503.14858 (as a baseline).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from crlscale import optimiser
from crlscale.agents import batches, tanh_gaussian
from crlscale.agents import seen as networks_seen
from crlscale.networks import Actor
from crlscale.program import Hyper, Program
from crlscale.replay import Batch

act, act_deterministic = tanh_gaussian.act, tanh_gaussian.act_deterministic
sample, seen = batches.geometric, networks_seen.policy


class Agent(NamedTuple):
    """Parameters and optimiser state."""

    actor: dict
    actor_moments: optax.OptState


class Networks(NamedTuple):
    actor: Actor


def networks(program: Program, action_size: int) -> Networks:
    return Networks(Actor(program.actor_depth, program.architecture, action_size))


def init(nets: Networks, rng: jax.Array, state_size: int, action_size: int, goal_size: int) -> Agent:
    """A fresh agent. Consumes `rng`."""
    actor = nets.actor.init(rng, jnp.zeros((1, state_size + goal_size)))
    return Agent(actor, optimiser.begin(actor))


def actor_loss(nets: Networks, actor: dict, batch: Batch) -> jax.Array:
    """Mean of -log pi(action | state, goal)."""
    mean, log_std = nets.actor.apply(actor, jnp.concatenate([batch.state, batch.goal], -1))
    return -jnp.mean(tanh_gaussian.log_density(mean, log_std, batch.action))


def update(nets: Networks, agent: Agent, batch: Batch, rng: jax.Array, hyper: Hyper):
    """One step of the actor -> agent, metrics (scalars). Needs no randomness."""
    loss, gradient = jax.value_and_grad(lambda actor: actor_loss(nets, actor, batch))(agent.actor)
    actor, moments = optimiser.step_network(
        nets.actor.architecture,
        agent.actor,
        gradient,
        agent.actor_moments,
        hyper.actor_learning_rate,
        hyper,
    )
    return Agent(actor, moments), {
        "actor_loss": loss,
        "actor_gradient_norm": optax.tree.norm(gradient),
    }


def parameter_norms(agent: Agent) -> dict:
    """L2 norm of the actor's parameters."""
    return {"actor_parameter_norm": optax.tree.norm(agent.actor)}
