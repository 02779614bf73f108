"""ChronoSRL: survival RL (srl.py) whose embeddings lie as far apart as the goal is, in discounted steps.

B batch, S state, A action (of a chunk), G goal, R representation, O bins of occupancy. The critic's loss
has three terms more: the distance of the embeddings of a state-action and of a goal it reached after T
steps is near kappa T, kappa = - log value_discount; that to other goals is at least 1000 kappa; and
a head of the joined trunk predicts the share of time spent close to the goal (occupancy.py), which the
actor climbs too, as much as trajectories fail.
Source: arXiv 2609.36238; the weights of the terms are fields.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from crlscale import optimiser
from crlscale.agents import batches, film_critic, hazards, occupancy, srl, tanh_gaussian
from crlscale.agents.energies import ENERGIES
from crlscale.agents.film_critic import Critic, GoalEncoder, GoalSide, Joined, StateActionEncoder
from crlscale.agents.occupancy import mean_where
from crlscale.agents.srl import Agent
from crlscale.agents.tanh_gaussian import alpha_loss, sample_action
from crlscale.envs.episode import FAILURE
from crlscale.hits import Hits
from crlscale.methods import OCCUPANCY_BINS
from crlscale.networks import Actor
from crlscale.program import Hyper, Program
from crlscale.survival_fields import LONGEST_HORIZON

act, act_deterministic = tanh_gaussian.act, tanh_gaussian.act_deterministic
sample = batches.hits_and_closeness
init, parameter_norms, seen = srl.init, srl.parameter_norms, srl.seen


class Networks(NamedTuple):
    """As srl.Networks."""

    actor: Actor
    critic: film_critic.Networks
    horizon: int
    bins: int
    to_horizon: bool

    @property
    def edges(self) -> np.ndarray:
        return hazards.bin_edges(self.horizon, self.bins)

    @property
    def occupancy_edges(self) -> np.ndarray:
        return hazards.bin_edges(self.horizon, self.critic.joined.occupancy_bins)


def networks(program: Program, action_size: int) -> Networks:
    shape, depth, size = program.architecture, program.critic_depth, program.representation_size
    horizon, bins = program.survival_horizon, program.survival_bins
    critic = film_critic.Networks(
        StateActionEncoder(depth, shape, size),
        GoalEncoder(depth, shape, size),
        Joined(depth, shape, bins, min(OCCUPANCY_BINS, horizon)),
    )
    actor = Actor(program.actor_depth, shape, action_size)
    return Networks(actor, critic, horizon, bins, program.censoring == "horizon")


# --- losses ------------------------------------------------------------------------------
def distance_loss(z: jax.Array, goal: jax.Array, batch: Hits, kappa: jax.Array) -> jax.Array:
    """Mean Huber loss (of width 1) of ||z - goal|| against kappa T, for embeddings [B, R], over the rows
    that reached their goal after T >= 1 steps."""
    reached = batch.hit & (batch.steps >= 1)
    miss = -ENERGIES["l2"].paired(z, goal) - kappa * batch.steps.astype(jnp.float32)
    return mean_where(optax.losses.huber_loss(miss), reached)


def hinge_loss(z: jax.Array, goal: jax.Array, batch: Hits, farthest: jax.Array) -> jax.Array:
    """Mean of relu(farthest - ||z_i - goal_j||) over the pairs of rows whose goals differ."""
    differ = jnp.any(batch.goal[:, None, :] != batch.goal[None, :, :], axis=-1)
    return mean_where(jax.nn.relu(farthest + ENERGIES["l2"].matrix(z, goal)), differ)


def critic_loss(nets: Networks, critic: Critic, batch: Hits, hyper: Hyper):
    """All four terms -> loss, (GoalSide for the actor's loss, metrics)."""
    goal = nets.critic.goal.apply(critic.goal, batch.goal)
    found = film_critic.outputs(nets.critic, critic, goal, batch.state, batch.action)
    kappa = -jnp.log(hyper.value_discount)
    pair = found.embedding, goal.embedding, batch
    losses = {
        "hazard_loss": jnp.mean(
            hazards.negative_log_likelihood(found.hazards, nets.edges, batch, nets.to_horizon)
        ),
        "distance_loss": distance_loss(*pair, kappa),
        "hinge_loss": hinge_loss(*pair, kappa * LONGEST_HORIZON),
        "occupancy_loss": occupancy.cross_entropy(found.occupancy, batch, nets.occupancy_edges),
    }
    weights = jnp.float32(1.0), hyper.distance_weight, hyper.hinge_weight, hyper.occupancy_weight
    loss = sum(weight * term for weight, term in zip(weights, losses.values(), strict=True))
    shares = {
        "hit_share": jnp.mean(batch.hit.astype(jnp.float32)),
        "failure_share": jnp.mean((batch.ending == FAILURE).astype(jnp.float32)),
    }
    return loss, (goal, {"critic_loss": loss, **losses, **shares})


def actor_loss(
    nets: Networks, actor: dict, critic: Critic, goal: GoalSide, alpha, discount, beta, batch, noise
):
    """mean of alpha log pi - Q, Q = V + beta x discounted time at goal, with the critic and what it makes
    of the goal held fixed -> loss, (mean log pi, mean Q)."""
    mean, log_std = nets.actor.apply(actor, jnp.concatenate([batch.state, batch.goal], -1))
    action, log_prob = sample_action(mean, log_std, noise)
    found = film_critic.outputs(nets.critic, critic, goal, batch.state, action)
    value = hazards.value(found.hazards, hazards.discounted_lengths(nets.edges, discount))
    lengths = hazards.discounted_lengths(nets.occupancy_edges, discount)
    value = value + beta * occupancy.time_at_goal(found.occupancy, lengths)
    return jnp.mean(alpha * log_prob - value), (jnp.mean(log_prob), jnp.mean(value))


# --- one update --------------------------------------------------------------------------
def update(nets: Networks, agent: Agent, batch: Hits, rng: jax.Array, hyper: Hyper):
    """One step of critic, actor and alpha -> agent, metrics (scalars). Consumes `rng`.

    Actor and alpha see the critic from before its step, so goals are encoded once."""
    (_, (goal, metrics)), critic_gradient = jax.value_and_grad(
        lambda critic: critic_loss(nets, critic, batch, hyper), has_aux=True
    )(agent.critic)
    noise = jax.random.normal(rng, batch.action.shape)
    alpha, discount = jnp.exp(agent.log_alpha), hyper.value_discount
    beta, goal = jax.lax.stop_gradient((metrics["failure_share"], goal))
    (loss, (log_prob, value)), actor_gradient = jax.value_and_grad(
        lambda actor: actor_loss(nets, actor, agent.critic, goal, alpha, discount, beta, batch, noise),
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
