"""Env steps a second by task, with random actions."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from crlscale import device
from crlscale.bench.ratios import REPEATS
from crlscale.envs.spec import TaskSpec

MEASURED_SECONDS = 1.0  # of env steps in each repeat


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
    while seconds < MEASURED_SECONDS / 4:  # also lets the bodies come down and some fall
        steps *= 2
        carry, seconds = timed(carry, steps)
    steps, best = max(1, round(steps * MEASURED_SECONDS / seconds)), float("inf")
    for _ in range(REPEATS):
        carry, seconds = timed(carry, steps)
        best = min(best, seconds)
    return EnvBench(spec.name, num_envs, compile_seconds, steps * num_envs / best)
