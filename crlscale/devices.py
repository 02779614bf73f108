"""Hours on a machine that is not this one, predicted: a small table of devices, and one model.

Rates are the makers' (dense, without sparsity); float32 matmuls of jax run there in TF32. What is
reached of them is calibrated on the published hours of arXiv 2503.14858 (ten tasks, depth 4 to 64,
width 256; means over tasks for width 256 to 4096), whose accelerator is taken to be an A100, as the
tables do not name it: 49 of the 50 within 10 %, all within 16 %; widths within 20 %. That is a fit
and no test: what an env step takes is what the hours of its task leave.
"""

from dataclasses import dataclass

from crlscale.config import RunConfig
from crlscale.cost import evaluation_env_steps, run_seconds
from crlscale.counts import layers_passed, update_flops
from crlscale.errors import CrlscaleError


@dataclass(frozen=True)
class Device:
    """Peak matmul rates [FLOP/s], memory bandwidth [bytes/s] and memory [bytes]. A CPU is one core
    of its kind, and `bandwidth` is None: crlscale.cost has its model."""

    title: str
    float32: float
    mixed: float
    bandwidth: float | None
    memory: float
    source: str


DEVICES = {
    "a100": Device(
        "NVIDIA A100 80 GB", 156e12, 312e12, 2.04e12, 80e9, "NVIDIA A100 datasheet (SXM, TF32, bf16)"
    ),
    "h100": Device(
        "NVIDIA H100 80 GB",
        494e12,
        989e12,
        3.35e12,
        80e9,
        "NVIDIA H100 datasheet (SXM, half of sparse)",
    ),
    "rtx-4090": Device(
        "NVIDIA RTX 4090", 82.6e12, 165e12, 1.01e12, 24e9, "NVIDIA Ada architecture whitepaper"
    ),
    "cpu": Device(
        "a core of an x86-64 server", 150e9, 150e9, None, 24e9, "matmul measured, docs/performance.md"
    ),
}

REACHED = 0.30  # of the matmul peak, wide layers
UPDATE_SECONDS = 3e-4  # what an update costs at any size
LAYER_SECONDS = 1.68e-5  # starting the kernels of one layer in one of the passes of an update
ELEMENT_BYTES = 40  # moved for one activation by LayerNorm, swish and their gradients
START_SECONDS = 120.0  # imports and compiling

# An env step of 512 in parallel, what remains of the published hours. Its mazes try every wall
# against every limb and ours do not, so this is an upper bound for mazes. Other devices are taken
# to be as quick: small kernels wait for their start, not for arithmetic.
STEP_SECONDS = {
    "humanoid": 15.5e-6,
    "humanoid_u_maze": 42e-6,
    "humanoid_big_maze": 75e-6,
    "ant_u4_maze": 32e-6,
    "ant_u5_maze": 40e-6,
    "ant_big_maze": 36e-6,
    "ant_hardest_maze": 53e-6,
    "arm_push_easy": 285e-6,
    "arm_push_hard": 275e-6,
    "arm_binpick_hard": 540e-6,
}
FAMILY_STEP_SECONDS = {"humanoid": 42e-6, "ant": 36e-6, "ant_push": 285e-6, "arm": 285e-6}
ENGINE_STEP_SECONDS = 15e-6  # other tasks of an engine
PURE_STEP_SECONDS = 1e-7  # tasks in pure JAX


def device_named(name: str) -> Device:
    """The device of the table; another name is a CrlscaleError that lists them."""
    if name not in DEVICES:
        raise CrlscaleError(
            f"--device {name}: not in the table; there are {', '.join(DEVICES)}",
            value=name,
            remedy="--device a100",
        )
    return DEVICES[name]


def seconds_on(device: Device, config: RunConfig) -> float:
    """Predicted seconds of one run alone on `device`, start and evaluations included."""
    if device.bandwidth is None:
        return run_seconds(config, rate=device.float32)
    steps = config.total_env_steps + evaluation_env_steps(config)
    return (
        START_SECONDS
        + config.total_updates * _update_seconds(device, config)
        + steps * _step_seconds(config)
    )


def _update_seconds(device: Device, config: RunConfig) -> float:
    peak = device.float32 if config.precision == "float32" else device.mixed
    layers = layers_passed(config)
    moved = layers * config.batch_size * config.width * ELEMENT_BYTES
    return (
        UPDATE_SECONDS
        + layers * LAYER_SECONDS
        + update_flops(config) / (REACHED * peak)
        + moved / device.bandwidth
    )


def _step_seconds(config: RunConfig) -> float:
    task = config.task
    if task.engine is None:
        return PURE_STEP_SECONDS
    family = FAMILY_STEP_SECONDS.get(task.family, ENGINE_STEP_SECONDS)
    return STEP_SECONDS.get(config.env, family)
