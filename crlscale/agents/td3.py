"""Twin delayed DDPG on the sparse reward, with or without hindsight relabelling (td3_her).

B batch, S state, A action, G goal. The reward is 1 in every step that ends inside the goal's radius.
Source: arXiv 1802.09477; relabelling: arXiv 1707.01495.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from crlscale import optimiser
from crlscale.agents import batches, twin_critics
from crlscale.agents import seen as networks_seen
from crlscale.agents.twin_critics import Twin
from crlscale.networks import Encoder
from crlscale.program import Hyper, Program
from crlscale.replay import Transitions

POLICY_DELAY = 2  # updates of the critics for each of the actor and the targets
SMOOTHING_NOISE, SMOOTHING_CLIP = 0.2, 0.5  # of the target policy's action

sample, seen = batches.transitions, networks_seen.twins


class Agent(NamedTuple):
    """Parameters and optimiser states; targets follow actor and critic. `updates` int32 counts, and
    `actor_metrics` are those of the actor's latest step."""

    actor: dict
    critic: Twin
    actor_target: dict
    target: Twin
    actor_moments: optax.OptState
    critic_moments: optax.OptState
    updates: jax.Array
    actor_metrics: dict


class Networks(NamedTuple):
    actor: Encoder
    critic: Encoder
    exploration_noise: float


def networks(program: Program, action_size: int) -> Networks:
    actor = Encoder(program.actor_depth, program.architecture, action_size)
    critic = Encoder(program.critic_depth, program.architecture, 1)
    return Networks(actor, critic, program.exploration_noise)


def init(nets: Networks, rng: jax.Array, state_size: int, action_size: int, goal_size: int) -> Agent:
    """A fresh agent. Consumes `rng`."""
    actor_key, critic_key = jax.random.split(rng)
    actor = nets.actor.init(actor_key, jnp.zeros((1, state_size + goal_size)))
    critic = twin_critics.init(nets.critic, critic_key, state_size + action_size + goal_size)
    targets = jax.tree.map(jnp.copy, (actor, critic))
    metrics = {"actor_loss": jnp.zeros(()), "actor_gradient_norm": jnp.zeros(())}
    moments = map(optimiser.begin, (actor, critic))
    return Agent(actor, critic, *targets, *moments, jnp.zeros((), jnp.int32), metrics)


# --- acting ------------------------------------------------------------------------------
def act_deterministic(nets: Networks, actor: dict, observation: jax.Array, age: jax.Array) -> jax.Array:
    """Action [N, A] for observations [N, S+G], at any age."""
    return jnp.tanh(nets.actor.apply(actor, observation))


def act(nets: Networks, actor: dict, observation: jax.Array, age: jax.Array, rng: jax.Array):
    """The same with Gaussian noise of standard deviation `exploration_noise`. Consumes `rng`."""
    action = act_deterministic(nets, actor, observation, age)
    noise = nets.exploration_noise * jax.random.normal(rng, action.shape)
    return jnp.clip(action + noise, -1.0, 1.0)


# --- losses ------------------------------------------------------------------------------
def target_values(nets: Networks, agent: Agent, batch: Transitions, noise, discount) -> jax.Array:
    """What the critics should say [B]: reward, and the successor's value by the targets at an action
    smoothed by standard normal `noise` [B, A]."""
    next_observation = jnp.concatenate([batch.next_state, batch.goal], -1)
    smoothing = jnp.clip(SMOOTHING_NOISE * noise, -SMOOTHING_CLIP, SMOOTHING_CLIP)
    action = jnp.tanh(nets.actor.apply(agent.actor_target, next_observation))
    action = jnp.clip(action + smoothing, -1.0, 1.0)
    value = twin_critics.smaller_value(nets.critic, agent.target, batch.next_state, action, batch.goal)
    return twin_critics.td_target(batch, value, discount)


def actor_loss(nets: Networks, actor: dict, critic: Twin, batch: Transitions) -> jax.Array:
    """Minus the mean value of the first critic, which is held fixed."""
    action = jnp.tanh(nets.actor.apply(actor, jnp.concatenate([batch.state, batch.goal], -1)))
    value = twin_critics.value(nets.critic, critic.first, batch.state, action, batch.goal)
    return -jnp.mean(value)


# --- one update --------------------------------------------------------------------------
def update(nets: Networks, agent: Agent, batch: Transitions, rng: jax.Array, hyper: Hyper):
    """One step of the critics, and at every second update, the first one too, of actor and targets
    -> agent, metrics (scalars; the actor's are those of its latest step). Consumes `rng`."""
    noise = jax.random.normal(rng, batch.action.shape)
    target = target_values(nets, agent, batch, noise, hyper.discount)
    (_, metrics), gradient = jax.value_and_grad(
        lambda critic: twin_critics.critic_loss(nets.critic, critic, batch, target), has_aux=True
    )(agent.critic)
    critic, critic_moments = optimiser.step_network(
        nets.actor.architecture,
        agent.critic,
        gradient,
        agent.critic_moments,
        hyper.critic_learning_rate,
        hyper,
    )
    agent = agent._replace(critic=critic, critic_moments=critic_moments, updates=agent.updates + 1)
    step = partial(_step_actor, nets, batch, hyper)
    agent = jax.lax.cond(agent.updates % POLICY_DELAY == 1, step, lambda agent: agent, agent)
    return agent, {
        **metrics,
        **agent.actor_metrics,
        "critic_gradient_norm": optax.tree.norm(gradient),
    }


def _step_actor(nets: Networks, batch: Transitions, hyper: Hyper, agent: Agent) -> Agent:
    loss, gradient = jax.value_and_grad(partial(actor_loss, nets))(agent.actor, agent.critic, batch)
    actor, moments = optimiser.step_network(
        nets.actor.architecture,
        agent.actor,
        gradient,
        agent.actor_moments,
        hyper.actor_learning_rate,
        hyper,
    )
    return agent._replace(
        actor=actor,
        actor_moments=moments,
        actor_target=twin_critics.toward(agent.actor_target, actor, hyper.polyak),
        target=twin_critics.toward(agent.target, agent.critic, hyper.polyak),
        actor_metrics={"actor_loss": loss, "actor_gradient_norm": optax.tree.norm(gradient)},
    )


def parameter_norms(agent: Agent) -> dict:
    """L2 norm of the actor's and of both critics' parameters, scalars."""
    return {
        "actor_parameter_norm": optax.tree.norm(agent.actor),
        "critic_parameter_norm": optax.tree.norm(agent.critic),
    }
