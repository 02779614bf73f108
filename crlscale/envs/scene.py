"""Scenes: robots of installed packages, composed with what a task adds, as brax Systems.

Nothing is read but package data, so a scene loads from any working directory without a download.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.resources import files

import jax
import mujoco
import numpy as np
from brax.base import System
from brax.io import mjcf

from crlscale.envs.spec import Engine

# Bits of MuJoCo's contype and conaffinity. The robots' own masks use the lowest one.
WALL_BIT, BALL_BIT = 2, 4


@contextmanager
def brax_arrays() -> Iterator[None]:
    """Let dtypes and ranks promote while brax computes or is traced: its own code needs that."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def robot(name: str) -> mujoco.MjSpec:
    """The editable model of a robot that brax ships: ant, humanoid, half_cheetah, reacher, pusher."""
    text = (files("brax.envs") / "assets" / f"{name}.xml").read_text()
    # MuJoCo deprecates this attribute, and writes a log into the working directory where it is used
    total = re.search(r' settotalmass="([\d.]+)"', text)
    if total is None:
        return mujoco.MjSpec.from_string(text)
    scene = mujoco.MjSpec.from_string(text.replace(total[0], ""))
    scale = float(total[1]) / scene.compile().body_mass.sum()
    for geom in scene.geoms:
        geom.density *= scale
    return scene


def compile_scene(scene: mujoco.MjSpec, engine: Engine, init_q: list[float] | None = None) -> System:
    """The brax System of a scene with the sub-step of `engine`; static bodies are fused, which brax
    needs. `init_q` [Q] replaces the model's initial positions, where bodies were added or removed."""
    scene.compiler.fusestatic = True
    scene.option.timestep = engine.time_step
    if init_q is not None:
        set_numeric(scene, "init_qpos", init_q)
    with brax_arrays():
        return mjcf.load_model(scene.compile())


def set_numeric(scene: mujoco.MjSpec, name: str, values: Iterable[float]) -> None:
    """Replace the values of brax's custom parameter `name`, where the scene has it."""
    values = [float(value) for value in values]
    for numeric in scene.numerics:
        if numeric.name == name:
            numeric.data, numeric.size = values, len(values)


def set_gears(scene: mujoco.MjSpec, gears: Iterable[float]) -> None:
    """Replace the gears of all actuators, in their order."""
    for actuator, gear in zip(scene.actuators, gears, strict=True):
        actuator.gear = np.array([gear, 0, 0, 0, 0, 0], np.float64)


def set_friction(scene: mujoco.MjSpec, sliding: float | None) -> None:
    """Replace the sliding friction of every geom that the scene has now, unless it is None."""
    for geom in scene.geoms if sliding is not None else ():
        geom.friction = np.array([sliding, *geom.friction[1:]], np.float64)


def quick_solver(scene: mujoco.MjSpec) -> None:
    """The settings of MJX's solver with which brax's own environments run."""
    scene.option.solver = mujoco.mjtSolver.mjSOL_NEWTON
    scene.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_EULERDAMP
    scene.option.iterations, scene.option.ls_iterations = 1, 4


def meet(scene: mujoco.MjSpec, names: Iterable[str], bit: int) -> None:
    """Let the geoms `names` collide with whatever has `bit` in its contype."""
    for name in names:
        scene.geom(name).conaffinity |= bit


def add_walls(
    scene: mujoco.MjSpec, walls: np.ndarray, cell: float, height: float, friction: float
) -> None:
    """A box on the floor for every true cell of `walls`, bool [rows, columns]: cell (r, c) is centred
    at x = r `cell`, y = c `cell` [m]. Collides with geoms that `meet` WALL_BIT, with nothing else.

    Every box is tested against every such geom: the reference for, and slower than, MazeWalls."""
    for r, c in np.argwhere(walls).tolist():
        scene.worldbody.add_geom(
            name=f"wall_{r}_{c}",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            pos=[r * cell, c * cell, height / 2],
            size=[cell / 2, cell / 2, height / 2],
            contype=WALL_BIT,
            conaffinity=0,
            condim=3,
            friction=[friction, 0.5, 0.5],
            rgba=[0.7, 0.5, 0.3, 1.0],
        )
