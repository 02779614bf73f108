"""Everything that a run calls, compiled before it starts."""

import time
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.stages import Compiled

from crlscale import hosts
from crlscale.config import RunConfig
from crlscale.envs.fingerprint import fingerprint, trajectory
from crlscale.envs.registry import make_env
from crlscale.mesh import choose_mesh, describe
from crlscale.program import Hyper, Program, split
from crlscale.program_cache import Traced, kept_or_made
from crlscale.train import Tally, TrainState, make_trainer

FAST_COMPILE = {"xla_backend_optimization_level": 0}  # for what runs once: half the compile time


class Programs(NamedTuple):
    """The compiled programs of a Trainer, shapes and places of the (TrainState, Tally) that they carry,
    the seconds that all this took, the fingerprint of the simulation, and what is recorded
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
    """Everything that a run of Z = `seeds` seeds will call, on all devices that jax sees: traced and
    compiled, or as an earlier process of this machine left it."""
    began = time.perf_counter()
    program, hyper = split(config)
    mesh = choose_mesh(jax.devices(), seeds, config.num_envs, config.batch_size, hosts.say)
    made_from = program, str(jax.tree.structure(hyper)), seeds
    made = kept_or_made(made_from, lambda: _traced(program, hyper, seeds, mesh))
    physics = fingerprint(program.task, made.pop("physics")())
    carry = _placed(made["init"]), _placed(made["start_tally"])
    seconds = time.perf_counter() - began
    return Programs(**made, carry=carry, seconds=seconds, physics=physics, devices=describe(mesh))


def _traced(program: Program, hyper: Hyper, seeds: int, mesh: Mesh | None) -> Traced:
    trainer = make_trainer(program, seeds, mesh=mesh)
    keys = jax.ShapeDtypeStruct((seeds, 2), jnp.uint32)
    state = jax.eval_shape(trainer.init, keys)
    tally = jax.eval_shape(trainer.start_tally, state)
    count = jax.ShapeDtypeStruct((), jnp.int32)
    physics = jax.jit(partial(trajectory, make_env(program.task)))
    return {
        "init": (trainer.init.lower(keys), FAST_COMPILE),
        "start_tally": (trainer.start_tally.lower(state), None),
        "epoch": (trainer.epoch.lower(hyper, state, tally, count, count), None),
        "summary": (trainer.summary.lower(state, tally), None),
        "evaluate": (trainer.evaluate.lower(state, keys), None),
        "blocks": (trainer.blocks.lower(hyper, state, keys), None),
        "physics": (physics.lower(), FAST_COMPILE),
    }


def _placed(program: Compiled):
    """Shapes of what a compiled program returns, with where they lie."""

    def place(told):
        return jax.ShapeDtypeStruct(told.shape, told.dtype, sharding=told.sharding)

    return jax.tree.map(place, program.out_info)


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
