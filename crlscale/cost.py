"""What a run costs: parameters, FLOPs, bytes; and hours, as predicted for this machine.

Counts are exact (crlscale.counts); seconds and memory are fitted to runs and to this machine.
"""

from dataclasses import dataclass

import psutil

from crlscale.config import RunConfig
from crlscale.counts import (
    FLOAT,
    acting_parameters,
    actor_parameters,
    critic_parameters,
    decisions,
    layers_passed,
    pairs,
    replay_bytes,
    target_parameters,
    train_flops,
    trained_blocks,
    trained_parameters,
    update_flops,
)
from crlscale.machine import matmul_rate
from crlscale.survival_fields import survival_bins, survival_horizon

# Fitted to the updates of 14 shapes (`crlscale bench --parts update`) and to runs, on one core of an AMD
# EPYC; docs/performance.md has how well they fit. The matmul rates are those of the machine that plans.
BASE_BYTES = 1.0e9  # Python with jax and brax, and compiling
PHYSICS_BYTES = 0.5e9  # more for compiling an engine of brax
MATMUL_SHARE = 0.85  # of the matmul rate that products of layers reach
ELEMENT_SECONDS = 0.13e-9  # LayerNorm, swish and copies: each number of each layer passed,
ROW_SECONDS = 14.5e-9  # each row,
LAYER_SECONDS = 1.2e-6  # and each layer
PAIR_SECONDS = 3.5e-9  # logits of the B x B loss
SEARCH_SECONDS = 14e-9  # looking for a hit, each step of the horizon of each row
BIN_SECONDS = 32e-9  # likelihood and value from hazards, each bin of each row
PARAMETER_SECONDS = 3.1e-9  # Adam and norms, each parameter
UPDATE_SECONDS = 2e-5  # what an update costs at any size
START_SECONDS = 23.0  # imports and compilation of the first run of a shape
COMPILES = 3  # of the step of a physics task: in the epoch, the evaluation and the fingerprint
WARM_START_SECONDS = 4.0  # the same where an earlier run of the shape has left its programs
FILES_BYTES = 20e3  # schemas, footers, config, status and log of a run
METRICS_ROW_BYTES, GOALS_ROW_BYTES, BLOCKS_ROW_BYTES = 300, 30, 25


@dataclass(frozen=True)
class Cost:
    """One run: parameters, FLOPs and seconds of an update, bytes, seconds in all (predicted)."""

    actor_parameters: int
    critic_parameters: int
    update_flops: float
    train_flops: float
    memory_bytes: float
    seconds: float


def device_bytes(config: RunConfig, seeds: int = 1) -> float:
    """Predicted peak of what a program of `seeds` runs holds where it computes: parameters, Adam's
    moments and gradients, targets, activations, logits, the ring."""
    layers = max(config.actor_layers, config.critic_layers)  # whose products are kept, and blocks
    kept = layers * (1 + 1 / config.block_size) + 12 * config.block_size
    activations = FLOAT * config.batch_size * config.width * kept
    energies = 4 * FLOAT * pairs(config)
    held = FLOAT * (5 * trained_parameters(config) + target_parameters(config))
    networks = 2 + config.trajectory_negatives  # two at once, and the goal encoder for each negative
    return seeds * (held + networks * activations + energies + replay_bytes(config))


def host_bytes(config: RunConfig) -> float:
    """Predicted peak of the process itself, when it compiles; program size does not grow with depth."""
    return BASE_BYTES + (PHYSICS_BYTES if config.task.engine else 0.0)


def memory_bytes(config: RunConfig, seeds: int = 1) -> float:
    """Predicted peak memory of a program of `seeds` runs on a CPU, where host and device are one."""
    return host_bytes(config) + device_bytes(config, seeds)


