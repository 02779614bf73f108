"""pusher_easy, pusher_hard: a seven-joint arm that pushes an object over a table."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from brax.envs.base import State

from crlscale.envs.physics import PhysicsEnv
from crlscale.envs.scene import brax_arrays, compile_scene, robot, set_friction, set_gears
from crlscale.envs.spec import TaskSpec

JOINTS = 7
# Offsets of the object and of goals from the model's place of the object, along the object's two
# joints: first its slide along y, then the one along x (the published order) [m].
HOME = np.array([-0.05, 0.45, -0.275], np.float32)  # y, x, z
OBJECT_BOX = np.array([[-0.3, -0.2], [0.0, 0.2]], np.float32)
GOAL_BOXES = {
    "pusher_easy": OBJECT_BOX + np.array([-0.25, 0.0], np.float32),
    "pusher_hard": np.array([[-0.65, -0.55], [0.35, 0.45]], np.float32),
}
CLEARANCE = 0.17  # between object and goal at the start, at least [m]
CANDIDATES = 16  # places drawn for the object, of which the first one clear of the goal is taken
SPEED_NOISE = 0.005  # start velocities of the joints, uniform +- [rad/s]


def scene(spec: TaskSpec) -> mujoco.MjSpec:
    """brax's pusher without its goal body."""
    scene = robot("pusher")
    scene.delete(scene.body("goal"))
    set_friction(scene, spec.options.friction)
    if spec.engine.backend == "spring":
        set_gears(scene, [20.0] * JOINTS)
    return scene


class Pusher(PhysicsEnv):
    """State (S = 20): seven joint angles, position of the arm's tip, position of the object, seven
    joint velocities; goal (G = 3): position of the object; action (A = 7): torques, of which [-1, 1]
    is half the range that the model allows, as published. Never fails.

    Goals lie in the plane of the object, so that it can reach them: the published ones lie 0.048 m
    lower, which leaves 0.014 m of the hard radius."""

    def __init__(self, spec: TaskSpec):
        super().__init__(spec, compile_scene(scene(spec), spec.engine))
        self._tip = self.sys.link_names.index("r_wrist_flex_link")  # the tips are fused to its child
        self._object = self.sys.link_names.index("object")

    def sample_goal(self, rng: jax.Array) -> jax.Array:
        low, high = GOAL_BOXES[self.spec.name]
        if self.spec.options.goals == "single":
            return _place(jnp.asarray(low + high) / 2)
        return _place(jax.random.uniform(rng, (2,), minval=low, maxval=high))

    def start(self, rng: jax.Array, goal: jax.Array) -> State:
        object_key, speed_key = jax.random.split(rng)
        speeds = jax.random.uniform(speed_key, (JOINTS,), minval=-SPEED_NOISE, maxval=SPEED_NOISE)
        q = jnp.append(jnp.zeros(JOINTS), self._object_start(object_key, _offset(goal)))
        return self._start_at(q, jnp.append(speeds, jnp.zeros(2)), goal)

    def achieved(self, state: State) -> jax.Array:
        return state.obs[..., 10:13]

    def distance(self, achieved: jax.Array, goal: jax.Array) -> jax.Array:
        return jnp.linalg.norm(achieved - goal, axis=-1)

    def _object_start(self, rng: jax.Array, goal: jax.Array) -> jax.Array:
        """Offset of the object [2], in its box and clear of the goal's offset [2]."""
        low, high = OBJECT_BOX
        drawn = jax.random.uniform(rng, (CANDIDATES, 2), minval=low, maxval=high)
        # the corner farthest from a goal is always clear of it, so one candidate is
        corner = jnp.where(goal > jnp.asarray(low + high) / 2, low, high)
        places = jnp.append(drawn, corner[None], axis=0)
        clear = jnp.linalg.norm(places - goal[None], axis=-1) >= CLEARANCE
        return places[jnp.argmax(clear)]

    def _controls(self, action: jax.Array) -> jax.Array:
        return jnp.clip(action, -1.0, 1.0)

    def _read(self, physics, controls: jax.Array) -> jax.Array:
        del controls
        with brax_arrays():
            centres = physics.x.vmap().do(self.sys.link.inertia.transform).pos
        angles, speeds = physics.q[:JOINTS], physics.qd[:JOINTS]
        return jnp.concatenate([angles, centres[self._tip], centres[self._object], speeds])


def _place(offset: jax.Array) -> jax.Array:
    """World position [3] of the object at `offset` [2]."""
    y, x = offset + HOME[:2]
    return jnp.stack([x, y, jnp.asarray(HOME[2])])


def _offset(place: jax.Array) -> jax.Array:
    """Inverse of `_place`."""
    return place[jnp.array([1, 0])] - HOME[:2]
