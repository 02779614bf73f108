"""humanoid, in the open and in mazes: a two-legged robot that walks to a place."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from brax import actuator
from brax.envs.base import State

from crlscale.envs.physics import PhysicsEnv
from crlscale.envs.robot_maze import RobotMaze
from crlscale.envs.scene import (
    brax_arrays,
    compile_scene,
    quick_solver,
    robot,
    set_friction,
    set_gears,
)
from crlscale.envs.spec import TaskSpec

GOAL_FROM, GOAL_TO = 1.0, 5.0  # distance of commanded goals, uniform, so denser near the start [m]
GOAL_HEIGHT = 1.25  # of every commanded goal: about the torso of one that stands [m]
HEALTHY = (1.0, 2.0)  # heights of the torso outside which the humanoid has failed [m]
GEARS = [350.0] * 11 + [100.0] * 6  # for the engines with springs
# The published model keeps the goal as a sphere of this mass, and its state tells of it.
GOAL_MASS, GOAL_SIZE = 1.0, 0.5  # [kg], [m]


def humanoid(spec: TaskSpec) -> PhysicsEnv:
    """The env of a humanoid task."""
    return Humanoid(spec) if spec.maze is None else HumanoidMaze(spec)


def scene(spec: TaskSpec) -> mujoco.MjSpec:
    """brax's humanoid on its floor, as the spec's engine wants it."""
    scene = robot("humanoid")
    set_friction(scene, spec.options.friction)
    if spec.engine.backend in ("spring", "positional"):
        set_gears(scene, GEARS)
    if spec.engine.backend == "mjx":
        quick_solver(scene)
    return scene


class Humanoid(PhysicsEnv):
    """State (S = 246): positions (24), velocities (23), inertia about the centre of mass and mass of
    11 links (10 each), their velocities (6 each) and the torques on the joints (23); goal (G = 3): x,
    y, z of the torso; action (A = 17): torques. Fails when the torso leaves the HEALTHY heights.

    With `goal_in_state` (S = 268) the goal is a twelfth link, as published: its 2, 2, 10, 6 and 2
    numbers follow those of the humanoid in each part, and it counts in the centre of mass."""

    def __init__(self, spec: TaskSpec):
        super().__init__(spec, compile_scene(scene(spec), spec.engine))

    def sample_goal(self, rng: jax.Array) -> jax.Array:
        """A point of the ring; the single goal lies in front, as far as goals go."""
        if self.spec.options.goals == "single":
            return jnp.array([GOAL_TO, 0.0, GOAL_HEIGHT])
        away_key, turn_key = jax.random.split(rng)
        away = jax.random.uniform(away_key, minval=GOAL_FROM, maxval=GOAL_TO)
        angle = 2 * np.pi * jax.random.uniform(turn_key)
        return jnp.stack([away * jnp.cos(angle), away * jnp.sin(angle), jnp.array(GOAL_HEIGHT)])

    def start(self, rng: jax.Array, goal: jax.Array) -> State:
        """The model's initial pose, without noise."""
        del rng
        return self._stand(jnp.zeros(2), goal)

    def achieved(self, state: State) -> jax.Array:
        return state.obs[..., :3]

    def distance(self, achieved: jax.Array, goal: jax.Array) -> jax.Array:
        return jnp.linalg.norm(achieved - goal, axis=-1)

    def _stand(self, place: jax.Array, goal: jax.Array) -> State:
        q = self.sys.init_q.at[:2].add(place)
        return self._start_at(q, jnp.zeros(self.sys.qd_size()), goal)

    def _observe(self, physics, controls: jax.Array, goal: jax.Array, broken: jax.Array) -> State:
        failed = broken | self._failed(physics)
        body = goal if self.spec.options.goal_in_state else None
        return self._pack(physics, self._parts(physics, controls, body), goal, failed)

    def _parts(self, physics, controls: jax.Array, body: jax.Array | None) -> jax.Array:
        """The state [S], with a resting sphere at `body` [3] if that is given."""
        mass, inertia, centres, velocity, ang = self._links(physics)
        with brax_arrays():
            torques = actuator.to_tau(self.sys, controls, physics.q, physics.qd)
        q, qd, none = physics.q, physics.qd, jnp.zeros((1, 3))
        if body is not None:
            sphere = jnp.eye(3) if self._springs else 0.4 * GOAL_MASS * GOAL_SIZE**2 * jnp.eye(3)
            mass, centres = jnp.append(mass, GOAL_MASS), jnp.append(centres, body[None], axis=0)
            inertia = jnp.append(inertia, sphere[None], axis=0)
            velocity, ang = jnp.append(velocity, none, axis=0), jnp.append(ang, none, axis=0)
            q, qd, torques = jnp.append(q, body[:2]), _pad(qd), _pad(torques)
        share = mass / jnp.sum(mass)
        offset = centres - share[None] @ centres
        inertia = inertia + mass[:, None, None] * _steiner(offset)
        inertias = jnp.concatenate([inertia.reshape(-1, 9), mass[:, None]], axis=1)
        velocities = jnp.concatenate([share[:, None] * velocity, ang], axis=1)
        return jnp.concatenate([q, qd, inertias.ravel(), velocities.ravel(), torques])

    @property
    def _springs(self) -> bool:
        """Whether the engine replaces masses and inertias by scaled ones."""
        return self.backend in ("spring", "positional")

    def _links(self, physics):
        """Of each of K links: mass [K], inertia [K, 3, 3] about its own centre in world axes, centre
        [K, 3], velocity of that centre [K, 3] and angular velocity [K, 3]."""
        link = self.sys.link.inertia
        mass, inertia = link.mass, link.i
        if self._springs:
            mass = mass ** (1 - self.sys.spring_mass_scale)
            principal = jnp.diagonal(inertia, axis1=1, axis2=2) ** (1 - self.sys.spring_inertia_scale)
            inertia = jax.vmap(jnp.diag)(principal)
        with brax_arrays():
            frames = physics.x.vmap().do(link.transform)
        turn = jax.vmap(_matrix)(frames.rot)
        inertia = turn @ inertia @ jnp.swapaxes(turn, 1, 2)
        velocity = physics.xd.vel + jnp.cross(physics.xd.ang, frames.pos - physics.x.pos)
        return mass, inertia, frames.pos, velocity, physics.xd.ang

    def _failed(self, physics) -> jax.Array:
        height = physics.x.pos[0, 2]
        return (height < HEALTHY[0]) | (height > HEALTHY[1])


