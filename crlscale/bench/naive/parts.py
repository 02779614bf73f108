"""Ours beside the naive design: one update, the samples of a phase, a whole phase.

N envs, B batch, M batches, T steps. Both sides of a pair start from the same parameters and the same
recorded steps.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial

import jax
import jax.numpy as jnp

from crlscale import replay as ring
from crlscale.agents import crl
from crlscale.bench.naive import phase as naive_phase
from crlscale.bench.naive import sampling
from crlscale.bench.naive.update import Design, Triples
from crlscale.bench.naive.walls import naive_env
from crlscale.bench.ratios import Job, Ratio, Side, compare
from crlscale.config import RunConfig
from crlscale.envs import episode
from crlscale.envs.registry import task_spec
from crlscale.program import split
from crlscale.settings import make_config
from crlscale.train import make_trainer

PRECISIONS = ("float32", "mixed")
STEPS, SAMPLED_ENVS = 1000, (64, 256)  # of the sampler
PHASE = {"num_envs": 64, "unroll_length": 62, "prefill_steps": 1000, "replay_capacity": 10_000}
PHASE_UPDATES = 100
GIVEN = 8  # batches that the updates go round


# --- one update --------------------------------------------------------------------------
def update(depth: int, width: int, batch_size: int, rounds: int) -> list[Ratio]:
    """An update of sizes as on ant, on given batches."""
    settings = {"env": "ant", "depth": depth, "width": width, "batch_size": batch_size}
    configs = {p: make_config({**settings, "precision": p}) for p in PRECISIONS}
    plain = configs["float32"]
    given = _given(plain)
    design = Design(plain)
    theirs = _looped(design.update, jax.jit(design.begin)(_agent(plain)), given)
    ours = {p: _our_update(config, given) for p, config in configs.items()}
    return compare(Job("update", None, depth, width, batch_size), "naive", ours, theirs, rounds)


def _our_update(config: RunConfig, given: Triples) -> Side:
    program, hyper = split(config)
    nets = crl.networks(program, config.task.action_size)

    def update(agent, batch, rng):
        steps = jnp.ones(len(batch.state), jnp.int32)  # what the update does not look at
        whole = ring.Batch(*batch, steps, steps, steps.astype(jnp.int8))
        return crl.update(nets, agent, whole, rng, hyper)

    return _looped(update, _agent(config), given)


def _agent(config: RunConfig) -> crl.Agent:
    task = config.task
    nets = crl.networks(split(config)[0], task.action_size)
    sizes = task.state_size, task.action_size, task.goal_size
    return jax.jit(lambda key: crl.init(nets, key, *sizes))(jax.random.PRNGKey(0))


def _given(config: RunConfig) -> Triples:
    """GIVEN batches of normal numbers."""
    task, keys = config.task, jax.random.split(jax.random.PRNGKey(1), 3)
    sizes = task.state_size, task.action_size, task.goal_size
    return Triples(
        *[
            jax.random.normal(key, (GIVEN, config.batch_size, size))
            for key, size in zip(keys, sizes, strict=True)
        ]
    )


def _looped(update: Callable, agent, given: Triples) -> Side:
    """`update` in a compiled loop, as both designs run it; all metrics are kept, as training does."""
    batch = jax.tree.map(lambda x: x[0], given)
    key = jax.random.PRNGKey(2)
    shapes = jax.eval_shape(update, agent, batch, key)[1]
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

    def loop(agent, sums, updates):
        def one(index, carry):
            agent, sums = carry
            batch = jax.tree.map(lambda x: x[index % GIVEN], given)
            agent, metrics = update(agent, batch, jax.random.fold_in(key, index))
            return agent, jax.tree.map(jnp.add, sums, metrics)

        return jax.lax.fori_loop(0, updates, one, (agent, sums))

    program, seconds = _compiled(jax.jit(loop), agent, zeros, jnp.int32(1))
    return Side(lambda times: jax.block_until_ready(program(agent, zeros, jnp.int32(times))),
                seconds, _temporary(program))  # fmt: skip


# --- the samples of a phase ----------------------------------------------------------------
def sampler(num_envs: int, batch_size: int, rounds: int, steps: int = STEPS) -> list[Ratio]:
    """As many batches as the recorded steps of all envs fill, of trajectories of `steps`."""
    rows = _recorded(num_envs, steps)
    batches = num_envs * steps // batch_size
    ours = our_samples(rows, batches, batch_size)
    theirs = naive_samples(rows, batch_size)
    job = Job("sampler", batch_size=batch_size, num_envs=num_envs)
    return compare(job, "naive", {"float32": _called(ours)}, _called(theirs), rounds)


def our_samples(rows: episode.Step, batches: int, batch_size: int) -> tuple:
    """-> program of a key that draws M batches one after the other, its compile seconds."""
    steps = len(rows.episode)
    replay = ring.insert(ring.empty(jax.tree.map(lambda x: x[0], rows), steps), rows, jnp.int32(0))

    def draw(replay, key):
        one = partial(
            ring.sample,
            replay,
            batch_size=batch_size,
            time=jnp.int32(steps),
            capacity=steps,
            discount=jnp.float32(0.99),
            window=jnp.int32(steps),
        )
        return jax.lax.map(one, jax.random.split(key, batches))

    program, seconds = _compiled(jax.jit(draw), replay, jax.random.PRNGKey(0))
    return partial(program, replay), seconds, program


def naive_samples(rows: episode.Step, batch_size: int) -> tuple:
    """The same of the naive design: all batches at once."""
    steps = len(rows.episode)
    buffer = sampling.Buffer(rows, jnp.int32(steps))

    def draw(buffer, key):
        return sampling.sample(buffer, key, steps, batch_size, 0.99)

    program, seconds = _compiled(jax.jit(draw), buffer, jax.random.PRNGKey(0))
    return partial(program, buffer), seconds, program


def _called(made: tuple) -> Side:
    draw, seconds, program = made

    def run(times):
        for index in range(times):
            jax.block_until_ready(draw(jax.random.PRNGKey(index)))

    return Side(run, seconds, _temporary(program))


def _recorded(num_envs: int, steps: int) -> episode.Step:
    """One trajectory of `steps` of every env, of the sizes of ant."""
    task, keys = task_spec("ant"), jax.random.split(jax.random.PRNGKey(0), 3)
    sizes = task.state_size, task.action_size, task.goal_size
    parts = [
        jax.random.normal(key, (steps, num_envs, size)) for key, size in zip(keys, sizes, strict=True)
    ]
    shape = (steps, num_envs)
    return episode.Step(*parts, jnp.zeros(shape, jnp.int8), jnp.zeros(shape, jnp.int32))


# --- a whole phase ---------------------------------------------------------------------------
def phase(env: str, depth: int, width: int, batch_size: int, rounds: int, **other) -> list[Ratio]:
    """One unroll of every env and the updates that go with it, just after the prefill. `other` settings
    replace those of PHASE."""
    settings = {**PHASE, "updates_per_phase": PHASE_UPDATES, "env": env, "depth": depth}
    settings |= {"width": width, "batch_size": batch_size, **other}
    configs = {p: make_config({**settings, "precision": p}) for p in PRECISIONS}
    ours, states = {}, {}
    for precision, config in configs.items():
        ours[precision], states[precision] = _our_phases(config)
    theirs = _naive_phases(configs["float32"], states["float32"])
    job = Job("phase", env, depth, width, batch_size, configs["float32"].num_envs)
    return compare(job, "naive", ours, theirs, rounds, least=0.0)


def _our_phases(config: RunConfig) -> tuple[Side, dict]:
    """-> side, and what the naive side begins with: parameters and recorded steps."""
    program, hyper = split(config)
    trainer = make_trainer(program, 1)
    state = trainer.init(jax.random.PRNGKey(0)[None])
    tally = trainer.start_tally(state)
    arguments = hyper, state, tally, jnp.int32(1), jnp.int32(1)
    epoch, seconds = _compiled(trainer.epoch, *arguments)
    unrolls, updates = jnp.int32(config.prefill_unrolls), jnp.int32(config.updates)
    carried = [epoch(hyper, state, tally, unrolls, jnp.int32(0))]
    first = jax.tree.map(lambda x: jnp.copy(x[0]), (carried[0][0].agent, carried[0][0].replay.rows))

    def run(times):
        carried[0] = jax.block_until_ready(epoch(hyper, *carried[0], jnp.int32(times), updates))

    return Side(run, seconds, _temporary(epoch)), first


def _naive_phases(config: RunConfig, first: tuple) -> Side:
    agent, rows = first
    env, design = naive_env(config.task), Design(config)
    begin = jax.jit(lambda key: episode.begin(env, key, config.num_envs, frozen=True))
    filled = jnp.int32(config.prefill_unrolls * config.unroll_length)
    state = naive_phase.State(
        jax.jit(design.begin)(agent),
        begin(jax.random.PRNGKey(1)),
        sampling.Buffer(rows, filled),
        jax.random.PRNGKey(2),
    )
    program, seconds = _compiled(jax.jit(partial(naive_phase.phase, design, env)), state)
    carried = [state]

    def run(times):
        for _ in range(times):
            carried[0] = jax.block_until_ready(program(carried[0]))[0]

    return Side(run, seconds, _temporary(program))


# --- shared ------------------------------------------------------------------------------------
def _compiled(jitted, *arguments) -> tuple:
    """-> compiled program, seconds of CPU time to trace and compile it."""
    began = time.process_time()
    program = jitted.lower(*arguments).compile()
    return program, time.process_time() - began


def _temporary(program) -> int:
    return program.memory_analysis().temp_size_in_bytes


def ratios(
    parts: list[str], depths: list[int], batches: list[int], width: int, envs: list[str], rounds: int
) -> Iterator[list[Ratio]]:
    """The ratios of every job of `parts`, as each is measured. Phases have the smallest depth and batch."""
    for part in parts:
        if part == "update":
            for batch_size in batches:
                for depth in depths:
                    yield update(depth, width, batch_size, rounds)
        elif part == "sampler":
            for num_envs in SAMPLED_ENVS:
                yield sampler(num_envs, min(batches), rounds)
        else:
            for env in envs:
                yield phase(env, min(depths), width, min(batches), rounds)
