"""reacher: a two-link arm on a table, whose fingertip goes to a point."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from brax.envs.base import State

from crlscale.envs.physics import PhysicsEnv
from crlscale.envs.scene import compile_scene, quick_solver, robot, set_gears, set_numeric
from crlscale.envs.spec import Engine, TaskSpec

GOAL_RADIUS = 0.2  # commanded goals: radius and angle uniform, so denser at the centre [m]
HEIGHT = 0.01  # of the arm [m]
TIP = (0.11, 0.0, 0.0)  # fingertip in the frame of the second link [m]
ANGLE_NOISE, SPEED_NOISE = 0.1, 0.005  # start, uniform round the stretched arm at rest [rad, rad/s]
SINGLE_GOAL = (0.0, GOAL_RADIUS, HEIGHT)  # a quarter turn away


def scene(engine: Engine) -> mujoco.MjSpec:
    """brax's reacher without its target body."""
    scene = robot("reacher")
    scene.delete(scene.body("target"))
    for numeric in ("constraint_stiffness", "constraint_vel_damping"):
        kept = next(n.data for n in scene.numerics if n.name == numeric)
        set_numeric(scene, numeric, list(kept)[:2])
    if engine.backend in ("spring", "positional"):
        set_gears(scene, [25.0, 25.0])
    if engine.backend == "mjx":
        quick_solver(scene)
    return scene


class Reacher(PhysicsEnv):
    """State (S = 10): cos and sin of both joint angles, position and velocity of the fingertip;
    goal (G = 3): position of the fingertip; action (A = 2): torques. Never fails."""

    def __init__(self, spec: TaskSpec):
        super().__init__(spec, compile_scene(scene(spec.engine), spec.engine, [0.0, 0.0]))

    def sample_goal(self, rng: jax.Array) -> jax.Array:
        if self.spec.options.goals == "single":
            return jnp.array(SINGLE_GOAL)
        radius, turn = jax.random.uniform(rng, (2,))
        angle = 2 * np.pi * turn
        place = GOAL_RADIUS * radius * jnp.array([jnp.cos(angle), jnp.sin(angle)])
        return jnp.append(place, HEIGHT)

    def start(self, rng: jax.Array, goal: jax.Array) -> State:
        angles, speeds = jax.random.uniform(rng, (2, 2), minval=-1.0)
        return self._start_at(ANGLE_NOISE * angles, SPEED_NOISE * speeds, goal)

    def achieved(self, state: State) -> jax.Array:
        return state.obs[..., 4:7]

    def distance(self, achieved: jax.Array, goal: jax.Array) -> jax.Array:
        return jnp.linalg.norm(achieved - goal, axis=-1)

    def _read(self, physics, controls: jax.Array) -> jax.Array:
        del controls
        angles = physics.q[:2]
        link, motion = physics.x.take(1), physics.xd.take(1)
        arm = _rotate(link.rot, jnp.array(TIP))
        tip, velocity = link.pos + arm, motion.vel + jnp.cross(motion.ang, arm)
        return jnp.concatenate([jnp.cos(angles), jnp.sin(angles), tip, velocity])


def _rotate(quaternion: jax.Array, vector: jax.Array) -> jax.Array:
    """`vector` [3] turned by a unit quaternion [4], real part first."""
    real, axis = quaternion[0], quaternion[1:]
    turned = jnp.cross(axis, vector)
    return vector + 2 * (real * turned + jnp.cross(axis, turned))
