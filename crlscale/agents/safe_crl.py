"""Contrastive RL with survival mass: crl.py for tasks that can fail, with two corrections.

B batch, S state, A action, G goal, R representation.
CRL draws its positives from the futures that exist, so a step soon before a failure counts as much as
one with a long future. Here row i of the critic's loss weighs 1 - discount^L, the mass of the future
that its L steps to a failure leave (1 if a time limit ended it); and the actor also climbs log Z, where
Z(s, a) is the chance of no failure within a geometric horizon.
Source: arXiv 2608.26571; both terms can be switched off.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from crlscale import optimiser
from crlscale.agents import batches, tanh_gaussian
from crlscale.agents import seen as networks_seen
from crlscale.agents.contrastive_losses import contrastive_loss, weighted_forward
from crlscale.agents.energies import ENERGIES
from crlscale.agents.tanh_gaussian import alpha_loss, sample_action
from crlscale.envs.episode import FAILURE
from crlscale.methods import SURVIVAL_LAYERS
from crlscale.networks import Actor, Encoder
from crlscale.program import Hyper, Program
from crlscale.replay import Batch, hindsight_steps

LONGEST = 2**30  # steps; no geometric horizon that float32 draws lies beyond

act, act_deterministic = tanh_gaussian.act, tanh_gaussian.act_deterministic
sample = batches.geometric


class Critic(NamedTuple):
    """Parameters (or gradients, or moments) of the two encoders and of the survival network."""

    state_action: dict
    goal: dict
    survival: dict


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
    survival: Encoder
    energy: str


def networks(program: Program, action_size: int) -> Networks:
    actor = Actor(program.actor_depth, program.architecture, action_size)
    encoder = Encoder(program.critic_depth, program.architecture, program.representation_size)
    survival = Encoder(SURVIVAL_LAYERS, program.architecture, 1)
    return Networks(actor, encoder, encoder.clone(), survival, program.energy)


def init(nets: Networks, rng: jax.Array, state_size: int, action_size: int, goal_size: int) -> Agent:
    """A fresh agent. Consumes `rng`."""
    actor_key, state_action_key, goal_key, survival_key = jax.random.split(rng, 4)
    actor = nets.actor.init(actor_key, jnp.zeros((1, state_size + goal_size)))
    state_action = jnp.zeros((1, state_size + action_size))
    critic = Critic(
        nets.state_action.init(state_action_key, state_action),
        nets.goal.init(goal_key, jnp.zeros((1, goal_size))),
        nets.survival.init(survival_key, state_action),
    )
    log_alpha = jnp.zeros(())
    return Agent(actor, critic, log_alpha, *map(optimiser.begin, (actor, critic, log_alpha)))


# --- survival ----------------------------------------------------------------------------
def future_mass(batch: Batch, discount: jax.Array) -> jax.Array:
    """1 - discount^L [B] where the trajectory fails after L steps, 1 where it does not."""
    mass = -jnp.expm1(batch.left.astype(jnp.float32) * jnp.log(discount))
    return jnp.where(batch.ending == FAILURE, mass, 1.0)


def survival_labels(batch: Batch, horizon: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Whether no failure came within `horizon` int32 [B] steps, as 0 or 1 [B], and whether that is
    known [B]: it is not where the record ends before the horizon without a failure."""
    survived = horizon < batch.left + (batch.ending != FAILURE).astype(jnp.int32)
    known = survived | (batch.ending == FAILURE)
    return survived.astype(jnp.float32), known.astype(jnp.float32)


def survival_loss(nets: Networks, critic: Critic, batch: Batch, horizon: jax.Array) -> jax.Array:
    """Binary cross-entropy of the survival logits over the rows that are known."""
    logits = _survival_logits(nets, critic, batch.state, batch.action)
    survived, known = survival_labels(batch, horizon)
    entropies = jax.nn.softplus(logits) - survived * logits
    return jnp.sum(known * entropies) / jnp.maximum(jnp.sum(known), 1.0)


def _survival_logits(nets, critic, state, action):
    return nets.survival.apply(critic.survival, jnp.concatenate([state, action], -1))[..., 0]


# --- losses ------------------------------------------------------------------------------
def critic_loss(nets: Networks, critic: Critic, batch: Batch, weights, horizon, penalty: jax.Array):
    """-> both losses, (psi(goal) [B, R] for the actor's loss, metrics)."""
    phi = nets.state_action.apply(critic.state_action, jnp.concatenate([batch.state, batch.action], -1))
    psi = nets.goal.apply(critic.goal, batch.goal)
    logits = ENERGIES[nets.energy].matrix(phi, psi)
    loss = weighted_forward(logits, penalty, weights)
    survival = survival_loss(nets, critic, batch, horizon)
    metrics = contrastive_loss("forward", logits, penalty)[1]
    metrics |= {"critic_loss": loss, "survival_loss": survival}
    return loss + survival, (psi, metrics)


def actor_loss(nets: Networks, actor: dict, critic: Critic, psi, alpha, bonus, batch: Batch, noise):
    """mean of alpha log pi - f - bonus log Z, with the critic and psi [B, R] held fixed
    -> loss, (mean log pi, mean Z)."""
    mean, log_std = nets.actor.apply(actor, jnp.concatenate([batch.state, batch.goal], -1))
    action, log_prob = sample_action(mean, log_std, noise)
    phi = nets.state_action.apply(critic.state_action, jnp.concatenate([batch.state, action], -1))
    energy = ENERGIES[nets.energy].paired(phi, psi)
    logits = _survival_logits(nets, critic, batch.state, action)
    log_survival = -jax.nn.softplus(-logits)
    loss = jnp.mean(alpha * log_prob - energy - bonus * log_survival)
    return loss, (jnp.mean(log_prob), jnp.mean(jnp.exp(log_survival)))


# --- one update --------------------------------------------------------------------------
def update(nets: Networks, agent: Agent, batch: Batch, rng: jax.Array, hyper: Hyper):
    """One step of critic, actor and alpha -> agent, metrics (scalars). Consumes `rng`.

    Actor and alpha see the critic from before its step, so psi(goal) is computed once."""
    noise_key, horizon_key = jax.random.split(rng)
    u = jax.random.uniform(horizon_key, batch.left.shape)
    horizon = hindsight_steps(u, jnp.full_like(batch.left, LONGEST), hyper.discount)
    weights = 1.0 + hyper.survival_weights * (future_mass(batch, hyper.discount) - 1.0)
    (_, (psi, metrics)), critic_gradient = jax.value_and_grad(
        lambda critic: critic_loss(nets, critic, batch, weights, horizon, hyper.logsumexp_penalty),
        has_aux=True,
    )(agent.critic)
    psi = jax.lax.stop_gradient(psi)
    noise = jax.random.normal(noise_key, batch.action.shape)
    alpha, bonus = jnp.exp(agent.log_alpha), hyper.survival_bonus
    (loss, (log_prob, survival)), actor_gradient = jax.value_and_grad(
        lambda actor: actor_loss(nets, actor, agent.critic, psi, alpha, bonus, batch, noise),
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
        "survival_probability": survival,
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
        "survival_parameter_norm": optax.tree.norm(agent.critic.survival),
    }


def seen(nets: Networks, agent: Agent, batch: Batch) -> dict[str, networks_seen.Seen]:
    """Actor and encoders as crl.py, and the survival network."""
    found = networks_seen.encoders(nets, agent, batch)
    return {**found, "survival": found["state_action"]._replace(network=nets.survival)}
