"""Scenes: robots of installed packages, composed with what a task adds, as brax Systems.

Nothing is read but package data, so a scene loads from any working directory without a download.
"""

from importlib.resources import as_file, files

import mujoco
from brax.base import System
from brax.io import mjcf

from crlscale.envs.spec import Engine


def robot(name: str) -> mujoco.MjSpec:
    """The editable model of a robot that brax ships: ant, humanoid, half_cheetah, reacher, pusher."""
    with as_file(files("brax.envs") / "assets" / f"{name}.xml") as path:
        return mujoco.MjSpec.from_file(str(path))


def compile_scene(scene: mujoco.MjSpec, engine: Engine, init_q: list[float] | None = None) -> System:
    """The brax System of a scene with the sub-step of `engine`; static bodies are fused, which brax
    needs. `init_q` [Q] replaces the model's initial positions, where bodies were added or removed."""
    scene.compiler.fusestatic = True
    scene.option.timestep = engine.time_step
    for numeric in scene.numerics if init_q is not None else ():
        if numeric.name == "init_qpos":
            numeric.data, numeric.size = list(init_q), len(init_q)
    return mjcf.load_model(scene.compile())
