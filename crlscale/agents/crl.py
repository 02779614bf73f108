"""Contrastive RL: an InfoNCE critic over (state, action) and goal, an entropy-regularised actor.

B batch, S state, A action, G goal, R representation.
energy f(s, a, g) = -||phi(s, a) - psi(g)||, higher = likelier.
Source: arXiv 2503.14858, Table 7 and its public code.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from crlscale import optimiser
from crlscale.networks import Actor, Encoder
from crlscale.program import Hyper, Program
from crlscale.replay import Batch

DISTANCE_EPSILON = 1e-6  # inside the root: the gradient stays finite where embeddings coincide


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


def networks(program: Program, action_size: int) -> Networks:
    actor = Actor(program.actor_depth, program.architecture, action_size)
    encoder = Encoder(program.critic_depth, program.architecture, program.representation_size)
    return Networks(actor, encoder, encoder.clone())


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


# --- acting ------------------------------------------------------------------------------
def sample_action(mean: jax.Array, log_std: jax.Array, noise: jax.Array):
    """tanh-squashed Gaussian action [..., A] and its log density [...], for standard normal `noise`."""
    before = mean + jnp.exp(log_std) * noise
    gaussian = -0.5 * (noise**2 + jnp.log(2 * jnp.pi)) - log_std
    # log(1 - tanh(x)^2) in a form that does not underflow
    squash = 2.0 * (jnp.log(2.0) - before - jax.nn.softplus(-2.0 * before))
    return jnp.tanh(before), jnp.sum(gaussian - squash, axis=-1)


def act(nets: Networks, actor: dict, observation: jax.Array, rng: jax.Array) -> jax.Array:
    """Stochastic action [N, A] for observations [N, S+G]. Consumes `rng`."""
    mean, log_std = nets.actor.apply(actor, observation)
    return sample_action(mean, log_std, jax.random.normal(rng, mean.shape))[0]


def act_deterministic(nets: Networks, actor: dict, observation: jax.Array) -> jax.Array:
    """Action [N, A] = tanh(mean) for observations [N, S+G]."""
    return jnp.tanh(nets.actor.apply(actor, observation)[0])


# --- losses ------------------------------------------------------------------------------
def energies(phi: jax.Array, psi: jax.Array) -> jax.Array:
    """Matrix [B, B] of f between row i of phi [B, R] and row j of psi [B, R], by the Gram identity:
    B x B memory, not B x B x R.

    The identity subtracts large numbers: embeddings of deep networks lie far from the origin (200
    at depth 1024) and close together, so both are shifted by a constant, and the product is never
    rounded to the TF32 of GPUs."""
    shift = jax.lax.stop_gradient(jnp.mean(psi, axis=0, keepdims=True))
    phi, psi = phi - shift, psi - shift
    product = jnp.matmul(phi, psi.T, precision=jax.lax.Precision.HIGHEST)
    squared = jnp.sum(phi**2, -1)[:, None] + jnp.sum(psi**2, -1)[None, :] - 2.0 * product
    return -jnp.sqrt(jnp.maximum(squared, 0.0) + DISTANCE_EPSILON)


def paired_energies(phi: jax.Array, psi: jax.Array) -> jax.Array:
    """f [B] between equal rows of phi [B, R] and psi [B, R]."""
    return -jnp.sqrt(jnp.sum((phi - psi) ** 2, axis=-1) + DISTANCE_EPSILON)


def info_nce(logits: jax.Array, penalty: jax.Array) -> tuple[jax.Array, dict]:
    """Row-wise InfoNCE of logits [B, B], whose diagonal is positive, with logsumexp penalty."""
    batch = logits.shape[0]
    positive = jnp.diagonal(logits)
    lse = jax.nn.logsumexp(logits, axis=1)
    loss = jnp.mean(lse - positive) + penalty * jnp.mean(lse**2)
    return loss, {
        "critic_loss": loss,
        "categorical_accuracy": jnp.mean(jnp.argmax(logits, axis=1) == jnp.arange(batch)),
        "logsumexp": jnp.mean(lse),
        "positive_energy": jnp.mean(positive),
        "negative_energy": (jnp.sum(logits) - jnp.sum(positive)) / (batch * (batch - 1)),
    }


def critic_loss(nets: Networks, critic: Critic, batch: Batch, penalty: jax.Array):
    """-> loss, (psi(goal) [B, R] for the actor's loss, metrics)."""
    phi = nets.state_action.apply(critic.state_action, jnp.concatenate([batch.state, batch.action], -1))
    psi = nets.goal.apply(critic.goal, batch.goal)
    loss, metrics = info_nce(energies(phi, psi), penalty)
    return loss, (psi, metrics)


def actor_loss(nets: Networks, actor: dict, critic: Critic, psi, alpha, batch: Batch, noise):
    """mean of alpha log pi - f, with the critic and psi [B, R] held fixed -> loss, mean log pi."""
    mean, log_std = nets.actor.apply(actor, jnp.concatenate([batch.state, batch.goal], -1))
    action, log_prob = sample_action(mean, log_std, noise)
    phi = nets.state_action.apply(critic.state_action, jnp.concatenate([batch.state, action], -1))
    return jnp.mean(alpha * log_prob - paired_energies(phi, psi)), jnp.mean(log_prob)


def alpha_loss(log_alpha: jax.Array, log_prob: jax.Array, target_entropy: jax.Array) -> jax.Array:
    """alpha times (entropy - target), so that alpha grows while entropy is below its target."""
    return jnp.exp(log_alpha) * jax.lax.stop_gradient(-log_prob - target_entropy)


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
