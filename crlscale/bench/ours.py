"""Our sides of the comparisons: one update, the samples of a phase, a whole phase.

N envs, B batch, M batches, T steps.
"""

import time
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from crlscale import replay as ring
from crlscale.agents import crl
from crlscale.bench.ratios import Side, by_cpu_time
from crlscale.config import RunConfig
from crlscale.envs.episode import Step
from crlscale.envs.registry import task_spec
from crlscale.program import split
from crlscale.settings import make_config
from crlscale.train import make_trainer

PRECISIONS = ("float32", "mixed")
TASK = "ant"  # whose sizes the updates and samples have
STEPS = 1000  # of every env, from which is sampled
PHASE = {
    "num_envs": 64,
    "unroll_length": 62,
    "prefill_steps": 1000,
    "replay_capacity": 10_000,
    "updates_per_phase": 100,
}
GIVEN = 8  # batches that the updates go round


# --- one update --------------------------------------------------------------------------
def update_config(depth: int, width: int, batch_size: int, precision: str = "float32") -> RunConfig:
    shape = {"depth": depth, "width": width, "batch_size": batch_size}
    return make_config({"env": TASK, **shape, "precision": precision})


def update(config: RunConfig) -> Side:
    """Updates on given batches."""
    program, hyper = split(config)
    nets = crl.networks(program, config.task.action_size)

    def one(agent, batch, rng):
        steps = jnp.ones(config.batch_size, jnp.int32)  # what the update does not look at
        return crl.update(
            nets, agent, ring.Batch(*batch, steps, steps, steps.astype(jnp.int8)), rng, hyper
        )

    return looped(one, fresh_agent(config), config)


def fresh_agent(config: RunConfig) -> crl.Agent:
    task = config.task
    nets = crl.networks(split(config)[0], task.action_size)
    sizes = task.state_size, task.action_size, task.goal_size
    return jax.jit(lambda key: crl.init(nets, key, *sizes))(jax.random.PRNGKey(0))


def looped(one: Callable, agent, config: RunConfig) -> Side:
    """The update `one(agent, (state, action, goal), key)` -> agent, metrics in a compiled loop, as every
    design runs it, over batches of normal numbers; all metrics are kept, as training does."""
    keys = jax.random.split(jax.random.PRNGKey(1), 3)
    sizes = config.task.state_size, config.task.action_size, config.task.goal_size
    given = tuple(
        jax.random.normal(key, (GIVEN, config.batch_size, size))
        for key, size in zip(keys, sizes, strict=True)
    )
    key = jax.random.PRNGKey(2)
    shapes = jax.eval_shape(one, agent, tuple(x[0] for x in given), key)[1]
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

    def loop(agent, updates):
        def step(index, carry):
            agent, sums = carry
            batch = tuple(x[index % GIVEN] for x in given)
            agent, metrics = one(agent, batch, jax.random.fold_in(key, index))
            return agent, jax.tree.map(jnp.add, sums, metrics)

        return jax.lax.fori_loop(0, updates, step, (agent, zeros))

    program, seconds = compiled(jax.jit(loop), agent, jnp.int32(1))

    def run(times):
        jax.block_until_ready(program(agent, jnp.int32(times)))

    return Side(by_cpu_time(run), seconds, temporaries(program))


# --- the samples of a phase ----------------------------------------------------------------
def recorded(num_envs: int) -> Step:
    """A trajectory of STEPS of every env, normal numbers."""
    task, keys = task_spec(TASK), jax.random.split(jax.random.PRNGKey(0), 3)
    sizes = task.state_size, task.action_size, task.goal_size
    parts = [
        jax.random.normal(key, (STEPS, num_envs, size)) for key, size in zip(keys, sizes, strict=True)
    ]
    shape = (STEPS, num_envs)
    return Step(*parts, jnp.zeros(shape, jnp.int8), jnp.zeros(shape, jnp.int32))


def samples(num_envs: int, batch_size: int) -> Side:
    """As many batches as the recorded steps of all envs fill."""
    return called(*draw_samples(num_envs, batch_size))


def draw_samples(num_envs: int, batch_size: int) -> tuple:
    """-> function of a key that draws M batches one after the other, its program, compile seconds."""
    rows = recorded(num_envs)
    replay = ring.empty(jax.tree.map(lambda x: x[0], rows), STEPS)
    replay = ring.insert(replay, rows, jnp.int32(0))

    def draw(replay, key):
        one = partial(
            ring.sample,
            replay,
            batch_size=batch_size,
            time=jnp.int32(STEPS),
            capacity=STEPS,
            discount=jnp.float32(0.99),
            window=jnp.int32(STEPS),
        )
        return jax.lax.map(one, jax.random.split(key, num_envs * STEPS // batch_size))

    program, seconds = compiled(jax.jit(draw), replay, jax.random.PRNGKey(0))
    return partial(program, replay), program, seconds


def called(draw: Callable, program, seconds: float) -> Side:
    """A side that calls `draw` with one key after the other."""

    def run(times):
        for index in range(times):
            jax.block_until_ready(draw(jax.random.PRNGKey(index)))

    return Side(by_cpu_time(run), seconds, temporaries(program))


# --- a whole phase ---------------------------------------------------------------------------
def phase_config(
    env: str, depth: int, width: int, batch_size: int, precision: str = "float32"
) -> RunConfig:
    shape = {"depth": depth, "width": width, "batch_size": batch_size}
    return make_config({**PHASE, "env": env, **shape, "precision": precision})


def phases(config: RunConfig) -> tuple[Side, tuple]:
    """One unroll of every env and the updates that go with it, after the prefill -> side, and (agent, rows
    of the replay) with which it begins."""
    program, hyper = split(config)
    trainer = make_trainer(program, 1)
    state = trainer.init(jax.random.PRNGKey(0)[None])
    tally = trainer.start_tally(state)
    epoch, seconds = compiled(trainer.epoch, hyper, state, tally, jnp.int32(1), jnp.int32(1))
    updates = jnp.int32(config.updates)
    carried = [epoch(hyper, state, tally, jnp.int32(config.prefill_unrolls), jnp.int32(0))]
    begins = carried[0][0].agent, carried[0][0].replay.rows
    begins = jax.tree.map(lambda x: jnp.copy(x[0]), begins)

    def run(times):
        carried[0] = jax.block_until_ready(epoch(hyper, *carried[0], jnp.int32(times), updates))

    return Side(by_cpu_time(run), seconds, temporaries(epoch)), begins


# --- programs --------------------------------------------------------------------------------
def compiled(jitted, *arguments) -> tuple:
    """-> compiled program, seconds of CPU time to trace and compile it."""
    began = time.process_time()
    program = jitted.lower(*arguments).compile()
    return program, time.process_time() - began


def temporaries(program) -> int:
    return program.memory_analysis().temp_size_in_bytes
