"""Goal-conditioned supervised learning: imitate what led to a goal, given the time that it took.

B batch, S state, A action, G goal. Like gcbc.py, but the goal of a step is any later one of its
trajectory, all equally likely, and the policy is told how many steps it is ahead, as a share of the
episode. Acting, it commands `commanded_horizon`, or what is left of the episode.
Source: arXiv 1912.06088 (which draws pairs of steps uniformly; here the step is drawn uniformly,
then the goal).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from crlscale import optimiser
from crlscale.agents import batches, tanh_gaussian
from crlscale.agents.seen import Seen
from crlscale.networks import Actor
from crlscale.program import Hyper, Program
from crlscale.replay import Batch

sample = batches.uniform


class Agent(NamedTuple):
    """Parameters and optimiser state."""

    actor: dict
    actor_moments: optax.OptState


class Networks(NamedTuple):
    actor: Actor
    episode_length: int
    commanded_horizon: int | None


def networks(program: Program, action_size: int) -> Networks:
    actor = Actor(program.actor_depth, program.architecture, action_size)
    return Networks(actor, program.episode_length, program.commanded_horizon)


def init(nets: Networks, rng: jax.Array, state_size: int, action_size: int, goal_size: int) -> Agent:
    """A fresh agent. Consumes `rng`."""
    actor = nets.actor.init(rng, jnp.zeros((1, state_size + goal_size + 1)))
    return Agent(actor, optimiser.begin(actor))


# --- acting ------------------------------------------------------------------------------
def with_horizon(nets: Networks, observation: jax.Array, steps: jax.Array) -> jax.Array:
    """observation [N, S+G] and int32 steps [N] to its goal -> the actor's input [N, S+G+1]."""
    horizon = steps.astype(jnp.float32) / nets.episode_length
    return jnp.concatenate([observation, horizon[:, None]], -1)


def _commanded(nets: Networks, observation: jax.Array, age: jax.Array) -> jax.Array:
    left = nets.episode_length - age
    steps = left if nets.commanded_horizon is None else jnp.full_like(age, nets.commanded_horizon)
    return with_horizon(nets, observation, steps)


def act(nets: Networks, actor: dict, observation: jax.Array, age: jax.Array, rng: jax.Array):
    """Stochastic action [N, A] for observations [N, S+G] at `age` [N]. Consumes `rng`."""
    return tanh_gaussian.act(nets, actor, _commanded(nets, observation, age), age, rng)


def act_deterministic(nets: Networks, actor: dict, observation: jax.Array, age: jax.Array) -> jax.Array:
    """Action [N, A] = tanh(mean) for observations [N, S+G] at `age` [N]."""
    return tanh_gaussian.act_deterministic(nets, actor, _commanded(nets, observation, age), age)


# --- one update --------------------------------------------------------------------------
def actor_loss(nets: Networks, actor: dict, batch: Batch) -> jax.Array:
    """Mean of -log pi(action | state, goal, steps to the goal)."""
    observation = jnp.concatenate([batch.state, batch.goal], -1)
    mean, log_std = nets.actor.apply(actor, with_horizon(nets, observation, batch.steps))
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


def seen(nets: Networks, agent: Agent, batch: Batch) -> dict[str, Seen]:
    """The actor, which is told the time to the goal."""
    observation = jnp.concatenate([batch.state, batch.goal], -1)
    return {"actor": Seen(nets.actor, (with_horizon(nets, observation, batch.steps),))}