class HumanoidMaze(RobotMaze, Humanoid):
    """Humanoid in a maze: goals (G = 3) are centres of cells, at GOAL_HEIGHT."""

    cell, wall_height = 2.0, 1.0

    def __init__(self, spec: TaskSpec):
        built = scene(spec)
        body = [geom.name for geom in built.geoms if geom.name != "floor"]  # all of it, as published
        super().__init__(spec, built, body)

    def _goal_of(self, cell: jax.Array) -> jax.Array:
        return jnp.append(self._centre(cell), GOAL_HEIGHT)

    def _start_on(self, rng: jax.Array, place: jax.Array, goal: jax.Array) -> State:
        del rng
        return self._stand(place, goal)


def _pad(vector: jax.Array) -> jax.Array:
    return jnp.append(vector, jnp.zeros(2))


def _steiner(offset: jax.Array) -> jax.Array:
    """Inertia [K, 3, 3] of unit masses at `offset` [K, 3] about the origin."""
    squares = jnp.sum(offset**2, axis=1)[:, None, None] * jnp.eye(3)[None]
    return squares - offset[:, :, None] * offset[:, None, :]


def _matrix(quaternion: jax.Array) -> jax.Array:
    """Rotation matrix [3, 3] of a unit quaternion [4], real part first."""
    w, axis = quaternion[0], quaternion[1:]
    x, y, z = axis
    cross = jnp.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return jnp.eye(3) + 2 * (w * cross + cross @ cross)
