"""What a run costs: parameters, FLOPs, bytes; and hours, as predicted for this machine.

Counts are exact and follow crlscale.networks; a test compares them with the arrays themselves.
S state, A action, G goal, R representation, W width, D depth, B batch.
"""

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache

import psutil

from crlscale.config import RunConfig
from crlscale.device import cache_folder

FLOAT = 4  # bytes

# Fitted on runs of the smoke, quick and laptop presets on two x86-64 cores and checked in
# docs/performance.md; the matmul rates are measured on the machine that plans.
BASE_BYTES = 1.0e9  # Python with jax and brax, and compiling
PHYSICS_BYTES = 0.5e9  # more for compiling an engine of brax
ELEMENT_SECONDS = 1.0e-9  # LayerNorm, swish and copies, each activation of each pass
PAIR_SECONDS = 9e-9  # logits of the B x B loss
PARAMETER_SECONDS = 2.5e-9  # Adam and norms, each parameter
UPDATE_SECONDS = 4e-4  # what an update costs at any size
START_SECONDS = 22.0  # imports and compilation of the first run of a shape
COMPILES = 3  # of the step of a physics task: in the epoch, the evaluation and the fingerprint
WARM_START_SECONDS = 10.0  # the same with compiled programs in the cache
FILES_BYTES = 20e3  # schemas, footers, config, status and log of a run
METRICS_ROW_BYTES, GOALS_ROW_BYTES = 300, 30
LARGEST_MEASURED = 2048  # rows and width of a matmul; larger ones are as quick


@dataclass(frozen=True)
class Cost:
    """One run: parameters, FLOPs and seconds of an update, bytes, seconds in all (predicted)."""

    actor_parameters: int
    critic_parameters: int
    update_flops: float
    train_flops: float
    memory_bytes: float
    seconds: float


def actor_parameters(config: RunConfig) -> int:
    """Weights and biases of the actor."""
    task = config.task
    trunk = config.architecture.trunk_parameters(task.state_size + task.goal_size, config.actor_layers)
    return trunk + 2 * (config.width + 1) * task.action_size


def critic_parameters(config: RunConfig) -> int:
    """Weights and biases of both critic encoders."""
    task = config.task
    inputs = (task.state_size + task.action_size, task.goal_size)
    head = (config.width + 1) * config.representation_size
    return sum(config.architecture.trunk_parameters(n, config.critic_layers) + head for n in inputs)


def update_flops(config: RunConfig) -> float:
    """Dense FLOPs of one update: each of its 11 forward-equivalents counted by the layers it really
    has, plus the B x B energies. Recomputation under checkpointing is not counted."""
    task, layers, out = config.task, config.critic_layers, config.representation_size
    batch = config.batch_size
    actor = _forward(
        config, task.state_size + task.goal_size, config.actor_layers, 2 * task.action_size
    )
    state_action = _forward(config, task.state_size + task.action_size, layers, out)
    goal = _forward(config, task.goal_size, layers, out)
    energies = 3 * 2 * batch * out
    return batch * (3 * actor + (3 + 2) * state_action + 3 * goal + energies)


def train_flops(config: RunConfig) -> float:
    """Dense FLOPs of all updates and of acting in the envs; evaluation is not counted."""
    task = config.task
    acting = _forward(
        config, task.state_size + task.goal_size, config.actor_layers, 2 * task.action_size
    )
    return config.total_updates * update_flops(config) + config.total_env_steps * acting


def replay_bytes(config: RunConfig) -> int:
    """Bytes of the ring buffer: state, action, reached goal, ending and two int32 a row."""
    task = config.task
    row = FLOAT * (task.state_size + task.action_size + task.goal_size) + 1 + 2 * 4
    return config.replay_rows * config.num_envs * row


def device_bytes(config: RunConfig, seeds: int = 1) -> float:
    """Predicted peak of what a program of `seeds` runs holds where it computes: parameters, Adam's
    moments and gradients, activations, logits, the ring."""
    parameters = actor_parameters(config) + critic_parameters(config)
    blocks = max(config.actor_layers, config.critic_layers) / config.block_size
    activations = FLOAT * config.batch_size * config.width * (3 * blocks + 12 * config.block_size)
    pairs = 4 * FLOAT * config.batch_size**2
    return seeds * (5 * FLOAT * parameters + 2 * activations + pairs + replay_bytes(config))


