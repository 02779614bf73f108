"""Survival RL: a critic that says when a goal is reached, and an actor that makes it sooner.

B batch, S state, A action, G goal, K bins. The critic gives hazards of reaching a relabelled goal in each
bin of time and learns by maximum likelihood, records without a hit being right-censored; the value is
minus the discounted time that they imply (hazards.py), and the actor climbs it.
Source: arXiv 2605.31273.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from crlscale import optimiser
from crlscale.agents import batches, film_critic, hazards, tanh_gaussian
from crlscale.agents import seen as networks_seen
from crlscale.agents.film_critic import Critic, GoalSide, Joined, StateActionEncoder
from crlscale.agents.tanh_gaussian import alpha_loss, sample_action
from crlscale.depths import halves
from crlscale.hits import Hits
from crlscale.networks import Actor
from crlscale.program import Hyper, Program

act, act_deterministic = tanh_gaussian.act, tanh_gaussian.act_deterministic
sample, seen = batches.hits, networks_seen.joined


class Agent(NamedTuple):
    """Parameters and optimiser states; `log_alpha` is a scalar."""

    actor: dict
    critic: Critic
    log_alpha: jax.Array
    actor_moments: optax.OptState
    critic_moments: optax.OptState
    alpha_moments: optax.OptState


class Networks(NamedTuple):
    """`horizon` steps in K `bins`; `to_horizon`: records without a hit are censored there."""

    actor: Actor
    critic: film_critic.Networks
    horizon: int
    bins: int
    to_horizon: bool

    @property
    def edges(self) -> np.ndarray:
        return hazards.bin_edges(self.horizon, self.bins)


def networks(program: Program, action_size: int) -> Networks:
    shape, depth = program.architecture, program.critic_depth
    larger, smaller = halves(depth, shape.block_size)
    critic = film_critic.Networks(
        StateActionEncoder(larger, shape, program.representation_size),
        film_critic.GoalEncoder(smaller, shape, program.representation_size),
        Joined(depth, shape, program.survival_bins),
    )
    actor = Actor(program.actor_depth, shape, action_size)
    to_horizon = program.censoring == "horizon"
    return Networks(actor, critic, program.survival_horizon, program.survival_bins, to_horizon)


def init(nets: Networks, rng: jax.Array, state_size: int, action_size: int, goal_size: int) -> Agent:
    """A fresh agent. Consumes `rng`."""
    actor_key, critic_key = jax.random.split(rng)
    actor = nets.actor.init(actor_key, jnp.zeros((1, state_size + goal_size)))
    critic = film_critic.init(nets.critic, critic_key, state_size, action_size, goal_size)
    log_alpha = jnp.zeros(())
    return Agent(actor, critic, log_alpha, *map(optimiser.begin, (actor, critic, log_alpha)))


# --- losses ------------------------------------------------------------------------------
def critic_loss(nets: Networks, critic: Critic, batch: Hits):
    """Mean of minus the log likelihood -> loss, (GoalSide for the actor's loss, metrics)."""
    goal = nets.critic.goal.apply(critic.goal, batch.goal)
    found = film_critic.outputs(nets.critic, critic, goal, batch.state, batch.action)
    loss = jnp.mean(hazards.negative_log_likelihood(found.hazards, nets.edges, batch, nets.to_horizon))
    return loss, (goal, {"critic_loss": loss, "hit_share": jnp.mean(batch.hit.astype(jnp.float32))})


def actor_loss(
    nets: Networks, actor: dict, critic: Critic, goal: GoalSide, alpha, discount, batch: Hits, noise
):
    """mean of alpha log pi - V, with the critic and what it makes of the goal held fixed
    -> loss, (mean log pi, mean V)."""
    mean, log_std = nets.actor.apply(actor, jnp.concatenate([batch.state, batch.goal], -1))
    action, log_prob = sample_action(mean, log_std, noise)
    found = film_critic.outputs(nets.critic, critic, goal, batch.state, action)
    value = hazards.value(found.hazards, hazards.discounted_lengths(nets.edges, discount))
    return jnp.mean(alpha * log_prob - value), (jnp.mean(log_prob), jnp.mean(value))


# --- one update --------------------------------------------------------------------------
def update(nets: Networks, agent: Agent, batch: Hits, rng: jax.Array, hyper: Hyper):
    """One step of critic, actor and alpha -> agent, metrics (scalars). Consumes `rng`.

    Actor and alpha see the critic from before its step, so goals are encoded once."""
    (_, (goal, metrics)), critic_gradient = jax.value_and_grad(
        lambda critic: critic_loss(nets, critic, batch), has_aux=True
    )(agent.critic)
    noise = jax.random.normal(rng, batch.action.shape)
    alpha, discount = jnp.exp(agent.log_alpha), hyper.value_discount
    goal = jax.lax.stop_gradient(goal)
    (loss, (log_prob, value)), actor_gradient = jax.value_and_grad(
        lambda actor: actor_loss(nets, actor, agent.critic, goal, alpha, discount, batch, noise),
        has_aux=True,
    )(agent.actor)
    alpha_gradient = jax.grad(alpha_loss)(agent.log_alpha, log_prob, hyper.target_entropy)

    step = partial(optimiser.step_network, nets.actor.architecture, hyper=hyper)
    critic, critic_moments = step(
        agent.critic, critic_gradient, agent.critic_moments, hyper.critic_learning_rate
    )
    actor, actor_moments = step(
        agent.actor, actor_gradient, agent.actor_moments, hyper.actor_learning_rate
    )
    log_alpha, alpha_moments = optimiser.step_scalar(
        agent.log_alpha, alpha_gradient, agent.alpha_moments, hyper.alpha_learning_rate, hyper
    )
    metrics |= {
        "actor_loss": loss,
        "value": value,
        "entropy": -log_prob,
        "alpha": alpha,
        "actor_gradient_norm": optax.tree.norm(actor_gradient),
        "critic_gradient_norm": optax.tree.norm(critic_gradient),
    }
    return Agent(actor, critic, log_alpha, actor_moments, critic_moments, alpha_moments), metrics


def parameter_norms(agent: Agent) -> dict:
    """L2 norm of the actor's and of the critic's parameters, scalars."""
    return {
        "actor_parameter_norm": optax.tree.norm(agent.actor),
        "critic_parameter_norm": optax.tree.norm(agent.critic),
    }