def checkpoint_bytes(config: RunConfig, replay: bool = True) -> float:
    """A run's part of a checkpoint: parameters, Adam's moments, targets, and the ring if that is saved."""
    held = 3 * trained_parameters(config) + target_parameters(config)
    return FLOAT * held + (replay_bytes(config) if replay else 0)


def record_bytes(config: RunConfig) -> float:
    """What stays of a finished run: metrics, goals, norms by block, config, status, log."""
    cells, blocks = config.task.goal_cells or 0, trained_blocks(config)
    evaluations = config.evaluations + 1
    rows = METRICS_ROW_BYTES + cells * GOALS_ROW_BYTES + blocks * BLOCKS_ROW_BYTES
    return FILES_BYTES + evaluations * rows


def cost(config: RunConfig, seeds_per_program: int = 1) -> Cost:
    """Everything the plan prints of one run; seconds as predicted for this machine's cores."""
    return Cost(
        actor_parameters=actor_parameters(config),
        critic_parameters=critic_parameters(config),
        update_flops=update_flops(config),
        train_flops=train_flops(config),
        memory_bytes=memory_bytes(config, seeds_per_program),
        seconds=run_seconds(config),
    )


def evaluation_env_steps(config: RunConfig) -> int:
    """Env steps of all evaluations, if no episode ends early."""
    return (config.evaluations + 1) * config.eval_envs * config.episode_length


def start_seconds(config: RunConfig, warm: bool = False) -> float:
    """Predicted seconds of imports and compiling; `warm`: a run of its shape has left its compiled
    programs in the cache."""
    cold = START_SECONDS + COMPILES * config.task.compile_seconds
    return WARM_START_SECONDS if warm else cold


def work_seconds(config: RunConfig, rate: float | None = None) -> float:
    """Predicted seconds of training and evaluating one run alone on one core. `rate`: matmul rate
    [FLOP/s], None for that of this machine."""
    steps = config.total_env_steps + evaluation_env_steps(config)
    share = decisions(config) / config.total_env_steps
    acting = (
        share * acting_parameters(config) * 2 / (rate or matmul_rate(config.num_envs, config.width))
    )
    elements = share * config.actor_layers * config.width * 3 * ELEMENT_SECONDS
    updates = config.total_updates * update_seconds(config, rate)
    return updates + steps * (config.task.step_seconds + acting + elements)


def run_seconds(config: RunConfig, warm: bool = False, rate: float | None = None) -> float:
    """Predicted seconds of one run in a process of its own: its start and its work."""
    return start_seconds(config, warm) + work_seconds(config, rate)


def update_seconds(config: RunConfig, rate: float | None = None) -> float:
    """Predicted seconds of one update on one core of the given matmul rate, None for this machine's."""
    rows, width = config.batch_size, config.width
    return (
        UPDATE_SECONDS
        + _product_seconds(update_flops(config), rows, width, rate)
        + _layer_seconds(layers_passed(config), rows, width)
        + pairs(config) * PAIR_SECONDS
        + _event_seconds(config)
        + trained_parameters(config) * PARAMETER_SECONDS
    )


def _product_seconds(flops: float, rows: int, width: int, rate: float | None) -> float:
    return flops / (MATMUL_SHARE * (rate or matmul_rate(rows, width)))


def _layer_seconds(layers: float, rows: int, width: int) -> float:
    """What `layers` passed by `rows` rows cost beside their products."""
    return layers * (LAYER_SECONDS + rows * (ROW_SECONDS + width * ELEMENT_SECONDS))


def _event_seconds(config: RunConfig) -> float:
    """Of an update, for a method that learns when a goal is reached: what is no layer of width W."""
    if "survival_horizon" not in config.method.reads:
        return 0.0
    a_row = survival_horizon(config) * SEARCH_SECONDS + survival_bins(config) * BIN_SECONDS
    return config.batch_size * a_row


def free_memory() -> float:
    """Memory that new processes may use on this machine [bytes]."""
    return float(psutil.virtual_memory().available)
