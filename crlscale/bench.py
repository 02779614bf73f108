"""What this machine reaches: compile seconds and updates a second by depth and batch, beside the
float32 matmul rate of the same shapes measured in the same run; env steps a second by task."""

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from crlscale import device
from crlscale.config import RunConfig
from crlscale.envs.spec import TaskSpec
from crlscale.errors import CrlscaleError
from crlscale.files import replace_file
from crlscale.settings import make_config

MEASURED_SECONDS = 2.0  # of updates in each repeat
MEASURED_ENV_SECONDS = 1.0  # of env steps in each repeat
REPEATS = 3  # of which the fastest counts: other work on the machine only ever slows one down


@dataclass(frozen=True)
class Bench:
    """One shape. Rates by CPU time of the process, which other processes do not inflate; `share` is
    achieved dense FLOP/s by those of the bare matmul [batch, width] x [width, width]."""

    depth: int
    width: int
    batch_size: int
    trace_seconds: float
    compile_seconds: float
    program_kilobytes: float
    temporary_megabytes: float
    updates_per_second: float
    gigaflops: float
    matmul_gigaflops: float
    share: float


def bench(depths: list[int], batches: list[int], width: int, threads: int) -> list[Bench]:
    """Every depth with every batch size, on the default task; compiles without a cache."""
    device.prepare(threads)
    import jax

    jax.config.update("jax_enable_compilation_cache", False)
    rows = []
    for batch_size in batches:
        limit = _matmul_rate(batch_size, width)
        for depth in depths:
            config = make_config(_settings(depth, width, batch_size))
            rows.append(_bench(config, max(limit, _matmul_rate(batch_size, width))))
    return rows


@dataclass(frozen=True)
class EnvBench:
    """Env steps a second of one task with random actions, episodes restarting as in training."""

    env: str
    num_envs: int
    compile_seconds: float
    env_steps_per_second: float


def bench_envs(
    specs: list[TaskSpec], sizes: Sequence[int], threads: int, cached: bool = False
) -> Iterator[EnvBench]:
    """Every task with every number of parallel envs, each as soon as it is measured. `cached` takes
    compiled programs from the cache, so that `compile_seconds` are none."""
    device.prepare(threads)
    import jax

    jax.config.update("jax_enable_compilation_cache", cached)
    for spec in specs:
        for num_envs in sizes:
            yield _bench_env(spec, num_envs)


def _bench_env(spec: TaskSpec, num_envs: int) -> EnvBench:
    import jax
    import jax.numpy as jnp

    from crlscale.envs import episode
    from crlscale.envs.registry import make_env

    env = make_env(spec)
    # CPU time does not see what an accelerator does
    clock = time.process_time if jax.default_backend() == "cpu" else time.perf_counter

    def step(_, carry):
        episodes, key = carry
        key, action_key = jax.random.split(key)
        shape = (num_envs, env.action_size)
        action = jax.random.uniform(action_key, shape, minval=-1.0, maxval=1.0)
        return episode.advance(env, episodes, action, spec.episode_length)[0], key

    def timed(carry, steps: int):
        began = clock()
        carry = jax.block_until_ready(rollout(carry, jnp.int32(steps)))
        return carry, clock() - began

    carry = (jax.jit(lambda k: episode.begin(env, k, num_envs))(jax.random.PRNGKey(0)),
             jax.random.PRNGKey(1))  # fmt: skip
    began = clock()
    several = jax.jit(lambda carry, steps: jax.lax.fori_loop(0, steps, step, carry))
    rollout = several.lower(carry, jnp.int32(1)).compile()
    compile_seconds, steps, seconds = clock() - began, 1, 0.0
    while seconds < MEASURED_ENV_SECONDS / 4:  # also lets the bodies come down and some fall
        steps *= 2
        carry, seconds = timed(carry, steps)
    steps, best = max(1, round(steps * MEASURED_ENV_SECONDS / seconds)), float("inf")
    for _ in range(REPEATS):
        carry, seconds = timed(carry, steps)
        best = min(best, seconds)
    return EnvBench(spec.name, num_envs, compile_seconds, steps * num_envs / best)


