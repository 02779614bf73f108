"""Soft actor-critic on the sparse reward, with or without hindsight relabelling (sac_her).

B batch, S state, A action, G goal. The reward is 1 in every step that ends inside the goal's radius.
Source: arXiv 1812.05905; relabelling: arXiv 1707.01495.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from crlscale import optimiser
from crlscale.agents import batches, tanh_gaussian, twin_critics
from crlscale.agents import seen as networks_seen
from crlscale.agents.tanh_gaussian import alpha_loss, sample_action
from crlscale.agents.twin_critics import Twin
from crlscale.networks import Actor, Encoder
from crlscale.program import Hyper, Program
from crlscale.replay import Transitions

act, act_deterministic = tanh_gaussian.act, tanh_gaussian.act_deterministic
sample, seen = batches.transitions, networks_seen.twins


class Agent(NamedTuple):
    """Parameters and optimiser states; `target` follows `critic`, `log_alpha` is a scalar."""

    actor: dict
    critic: Twin
    target: Twin
    log_alpha: jax.Array
    actor_moments: optax.OptState
    critic_moments: optax.OptState
    alpha_moments: optax.OptState


class Networks(NamedTuple):
    actor: Actor
    critic: Encoder


def networks(program: Program, action_size: int) -> Networks:
    actor = Actor(program.actor_depth, program.architecture, action_size)
    return Networks(actor, Encoder(program.critic_depth, program.architecture, 1))


def init(nets: Networks, rng: jax.Array, state_size: int, action_size: int, goal_size: int) -> Agent:
    """A fresh agent. Consumes `rng`."""
    actor_key, critic_key = jax.random.split(rng)
    actor = nets.actor.init(actor_key, jnp.zeros((1, state_size + goal_size)))
    critic = twin_critics.init(nets.critic, critic_key, state_size + action_size + goal_size)
    target = jax.tree.map(jnp.copy, critic)
    log_alpha = jnp.zeros(())
    moments = map(optimiser.begin, (actor, critic, log_alpha))
    return Agent(actor, critic, target, log_alpha, *moments)


# --- losses ------------------------------------------------------------------------------
def target_values(nets: Networks, agent: Agent, batch: Transitions, noise, discount) -> jax.Array:
    """What the critics should say [B]: reward, and the successor's soft value by the targets."""
    mean, log_std = nets.actor.apply(agent.actor, jnp.concatenate([batch.next_state, batch.goal], -1))
    action, log_prob = sample_action(mean, log_std, noise)
    value = twin_critics.smaller_value(nets.critic, agent.target, batch.next_state, action, batch.goal)
    return twin_critics.td_target(batch, value - jnp.exp(agent.log_alpha) * log_prob, discount)


def actor_loss(nets: Networks, actor: dict, critic: Twin, alpha, batch: Transitions, noise):
    """mean of alpha log pi - the smaller value, the critics held fixed -> loss, mean log pi."""
    mean, log_std = nets.actor.apply(actor, jnp.concatenate([batch.state, batch.goal], -1))
    action, log_prob = sample_action(mean, log_std, noise)
    value = twin_critics.smaller_value(nets.critic, critic, batch.state, action, batch.goal)
    return jnp.mean(alpha * log_prob - value), jnp.mean(log_prob)


# --- one update --------------------------------------------------------------------------
def update(nets: Networks, agent: Agent, batch: Transitions, rng: jax.Array, hyper: Hyper):
    """One step of critics, actor, alpha and targets -> agent, metrics (scalars). Consumes `rng`.

    Actor and alpha see the critics from before their step, as in crl.py."""
    next_key, noise_key = jax.random.split(rng)
    next_noise = jax.random.normal(next_key, batch.action.shape)
    target = target_values(nets, agent, batch, next_noise, hyper.discount)
    (_, metrics), critic_gradient = jax.value_and_grad(
        lambda critic: twin_critics.critic_loss(nets.critic, critic, batch, target), has_aux=True
    )(agent.critic)
    noise = jax.random.normal(noise_key, batch.action.shape)
    alpha = jnp.exp(agent.log_alpha)
    (loss, log_prob), actor_gradient = jax.value_and_grad(
        lambda actor: actor_loss(nets, actor, agent.critic, alpha, batch, noise), has_aux=True
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
        "critic_gradient_norm": optax.tree.norm(critic_gradient),
    }
    target = twin_critics.toward(agent.target, critic, hyper.polyak)
    moments = (actor_moments, critic_moments, alpha_moments)
    return Agent(actor, critic, target, log_alpha, *moments), metrics


def parameter_norms(agent: Agent) -> dict:
    """L2 norm of the actor's and of both critics' parameters, scalars."""
    return {
        "actor_parameter_norm": optax.tree.norm(agent.actor),
        "critic_parameter_norm": optax.tree.norm(agent.critic),
    }
