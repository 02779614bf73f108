"""cheetah: a planar runner that stops at a line."""

import jax
import jax.numpy as jnp
import mujoco
from brax.envs.base import State

from crlscale.envs.physics import PhysicsEnv
from crlscale.envs.scene import compile_scene, quick_solver, robot, set_friction, set_gears
from crlscale.envs.spec import TaskSpec

LINE = 5.0  # the commanded x, always the same [m]
START_NOISE = 0.1  # start positions, uniform +-; start velocities, standard deviation [m, rad; per s]


def scene(spec: TaskSpec) -> mujoco.MjSpec:
    scene = robot("half_cheetah")
    set_friction(scene, spec.options.friction)
    if spec.engine.backend in ("spring", "positional"):
        set_gears(scene, [120, 90, 60, 120, 100, 100])
    if spec.engine.backend == "mjx":
        quick_solver(scene)
    return scene


class Cheetah(PhysicsEnv):
    """State (S = 18): x, z and pitch of the torso, six joint angles, and the velocities of all;
    goal (G = 1): x of the torso; action (A = 6): torques. Never fails."""

    def __init__(self, spec: TaskSpec):
        super().__init__(spec, compile_scene(scene(spec), spec.engine))

    def sample_goal(self, rng: jax.Array) -> jax.Array:
        del rng
        return jnp.array([LINE])

    def start(self, rng: jax.Array, goal: jax.Array) -> State:
        place_key, speed_key = jax.random.split(rng)
        noise = jax.random.uniform(place_key, (9,), minval=-START_NOISE, maxval=START_NOISE)
        qd = START_NOISE * jax.random.normal(speed_key, (9,))
        return self._start_at(self.sys.init_q + noise, qd, goal)

    def achieved(self, state: State) -> jax.Array:
        return state.obs[..., :1]

    def distance(self, achieved: jax.Array, goal: jax.Array) -> jax.Array:
        return jnp.abs(achieved - goal)[..., 0]

    def _read(self, physics, controls: jax.Array) -> jax.Array:
        del controls
        return jnp.concatenate([physics.q, physics.qd])
