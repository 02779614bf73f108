"""One update, with all pairs of embeddings subtracted and psi(goal) computed once for each loss.

B batch, S state, A action, G goal, R representation.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from crlscale.bench.naive.networks import Actor, Encoder, unrolled
from crlscale.config import RunConfig

DISTANCE_EPSILON = 1e-6  # inside the root: the gradient stays finite where embeddings coincide


class Triples(NamedTuple):
    """B steps with a hindsight goal each: `state` [B, S], `action` [B, A], `goal` [B, G]."""

    state: jax.Array
    action: jax.Array
    goal: jax.Array


class Agent(NamedTuple):
    """Parameters of the actor, of both encoders (keys state_action, goal) and log alpha, and the state of
    an optimiser for each of the three."""

    actor: dict
    critic: dict
    log_alpha: jax.Array
    actor_optimiser: optax.OptState
    critic_optimiser: optax.OptState
    alpha_optimiser: optax.OptState


class Design:
    """Networks, optimisers and numbers of a run of `config`, as float32."""

    def __init__(self, config: RunConfig):
        self.depths = config.actor_layers, config.critic_layers
        self.actor = Actor(config.actor_layers, config.width, config.task.action_size)
        self.encoder = Encoder(config.critic_layers, config.width, config.representation_size)
        self.actor_adam = optax.adam(config.actor_learning_rate)
        self.critic_adam = optax.adam(config.critic_learning_rate)
        self.alpha_adam = optax.adam(config.alpha_learning_rate)
        self.penalty = config.logsumexp_penalty
        self.target_entropy = config.target_entropy * config.task.action_size
        self.config = config

    def begin(self, agent) -> Agent:
        """The agent with the parameters of one of crlscale.agents.crl."""
        actor_depth, critic_depth = self.depths
        actor = unrolled(agent.actor, actor_depth)
        critic = {
            "state_action": unrolled(agent.critic.state_action, critic_depth),
            "goal": unrolled(agent.critic.goal, critic_depth),
        }
        return Agent(
            actor,
            critic,
            agent.log_alpha,
            self.actor_adam.init(actor),
            self.critic_adam.init(critic),
            self.alpha_adam.init(agent.log_alpha),
        )

    # --- losses ---------------------------------------------------------------------------
    def critic_loss(self, critic: dict, batch: Triples):
        """InfoNCE of each row over the goals of the batch, with penalty -> loss, metrics."""
        pairs = jnp.concatenate([batch.state, batch.action], axis=-1)
        phi = self.encoder.apply(critic["state_action"], pairs)
        psi = self.encoder.apply(critic["goal"], batch.goal)
        logits = -_norm(phi[:, None, :] - psi[None, :, :])
        matching, lse = jnp.diagonal(logits), jax.nn.logsumexp(logits, axis=1)
        loss = jnp.mean(lse - matching) + self.penalty * jnp.mean(lse**2)
        rows = len(logits)
        right = jnp.argmax(logits, axis=1) == jnp.arange(rows)
        other = (jnp.sum(logits) - jnp.sum(matching)) / (rows * (rows - 1))
        return loss, {
            "critic_loss": loss,
            "categorical_accuracy": jnp.mean(right),
            "logsumexp": jnp.mean(lse),
            "positive_energy": jnp.mean(matching),
            "negative_energy": other,
        }

    def actor_loss(self, actor: dict, critic: dict, alpha, batch: Triples, noise):
        """mean of alpha log pi + distance -> loss, mean log pi."""
        action, log_prob = self.draw(actor, batch.state, batch.goal, noise)
        pairs = jnp.concatenate([batch.state, action], axis=-1)
        phi = self.encoder.apply(critic["state_action"], pairs)
        psi = self.encoder.apply(critic["goal"], batch.goal)
        return jnp.mean(alpha * log_prob + _norm(phi - psi)), jnp.mean(log_prob)

    def draw(self, actor: dict, state, goal, noise):
        """Action [B, A] of the Gaussian squashed by tanh, and its log density [B]."""
        mean, log_std = self.actor.apply(actor, jnp.concatenate([state, goal], axis=-1))
        before = mean + jnp.exp(log_std) * noise
        density = -0.5 * (noise**2 + jnp.log(2 * jnp.pi)) - log_std
        density -= 2 * (jnp.log(2.0) - before - jax.nn.softplus(-2 * before))
        return jnp.tanh(before), jnp.sum(density, axis=-1)

    # --- one update -----------------------------------------------------------------------
    def update(self, agent: Agent, batch: Triples, rng: jax.Array):
        """One step of critic, actor and alpha -> agent, metrics (scalars). Consumes `rng`."""
        critic_gradient, metrics = jax.grad(self.critic_loss, has_aux=True)(agent.critic, batch)
        noise = jax.random.normal(rng, batch.action.shape)
        alpha = jnp.exp(agent.log_alpha)
        (actor_loss, log_prob), actor_gradient = jax.value_and_grad(self.actor_loss, has_aux=True)(
            agent.actor, agent.critic, alpha, batch, noise
        )
        alpha_gradient = jax.grad(
            lambda log_alpha: jnp.exp(log_alpha) * (-log_prob - self.target_entropy)
        )(agent.log_alpha)
        actor, actor_optimiser = _step(
            self.actor_adam, agent.actor, actor_gradient, agent.actor_optimiser
        )
        critic, critic_optimiser = _step(
            self.critic_adam, agent.critic, critic_gradient, agent.critic_optimiser
        )
        log_alpha, alpha_optimiser = _step(
            self.alpha_adam, agent.log_alpha, alpha_gradient, agent.alpha_optimiser
        )
        optimisers = actor_optimiser, critic_optimiser, alpha_optimiser
        metrics |= {"actor_loss": actor_loss, "entropy": -log_prob, "alpha": alpha}
        return Agent(actor, critic, log_alpha, *optimisers), metrics


def _norm(difference):
    return jnp.sqrt(jnp.sum(difference**2, axis=-1) + DISTANCE_EPSILON)


def _step(adam, parameters, gradient, state):
    with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an integer power
        changes, state = adam.update(gradient, state)
    return optax.apply_updates(parameters, changes), state
