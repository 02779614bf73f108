"""ant_push: an ant in a walled yard, whose way to the goals is blocked by a box that it can push.

Lengths in m. Yard, densities and solver settings are those of the public task; the published step,
5 sub-steps of 0.01 s, is also the one that is meant. Its box of 0.2 g on three undamped slides is
beyond what MuJoCo integrates (not finite after 0.06 s); here a box of 1 kg slides just over the
floor, in x and y only and with damping, so a push moves it and it stops by itself.
"""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from brax.envs.base import State

from crlscale.envs.ant import FRICTION, START_NOISE, Ant
from crlscale.envs.physics import PhysicsEnv
from crlscale.envs.scene import compile_scene, robot
from crlscale.envs.spec import TaskSpec

GOALS = ((16.0, 8.0), (8.0, 16.0))  # lower corners of the squares in which goals lie
GOAL_SIDE = 2.0
# centres and half-lengths [x, y] of the blocks round the yard, each 4 high
BLOCKS = (
    ((-4, 20), (8, 8)),
    ((8, 24), (4, 4)),
    ((20, 20), (8, 8)),
    ((-8, 4), (4, 8)),
    ((24, 8), (4, 4)),
    ((20, -4), (8, 8)),
    ((0, -8), (12, 4)),
)
BLOCK_HALF_HEIGHT = 2.0
BOX_PLACE, BOX_HALF = (8.0, 8.0, 1.81), (3.6, 3.6, 1.8)
BOX_MASS, BOX_DAMPING = 1.0, 2.0  # [kg], [N s/m]
ANT_BIT, BOX_BIT = 1, 2  # contype: of what touches floor, blocks and box; of what touches blocks
START_Q = (0.0, 0.0, 0.75, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, -1.0, 0.0, -1.0, 0.0, 1.0)
DENSITY = 40.0
IMPEDANCE = (0.995, 0.995, 0.01, 0.5, 2.0)  # MuJoCo's solimp


class AntPush(Ant):
    """State (S = 31): that of the ant, then x, y of the box. The box slides without turning."""

    def __init__(self, spec: TaskSpec):
        init_q = [*START_Q, 0.0, 0.0]
        PhysicsEnv.__init__(self, spec, compile_scene(push_scene(spec), spec.engine, init_q))

    def sample_goal(self, rng: jax.Array) -> jax.Array:
        """A point of one of the two squares; the single goal is the centre of the first."""
        if self.spec.options.goals == "single":
            return jnp.array(GOALS[0]) + GOAL_SIDE / 2
        side_key, place_key = jax.random.split(rng)
        corner = jnp.array(GOALS)[jax.random.randint(side_key, (), 0, len(GOALS))]
        return corner + GOAL_SIDE * jax.random.uniform(place_key, (2,))

    def start(self, rng: jax.Array, goal: jax.Array) -> State:
        ant_key, box_key = jax.random.split(rng)
        q, qd = self._stand(ant_key, jnp.zeros(2))
        box = jax.random.uniform(box_key, (2,), minval=-START_NOISE, maxval=START_NOISE)
        return self._start_at(jnp.append(q, box), jnp.append(qd, jnp.zeros(2)), goal)

    def _read(self, physics, controls: jax.Array) -> jax.Array:
        box = physics.q[15:17] + jnp.array(BOX_PLACE[:2])
        return jnp.append(super()._read(physics, controls), box)


def push_scene(spec: TaskSpec) -> mujoco.MjSpec:
    """The ant, heavier and softer than elsewhere, among the blocks, with the box."""
    scene = robot("ant")
    option = scene.option
    option.solver = mujoco.mjtSolver.mjSOL_NEWTON
    option.disableflags |= mujoco.mjtDisableBit.mjDSBL_EULERDAMP
    option.iterations, option.ls_iterations = 4, 8
    scene.geom("torso_geom").contype = ANT_BIT
    for geom in scene.geoms:
        geom.density, geom.solimp = DENSITY, IMPEDANCE
    for (x, y), (half_x, half_y) in BLOCKS:
        size = (half_x, half_y, BLOCK_HALF_HEIGHT)
        _add_box(scene.worldbody, (x, y, BLOCK_HALF_HEIGHT), size, 0, ANT_BIT | BOX_BIT)
    box = scene.worldbody.add_body(name="box", pos=BOX_PLACE)
    for name, axis in (("box_x", (1, 0, 0)), ("box_y", (0, 1, 0))):
        joint = box.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=axis)
        joint.limited, joint.armature = False, 0.0
        # mujoco 4: the coefficients of a polynomial
        joint.damping = [BOX_DAMPING, 0, 0] if np.ndim(joint.damping) else BOX_DAMPING
    _add_box(box, (0, 0, 0), BOX_HALF, BOX_BIT, ANT_BIT, mass=BOX_MASS)
    sliding = FRICTION if spec.options.friction is None else spec.options.friction
    for geom in scene.geoms:
        geom.friction = (sliding, 0.5, 0.5)
    return scene


def _add_box(body: mujoco.MjsBody, pos, half, contype: int, conaffinity: int, **more) -> None:
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=pos,
        size=half,
        contype=contype,
        conaffinity=conaffinity,
        condim=3,
        solimp=IMPEDANCE,
        **more,
    )
