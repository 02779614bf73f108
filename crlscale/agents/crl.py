"""Contrastive RL: an InfoNCE critic over (state, action) and goal, an entropy-regularised actor.

B batch, S state, A action, G goal, R representation.
energy f(s, a, g) = -||phi(s, a) - psi(g)|| (or another of energies.py), higher = likelier.
Source: arXiv 2503.14858, Table 7 and its public code.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from crlscale import optimiser
from crlscale.agents import batches, tanh_gaussian
from crlscale.agents import seen as networks_seen
from crlscale.agents.contrastive_losses import contrastive_loss
from crlscale.agents.energies import ENERGIES
from crlscale.agents.tanh_gaussian import alpha_loss, sample_action
from crlscale.networks import Actor, Encoder
from crlscale.program import Hyper, Program
from crlscale.replay import Batch

act, act_deterministic = tanh_gaussian.act, tanh_gaussian.act_deterministic
sample, seen = batches.geometric, networks_seen.encoders


class Critic(NamedTuple):
    """Parameters (or gradients, or moments) of the two encoders."""

    state_action: dict
    goal: dict


class Agent(NamedTuple):
    """Parameters and optimiser states; `log_alpha` is a scalar."""

    actor: dict
    critic: Critic
    log_alpha: jax.Array
    actor_moments: optax.OptState
    critic_moments: optax.OptState
    alpha_moments: optax.OptState


class Networks(NamedTuple):
    actor: Actor
    state_action: Encoder
    goal: Encoder
    energy: str
    contrastive_loss: str


def networks(program: Program, action_size: int) -> Networks:
    actor = Actor(program.actor_depth, program.architecture, action_size)
    encoder = Encoder(program.critic_depth, program.architecture, program.representation_size)
    return Networks(actor, encoder, encoder.clone(), program.energy, program.contrastive_loss)


def init(nets: Networks, rng: jax.Array, state_size: int, action_size: int, goal_size: int) -> Agent:
    """A fresh agent. Consumes `rng`."""
    actor_key, state_action_key, goal_key = jax.random.split(rng, 3)
    actor = nets.actor.init(actor_key, jnp.zeros((1, state_size + goal_size)))
    critic = Critic(
        nets.state_action.init(state_action_key, jnp.zeros((1, state_size + action_size))),
        nets.goal.init(goal_key, jnp.zeros((1, goal_size))),
    )
    log_alpha = jnp.zeros(())
    return Agent(actor, critic, log_alpha, *map(optimiser.begin, (actor, critic, log_alpha)))


# --- losses ------------------------------------------------------------------------------
def critic_loss(nets: Networks, critic: Critic, batch: Batch, penalty: jax.Array):
    """-> loss, (psi(goal) [B, R] for the actor's loss, metrics)."""
    phi = nets.state_action.apply(critic.state_action, jnp.concatenate([batch.state, batch.action], -1))
    psi = nets.goal.apply(critic.goal, batch.goal)
    logits = ENERGIES[nets.energy].matrix(phi, psi)
    more = None if batch.elsewhere is None else _negatives(nets, critic, phi, batch.elsewhere)
    loss, metrics = contrastive_loss(nets.contrastive_loss, logits, penalty, more)
    return loss, (psi, metrics)


def _negatives(nets: Networks, critic: Critic, phi, goals) -> jax.Array:
    """Energies [B, k] of phi [B, R] with goals [B, k, G] of each row."""
    batch, count, size = goals.shape
    psi = nets.goal.apply(critic.goal, goals.reshape(batch * count, size))
    energies = ENERGIES[nets.energy].paired(jnp.repeat(phi, count, axis=0), psi)
    return energies.reshape(batch, count)


def actor_loss(nets: Networks, actor: dict, critic: Critic, psi, alpha, batch: Batch, noise):
    """mean of alpha log pi - f, with the critic and psi [B, R] held fixed -> loss, mean log pi."""
    mean, log_std = nets.actor.apply(actor, jnp.concatenate([batch.state, batch.goal], -1))
    action, log_prob = sample_action(mean, log_std, noise)
    phi = nets.state_action.apply(critic.state_action, jnp.concatenate([batch.state, action], -1))
    energy = ENERGIES[nets.energy].paired(phi, psi)
    return jnp.mean(alpha * log_prob - energy), jnp.mean(log_prob)


# --- one update --------------------------------------------------------------------------
def update(nets: Networks, agent: Agent, batch: Batch, rng: jax.Array, hyper: Hyper):
    """One step of critic, actor and alpha -> agent, metrics (scalars). Consumes `rng`.

    Actor and alpha see the critic from before its step, so psi(goal) is computed once."""
    (_, (psi, metrics)), critic_gradient = jax.value_and_grad(
        lambda critic: critic_loss(nets, critic, batch, hyper.logsumexp_penalty), has_aux=True
    )(agent.critic)
    noise = jax.random.normal(rng, batch.action.shape)
    alpha = jnp.exp(agent.log_alpha)
    (loss, log_prob), actor_gradient = jax.value_and_grad(
        lambda actor: actor_loss(
            nets, actor, agent.critic, jax.lax.stop_gradient(psi), alpha, batch, noise
        ),
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
        "entropy": -log_prob,
        "alpha": alpha,
        "actor_gradient_norm": optax.tree.norm(actor_gradient),
        "state_action_gradient_norm": optax.tree.norm(critic_gradient.state_action),
        "goal_gradient_norm": optax.tree.norm(critic_gradient.goal),
    }
    return Agent(actor, critic, log_alpha, actor_moments, critic_moments, alpha_moments), metrics


def parameter_norms(agent: Agent) -> dict:
    """L2 norm of each network's parameters, scalars."""
    return {
        "actor_parameter_norm": optax.tree.norm(agent.actor),
        "state_action_parameter_norm": optax.tree.norm(agent.critic.state_action),
        "goal_parameter_norm": optax.tree.norm(agent.critic.goal),
    }
