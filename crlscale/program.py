"""What forces a recompile (Program) and what does not (Hyper), visible in the types."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from crlscale.architecture import Architecture
from crlscale.config import RunConfig
from crlscale.envs.spec import TaskSpec
from crlscale.survival_fields import survival_bins, survival_horizon

NO_WINDOW = np.iinfo(np.int32).max


@dataclass(frozen=True)
class Program:
    """Static settings: runs with equal Programs share one compiled program."""

    task: TaskSpec
    reset: str
    agent: str
    energy: str
    contrastive_loss: str
    exploration_noise: float
    commanded_horizon: int | None
    chunk_length: int
    trajectory_negatives: int
    survival_horizon: int
    survival_bins: int
    censoring: str
    dwell_steps: int
    collector_depth: int | None
    actor_depth: int
    critic_depth: int
    architecture: Architecture
    representation_size: int
    batch_size: int
    num_envs: int
    unroll_length: int
    episode_length: int
    replay_rows: int
    replay_capacity: int
    replay_precision: str
    eval_envs: int


class Hyper(NamedTuple):
    """Traced settings, scalars: float32, but `hindsight_window` and `warmup_updates` int32. Without
    clipping `gradient_clip` is None, which is another program than any number."""

    discount: jax.Array
    hindsight_window: jax.Array
    actor_learning_rate: jax.Array
    critic_learning_rate: jax.Array
    alpha_learning_rate: jax.Array
    logsumexp_penalty: jax.Array
    target_entropy: jax.Array
    hindsight_share: jax.Array
    polyak: jax.Array
    survival_weights: jax.Array
    survival_bonus: jax.Array
    value_discount: jax.Array
    current_share: jax.Array
    random_share: jax.Array
    distance_weight: jax.Array
    hinge_weight: jax.Array
    occupancy_weight: jax.Array
    gradient_clip: jax.Array | None
    warmup_updates: jax.Array


def split(config: RunConfig) -> tuple[Program, Hyper]:
    """The static and the traced part of a config. The seed is in neither: it is the key of `init`."""
    program = Program(
        task=config.task,
        reset=config.reset,
        agent=config.agent,
        energy=config.energy,
        contrastive_loss=config.contrastive_loss,
        exploration_noise=config.exploration_noise,
        commanded_horizon=config.commanded_horizon,
        chunk_length=config.chunk_steps,
        trajectory_negatives=config.trajectory_negatives,
        survival_horizon=survival_horizon(config),
        survival_bins=survival_bins(config),
        censoring=config.censoring,
        dwell_steps=config.dwell_steps,
        collector_depth=config.collector_depth,
        actor_depth=config.actor_layers,
        critic_depth=config.critic_layers,
        architecture=config.architecture,
        representation_size=config.representation_size,
        batch_size=config.batch_size,
        num_envs=config.num_envs,
        unroll_length=config.unroll_length,
        episode_length=config.episode_length,
        replay_rows=config.replay_rows,
        replay_capacity=config.replay_capacity,
        replay_precision=config.replay_precision,
        eval_envs=config.eval_envs,
    )
    relabels = "hindsight_share" in config.method.reads
    hyper = Hyper(
        discount=jnp.float32(config.discount),
        hindsight_window=jnp.int32(config.hindsight_window or NO_WINDOW),
        actor_learning_rate=jnp.float32(config.actor_learning_rate),
        critic_learning_rate=jnp.float32(config.critic_learning_rate),
        alpha_learning_rate=jnp.float32(config.alpha_learning_rate),
        logsumexp_penalty=jnp.float32(config.logsumexp_penalty),
        target_entropy=jnp.float32(
            config.target_entropy * config.task.action_size * config.chunk_steps
        ),
        hindsight_share=jnp.float32(config.hindsight_share if relabels else 0.0),
        polyak=jnp.float32(config.polyak),
        survival_weights=jnp.float32(config.survival_weights),
        survival_bonus=jnp.float32(config.survival_bonus),
        value_discount=jnp.float32(config.value_discount),
        current_share=jnp.float32(config.current_share),
        random_share=jnp.float32(config.random_share),
        distance_weight=jnp.float32(config.distance_weight),
        hinge_weight=jnp.float32(config.hinge_weight),
        occupancy_weight=jnp.float32(config.occupancy_weight),
        gradient_clip=None if config.gradient_clip is None else jnp.float32(config.gradient_clip),
        warmup_updates=jnp.int32(config.warmup_updates),
    )
    return program, hyper