@dataclass(frozen=True)
class Speed:
    """What this machine reached on one task: env steps a second by number of parallel envs, the day
    (ISO) of the last figure and the device."""

    rates: dict[int, float]
    day: str
    device: str


def known_speeds() -> dict[str, Speed]:
    """The figures that this machine remembers, by task; empty if there are none. No jax."""
    try:
        kept = json.loads(_speeds_file().read_text())
        return {
            task: Speed({int(n): float(r) for n, r in row["rates"].items()}, row["day"], row["device"])
            for task, row in kept.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # none, or a damaged file: measured again when wanted


def remember_speed(row: EnvBench) -> None:
    """Keep one figure for `known_speeds`; an older one of another device is forgotten."""
    known, here = known_speeds(), device.description()
    old = known.get(row.env)
    rates = {} if old is None or old.device != here else old.rates
    rates = {**rates, row.num_envs: row.env_steps_per_second}
    known[row.env] = Speed(rates, time.strftime("%Y-%m-%d"), here)
    with contextlib.suppress(CrlscaleError):  # a folder that refuses: measured again when wanted
        content = {task: asdict(speed) for task, speed in sorted(known.items())}
        replace_file(_speeds_file(), json.dumps(content, indent=1).encode())


def _speeds_file() -> Path:
    return device.cache_folder() / "env_speeds.json"


def _settings(depth: int, width: int, batch_size: int) -> dict:
    shape = {"depth": depth, "width": width, "batch_size": batch_size}
    return {**shape, "num_envs": 64, "unroll_length": 50, "prefill_steps": 50, "replay_capacity": 1000}


def _bench(config: RunConfig, limit: float) -> Bench:
    import jax
    import jax.numpy as jnp

    from crlscale.cost import update_flops
    from crlscale.program import split
    from crlscale.train import make_trainer

    program, hyper = split(config)
    trainer = make_trainer(program, 1)
    state = trainer.init(jax.random.PRNGKey(0)[None])
    tally = trainer.start_tally(state)
    began = time.process_time()
    lowered = trainer.epoch.lower(hyper, state, tally, jnp.int32(1), jnp.int32(1))
    traced = time.process_time()
    epoch = lowered.compile()
    compiled = time.process_time()
    state, tally = _timed(epoch, hyper, state, tally, 1)[:2]  # fills the replay, warms the caches
    state, tally, once = _timed(epoch, hyper, state, tally, 2)
    updates = max(2, int(2 * MEASURED_SECONDS / once))
    best = float("inf")
    for _ in range(REPEATS):
        state, tally, seconds = _timed(epoch, hyper, state, tally, updates)
        best = min(best, seconds / updates)
    rate = update_flops(config) / best
    return Bench(
        depth=config.depth,
        width=config.width,
        batch_size=config.batch_size,
        trace_seconds=traced - began,
        compile_seconds=compiled - traced,
        program_kilobytes=len(lowered.as_text()) / 1e3,
        temporary_megabytes=epoch.memory_analysis().temp_size_in_bytes / 1e6,
        updates_per_second=1 / best,
        gigaflops=rate / 1e9,
        matmul_gigaflops=limit / 1e9,
        share=rate / limit,
    )


def _timed(epoch, hyper, state, tally, updates: int):
    """One unroll (milliseconds) and `updates` updates -> state, tally, CPU seconds."""
    import jax
    import jax.numpy as jnp

    began = time.process_time()
    state, tally = jax.block_until_ready(epoch(hyper, state, tally, jnp.int32(1), jnp.int32(updates)))
    return state, tally, time.process_time() - began


def _matmul_rate(rows: int, width: int) -> float:
    """Dense FLOP/s of [rows, width] x [width, width] in float32, one after the other."""
    import jax
    import jax.numpy as jnp

    repeats = max(10, int(2e10 / (2 * rows * width**2)))
    weights = jnp.eye(width) * 0.5

    @jax.jit
    def chain(x):
        return jax.lax.fori_loop(0, repeats, lambda _, y: y @ weights + 1.0, x)

    x = jnp.ones((rows, width))
    jax.block_until_ready(chain(x))
    best = float("inf")
    for _ in range(REPEATS):
        began = time.process_time()
        jax.block_until_ready(chain(x))
        best = min(best, time.process_time() - began)
    return repeats * 2 * rows * width**2 / best
