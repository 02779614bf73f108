"""The naive design's sides of the comparisons: see crlscale.bench.ours for what each job is."""

from functools import partial

import jax
import jax.numpy as jnp

from crlscale.bench import ours
from crlscale.bench.naive import phase as naive_phase
from crlscale.bench.naive import sampling
from crlscale.bench.naive.update import Design, Triples
from crlscale.bench.naive.walls import naive_env
from crlscale.bench.ratios import Side, by_cpu_time
from crlscale.config import RunConfig
from crlscale.envs import episode


def update(config: RunConfig) -> Side:
    """Updates on given batches, from the parameters that ours begins with."""
    design = Design(config)
    agent = jax.jit(design.begin)(ours.fresh_agent(config))

    def one(agent, batch, rng):
        return design.update(agent, Triples(*batch), rng)

    return ours.looped(one, agent, config)


def samples(num_envs: int, batch_size: int) -> Side:
    """All batches at once, of one window of every env."""
    return ours.called(*draw_samples(num_envs, batch_size))


def draw_samples(num_envs: int, batch_size: int) -> tuple:
    """-> function of a key, its program, compile seconds."""
    buffer = sampling.Buffer(ours.recorded(num_envs), jnp.int32(ours.STEPS))

    def draw(buffer, key):
        return sampling.sample(buffer, key, ours.STEPS, batch_size, 0.99)

    program, seconds = ours.compiled(jax.jit(draw), buffer, jax.random.PRNGKey(0))
    return partial(program, buffer), program, seconds


def phases(config: RunConfig, begins: tuple) -> Side:
    """Phases that begin with the parameters and recorded steps of ours (`begins`), and with envs that have
    just started."""
    agent, rows = begins
    env, design = naive_env(config.task), Design(config)
    begin = jax.jit(lambda key: episode.begin(env, key, config.num_envs, frozen=True))
    state = naive_phase.State(
        jax.jit(design.begin)(agent),
        begin(jax.random.PRNGKey(1)),
        sampling.Buffer(rows, jnp.int32(config.prefill_unrolls * config.unroll_length)),
        jax.random.PRNGKey(2),
    )
    program, seconds = ours.compiled(jax.jit(partial(naive_phase.phase, design, env)), state)
    carried = [state]

    def run(times):
        for _ in range(times):
            carried[0] = jax.block_until_ready(program(carried[0]))[0]

    return Side(by_cpu_time(run), seconds, ours.temporaries(program))
