"""Everything that a run calls, traced and compiled before it starts."""

import time
from typing import NamedTuple

import jax
import jax.numpy as jnp

from crlscale import hosts
from crlscale.config import RunConfig
from crlscale.envs.fingerprint import fingerprint
from crlscale.envs.registry import make_env
from crlscale.mesh import choose_mesh, describe
from crlscale.program import split
from crlscale.train import Tally, TrainState, make_trainer

FAST_COMPILE = {"xla_backend_optimization_level": 0}  # for what runs once: half the compile time


class Programs(NamedTuple):
    """The compiled programs of a Trainer, shapes and places of the (TrainState, Tally) that they carry,
    the seconds that tracing and compiling took, the fingerprint of the simulation, and what is recorded
    of the devices."""

    init: callable
    start_tally: callable
    epoch: callable
    summary: callable
    evaluate: callable
    blocks: callable
    carry: tuple[TrainState, Tally]
    seconds: float
    physics: dict
    devices: dict


def compile_programs(config: RunConfig, seeds: int) -> Programs:
    """Trace and compile everything that a run of Z = `seeds` seeds will call, on all devices that jax
    sees."""
    began = time.perf_counter()
    program, hyper = split(config)
    mesh = choose_mesh(jax.devices(), seeds, config.num_envs, config.batch_size, hosts.say)
    trainer = make_trainer(program, seeds, mesh=mesh)
    keys = jax.ShapeDtypeStruct((seeds, 2), jnp.uint32)
    state = jax.eval_shape(trainer.init, keys)
    tally = jax.eval_shape(trainer.start_tally, state)
    count = jax.ShapeDtypeStruct((), jnp.int32)
    programs = [
        trainer.init.lower(keys).compile(FAST_COMPILE),
        trainer.start_tally.lower(state).compile(),
        trainer.epoch.lower(hyper, state, tally, count, count).compile(),
        trainer.summary.lower(state, tally).compile(),
        trainer.evaluate.lower(state, keys).compile(),
        trainer.blocks.lower(hyper, state, keys).compile(),
    ]
    physics = fingerprint(make_env(program.task), FAST_COMPILE)
    carry = _placed(state, programs[0]), _placed(tally, programs[1])
    seconds = time.perf_counter() - began
    return Programs(*programs, carry=carry, seconds=seconds, physics=physics, devices=describe(mesh))


def _placed(shapes, program):
    """The shapes of what a compiled program returns, with where it lies."""

    def place(shape, sharding):
        return jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=sharding)

    return jax.tree.map(place, shapes, program.output_shardings)


class CompileOnce:
    """`compile_programs`, but programs of the same shape as the last ones are those, in 0 seconds."""

    def __init__(self):
        self._shape, self._programs = None, None

    def __call__(self, config: RunConfig, seeds: int) -> Programs:
        program, hyper = split(config)
        shape = (program, jax.tree.structure(hyper), seeds)  # a setting that is off is no leaf
        if self._shape == shape:
            return self._programs._replace(seconds=0.0)
        self._programs = None  # what is not needed any more makes room first
        self._programs = compile_programs(config, seeds)
        self._shape = shape
        return self._programs
