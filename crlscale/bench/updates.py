"""Compile seconds and updates a second by depth and batch, beside the float32 matmul rate of the same
shapes measured in the same run."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from crlscale import machine
from crlscale.bench.ratios import REPEATS
from crlscale.config import RunConfig
from crlscale.settings import make_config

MEASURED_SECONDS = 2.0  # of updates in each repeat


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
    carried_megabytes: float
    updates_per_second: float
    gigaflops: float
    matmul_gigaflops: float
    share: float


def bench(depths: Sequence[int], batches: Sequence[int], width: int) -> Iterator[Bench]:
    """Every depth with every batch size, on the default task, each as soon as it is measured. The matmul
    rates are kept for the planner."""
    for batch_size in batches:
        limit = _matmul_rate(batch_size, width)
        for depth in depths:
            config = make_config(_settings(depth, width, batch_size))
            limit = max(limit, _matmul_rate(batch_size, width))
            yield _bench(config, limit)
        machine.keep_rate(batch_size, width, limit)


def _settings(depth: int, width: int, batch_size: int) -> dict:
    shape = {"depth": depth, "width": width, "batch_size": batch_size}
    return {**shape, "num_envs": 64, "unroll_length": 1, "prefill_steps": 50, "replay_capacity": 1000}


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
    state, tally = epoch(hyper, state, tally, jnp.int32(config.prefill_unrolls), jnp.int32(0))
    state, tally = _timed(epoch, hyper, state, tally, 1)[:2]  # warms the caches
    state, tally, once = _timed(epoch, hyper, state, tally, 2)
    updates = max(2, int(2 * MEASURED_SECONDS / once))
    best = float("inf")
    for _ in range(REPEATS):
        state, tally, seconds = _timed(epoch, hyper, state, tally, updates)
        best = min(best, seconds / updates)
    rate, memory = update_flops(config) / best, epoch.memory_analysis()
    return Bench(
        depth=config.depth,
        width=config.width,
        batch_size=config.batch_size,
        trace_seconds=traced - began,
        compile_seconds=compiled - traced,
        program_kilobytes=len(lowered.as_text()) / 1e3,
        temporary_megabytes=memory.temp_size_in_bytes / 1e6,
        carried_megabytes=memory.argument_size_in_bytes / 1e6,
        updates_per_second=1 / best,
        gigaflops=rate / 1e9,
        matmul_gigaflops=limit / 1e9,
        share=rate / limit,
    )


def _timed(epoch, hyper, state, tally, updates: int):
    """One step of every env, which takes far less than an update, and `updates` updates -> state, tally,
    CPU seconds."""
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