def host_bytes(config: RunConfig) -> float:
    """Predicted peak of the process itself, when it compiles; program size does not grow with depth."""
    return BASE_BYTES + (PHYSICS_BYTES if config.task.engine else 0.0)


def memory_bytes(config: RunConfig, seeds: int = 1) -> float:
    """Predicted peak memory of a program of `seeds` runs on a CPU, where host and device are one."""
    return host_bytes(config) + device_bytes(config, seeds)


def checkpoint_bytes(config: RunConfig, replay: bool = True) -> float:
    """A run's part of a checkpoint: parameters, Adam's moments, and the ring if that is saved."""
    parameters = actor_parameters(config) + critic_parameters(config)
    return 3 * FLOAT * parameters + (replay_bytes(config) if replay else 0)


def record_bytes(config: RunConfig) -> float:
    """What stays of a finished run: metrics, goals, config, status, log."""
    cells = config.task.goal_cells or 0
    evaluations = config.evaluations + 1
    return FILES_BYTES + evaluations * (METRICS_ROW_BYTES + cells * GOALS_ROW_BYTES)


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
    acting = actor_parameters(config) * 2 / (rate or _rate(config.num_envs, config.width))
    elements = config.actor_layers * config.width * 3 * ELEMENT_SECONDS
    updates = config.total_updates * update_seconds(config, rate)
    return updates + steps * (config.task.step_seconds + acting + elements)


def run_seconds(config: RunConfig, warm: bool = False, rate: float | None = None) -> float:
    """Predicted seconds of one run in a process of its own: its start and its work."""
    return start_seconds(config, warm) + work_seconds(config, rate)


def update_seconds(config: RunConfig, rate: float | None = None) -> float:
    """Predicted seconds of one update on one core of the given matmul rate, None for this machine's."""
    layers = 3 * (config.actor_layers + 1) + 8 * (config.critic_layers + 1)
    elements = layers * config.batch_size * config.width
    parameters = actor_parameters(config) + critic_parameters(config)
    return (
        UPDATE_SECONDS
        + update_flops(config) / (rate or _rate(config.batch_size, config.width))
        + elements * ELEMENT_SECONDS
        + config.batch_size**2 * PAIR_SECONDS
        + parameters * PARAMETER_SECONDS
    )


def free_memory() -> float:
    """Memory that new processes may use on this machine [bytes]."""
    return float(psutil.virtual_memory().available)


# --- this machine --------------------------------------------------------------------------
def _rate(rows: int, width: int) -> float:
    return _rate_of(min(rows, LARGEST_MEASURED), min(width, LARGEST_MEASURED))


@cache
def _rate_of(rows: int, width: int) -> float:
    """float32 matmul rate of one core for [rows, width] x [width, width], FLOP/s; measured once
    and kept beside the compiled programs."""
    path = cache_folder() / "matmul.json"
    try:
        known = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError):
        known = {}
    key = f"{rows}x{width}"
    if key not in known:
        known[key] = _measure_rate(rows, width)
        with contextlib.suppress(OSError):  # without the file the next plan measures again
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(known))
    return known[key]


def _measure_rate(rows: int, width: int) -> float:
    """In a process of its own, whose BLAS is told to use one thread: more threads wait for each
    other in a spin that looks like work."""
    one_thread = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    printed = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(rows), str(width)],
        env={**os.environ, **one_thread},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return float(printed)


# CPU time counts, not wall time, so that a busy machine does not look slow.
_MEASURE = """
import sys, time
import numpy as np
rows, width = map(int, sys.argv[1:])
x, w = np.ones((rows, width), np.float32), np.ones((width, width), np.float32)
flops, best = 2.0 * rows * width * width, 0.0
repeats = max(1, int(2e8 / flops))
for _ in range(5):
    began = time.process_time()
    for _ in range(repeats):
        x @ w
    best = max(best, flops * repeats / max(1e-9, time.process_time() - began))
print(best)
"""


def _forward(config: RunConfig, inputs: int, depth: int, outputs: int) -> float:
    """FLOPs of one network for one row."""
    return 2.0 * config.width * (inputs + depth * config.width + outputs)
