"""ant, ant_ball and the ant in mazes: a four-legged robot that walks to a place or pushes a ball there."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from brax.envs.base import State

from crlscale.envs.physics import PhysicsEnv
from crlscale.envs.robot_maze import RobotMaze
from crlscale.envs.scene import (
    BALL_BIT,
    compile_scene,
    meet,
    quick_solver,
    robot,
    set_friction,
)
from crlscale.envs.spec import TaskSpec

GOAL_RADIUS, BALL_GOAL_RADIUS = 10.0, 5.0  # of the circle of commanded goals round the start [m]
HEALTHY = (0.2, 1.0)  # heights of the torso outside which the ant has failed [m]
START_NOISE = 0.1  # start positions, uniform +-; start velocities, standard deviation [m, rad; per s]
BALL_RADIUS, BALL_MASS = 0.5, 0.576  # [m], [kg]
BALL_FROM, BALL_TO = 1.5, 2.5  # distance of the ball from the origin at the start, uniform [m]
FRICTION = 1.0  # sliding friction of brax's ant and its floor

LEGS = range(1, 5)
HIPS = tuple(f"aux_{leg}_geom" for leg in LEGS)
THIGHS = ("left_leg_geom", "right_leg_geom", "back_leg_geom", "rightback_leg_geom")
SHINS = ("left_ankle_geom", "right_ankle_geom", "third_ankle_geom", "fourth_ankle_geom")
FEET = ("left_foot_geom", "right_foot_geom", "third_foot_geom", "fourth_foot_geom")
# What meets walls, as published (there feet meet torso and hips, too, which they cannot reach).
WALL_GEOMS = ("torso_geom", *HIPS, *FEET)
BALL_GEOMS = ("torso_geom", *HIPS, *THIGHS, *SHINS)  # a shin ends in its foot


def ant(spec: TaskSpec) -> PhysicsEnv:
    """The env of an ant task."""
    if spec.maze is not None:
        return AntMaze(spec)
    return AntBall(spec) if spec.name == "ant_ball" else Ant(spec)


def scene(spec: TaskSpec) -> mujoco.MjSpec:
    """brax's ant on its floor, as the spec's engine wants it."""
    scene = robot("ant")
    set_friction(scene, spec.options.friction)
    if spec.engine.backend == "mjx":
        quick_solver(scene)
    return scene


class Ant(PhysicsEnv):
    """State (S = 29): positions (15) and velocities (14) of the ant; goal (G = 2): x, y of the torso;
    action (A = 8): torques. Fails when the torso leaves the HEALTHY heights."""

    goal_radius = GOAL_RADIUS

    def __init__(self, spec: TaskSpec):
        super().__init__(spec, compile_scene(scene(spec), spec.engine))

    def sample_goal(self, rng: jax.Array) -> jax.Array:
        """A point on the circle; the single goal is (radius, 0)."""
        single = self.spec.options.goals == "single"
        angle = jnp.zeros(()) if single else 2 * np.pi * jax.random.uniform(rng)
        return self.goal_radius * jnp.stack([jnp.cos(angle), jnp.sin(angle)])

    def start(self, rng: jax.Array, goal: jax.Array) -> State:
        return self._start_on(rng, jnp.zeros(2), goal)

    def achieved(self, state: State) -> jax.Array:
        return state.obs[..., :2]

    def distance(self, achieved: jax.Array, goal: jax.Array) -> jax.Array:
        return jnp.linalg.norm(achieved - goal, axis=-1)

    def _stand(self, rng: jax.Array, place: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Positions [15] and velocities [14] of an ant that stands at `place` [2], with noise."""
        place_key, speed_key = jax.random.split(rng)
        noise = jax.random.uniform(place_key, (15,), minval=-START_NOISE, maxval=START_NOISE)
        q = self.sys.init_q[:15] + noise
        q = q.at[:2].add(place).at[3:7].divide(jnp.linalg.norm(q[3:7]))
        return q, START_NOISE * jax.random.normal(speed_key, (14,))

    def _start_on(self, rng: jax.Array, place: jax.Array, goal: jax.Array) -> State:
        """A start at `place` [2]. Consumes `rng`."""
        q, qd = self._stand(rng, place)
        return self._start_at(q, qd, goal)

    def _read(self, physics, controls: jax.Array) -> jax.Array:
        del controls
        return jnp.concatenate([physics.q[:15], physics.qd[:14]])

    def _failed(self, physics) -> jax.Array:
        height = physics.x.pos[0, 2]
        return (height < HEALTHY[0]) | (height > HEALTHY[1])


class AntMaze(RobotMaze, Ant):
    """Ant in a maze: goals (G = 2) are centres of cells."""

    cell, wall_height = 4.0, 2.0

    def __init__(self, spec: TaskSpec):
        super().__init__(spec, scene(spec), WALL_GEOMS)

    def _goal_of(self, cell: jax.Array) -> jax.Array:
        return self._centre(cell)

    def _start_on(self, rng: jax.Array, place: jax.Array, goal: jax.Array) -> State:
        return Ant._start_on(self, rng, place, goal)


class AntBall(Ant):
    """Ant with a ball. State (S = 31): that of the ant, then x, y of the ball; goal (G = 2): x, y of
    the ball. The rest of the ball's pose and its velocity are physics that the state does not hold; a
    ball that rolls does so on and on, for the engines know no rolling resistance.

    The ball starts on the line from the origin to the commanded goal."""

    goal_radius = BALL_GOAL_RADIUS

    def __init__(self, spec: TaskSpec):
        PhysicsEnv.__init__(self, spec, compile_scene(*ball_scene(spec)))

    def start(self, rng: jax.Array, goal: jax.Array) -> State:
        ant_key, ball_key = jax.random.split(rng)
        q, qd = self._stand(ant_key, jnp.zeros(2))
        away = jax.random.uniform(ball_key, minval=BALL_FROM, maxval=BALL_TO)
        ball = goal * (away / jnp.linalg.norm(goal))
        ball = jnp.concatenate([ball, jnp.array([BALL_RADIUS, 1.0, 0.0, 0.0, 0.0])])
        return self._start_at(jnp.append(q, ball), jnp.append(qd, jnp.zeros(6)), goal)

    def achieved(self, state: State) -> jax.Array:
        return state.obs[..., 29:31]

    def _read(self, physics, controls: jax.Array) -> jax.Array:
        return jnp.append(super()._read(physics, controls), physics.q[15:17])


def ball_scene(spec: TaskSpec):
    """Arguments of compile_scene: the ant and a ball that all of its body can push."""
    built = scene(spec)
    ball = built.worldbody.add_body(name="ball", pos=[0, 0, BALL_RADIUS])
    ball.add_freejoint(name="ball")
    friction = FRICTION if spec.options.friction is None else spec.options.friction
    ball.add_geom(
        name="ball",
        type=mujoco.mjtGeom.mjGEOM_SPHERE,
        size=[BALL_RADIUS, 0, 0],
        mass=BALL_MASS,
        contype=1 | BALL_BIT,
        conaffinity=0,
        condim=3,
        friction=[friction, 0.5, 0.5],
    )
    meet(built, BALL_GEOMS, BALL_BIT)
    stand = list(next(n.data for n in built.numerics if n.name == "init_qpos"))
    return built, spec.engine, [*stand, 0.0, 0.0, BALL_RADIUS, 1.0, 0.0, 0.0, 0.0]
