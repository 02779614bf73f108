"""A Panda arm at a table, on MJX: reach for a point, move a cube, grasp it.

S state, A action, G goal. Sizes, ranges and the order of the state are those of the public arm tasks
of arXiv 2503.14858; there the links' positions lag the joints by one sub-step (2 ms), here they do
not. Lengths in m, angles in rad.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from brax.envs.base import State
from brax.math import rotate

from crlscale.envs.arm_scene import CUBE_HALF, FINGER_TRAVEL, FINGERTIP, arm_scene
from crlscale.envs.mjx_chain import MjxChainEnv
from crlscale.envs.scene import compile_scene
from crlscale.envs.spec import TaskSpec

START = (1.571, 0.742, 0.0, -1.571, 0.0, 3.054, 1.449)  # joints
START_TRAVEL = 0.04  # of each finger
DROP_HEIGHT = 0.07  # of the cube's centre at the start, from where it falls onto the table
# targets of joints 1, 2, 4, 6 at actions -1 and 1; the others are held
LOW = (0.3491, 0.0, 0.0, -3.0718, 0.0, 2.3562, 1.4487)
HIGH = (2.7925, 1.48353, 0.0, -0.0698, 0.0, 3.7525, 1.4487)
STEERED = (0, 1, 3, 5)
TIP_OFFSET = 0.0375  # of a fingertip from the cube's centre, along x, when it is grasped
MIDPOINT_RADIUS, GAP_RADIUS = 0.05, 0.02  # arm_grasp succeeds within both


@dataclass(frozen=True)
class Range:
    """Positions uniform in a box: centre and half-lengths [3]."""

    centre: tuple[float, float, float]
    half: tuple[float, float, float]

    def sample(self, rng: jax.Array) -> jax.Array:
        offset = jax.random.uniform(rng, (3,), minval=-1.0, maxval=1.0)
        return jnp.array(self.centre) + jnp.array(self.half) * offset


@dataclass(frozen=True)
class Place:
    """Where the cube starts, if there is one, and where goals lie; `bins` as in arm_scene."""

    goal: Range
    cube: Range | None = None
    bins: tuple[tuple[float, float], float] | None = None


def _table(x: float, y: float, half: float, height: float) -> Range:
    return Range((x, y, height), (half, half, 0.0))


def _move(x: float, y: float, half: float, wall: float | None = None) -> Place:
    """From round (-x, y) to round (x, y); between bins if the distance of their walls is given."""
    bins = None if wall is None else ((x, y), wall)
    return Place(_table(x, y, half, CUBE_HALF), _table(-x, y, half, DROP_HEIGHT), bins)


_GRASP = _table(0.0, 0.6, 0.3, DROP_HEIGHT)
PLACES = {
    "arm_reach": Place(Range((0.0, 0.5, 0.3), (0.2, 0.2, 0.2))),
    "arm_push_easy": _move(0.1, 0.6, 0.1),
    "arm_push_hard": _move(0.25, 0.65, 0.25),
    "arm_binpick_easy": _move(0.17, 0.6, 0.09, wall=0.14),
    "arm_binpick_hard": _move(0.3, 0.6, 0.15, wall=0.19),
    "arm_grasp": Place(_GRASP, _GRASP),
}


def make(spec: TaskSpec) -> "Arm":
    """The task of `spec`."""
    kinds = {"arm_reach": ArmReach, "arm_grasp": ArmGrasp}
    return kinds.get(spec.name, ArmMove)(spec)


class Arm(MjxChainEnv):
    """Actions are servo targets of joints 1, 2, 4, 6, linear in their ranges, and with a gripper a
    fifth one that closes it if positive and opens it if not. Joints 3, 5, 7 are held. Never fails."""

    place: Place
    achieved_part: slice  # of the state

    def __init__(self, spec: TaskSpec):
        self.place = PLACES[spec.name]
        scene = arm_scene(self.place.cube is not None, self.place.bins, spec.options.friction)
        super().__init__(spec, compile_scene(scene, spec.engine))
        self.hand = self.sys.link_names.index("link7")  # whose frame is the end effector

    # --- goals ----------------------------------------------------------------------------
    def sample_goal(self, rng: jax.Array) -> jax.Array:
        if self.spec.options.goals == "single":
            return jnp.array(self.place.goal.centre)
        return self.place.goal.sample(rng)

    def achieved(self, state: State) -> jax.Array:
        return state.obs[..., self.achieved_part]

    def distance(self, achieved: jax.Array, goal: jax.Array) -> jax.Array:
        return jnp.linalg.norm(achieved - goal, axis=-1)

    # --- episodes -------------------------------------------------------------------------
    def start(self, rng: jax.Array, goal: jax.Array) -> State:
        q = self._start_positions(rng, goal)
        return self._start_at(q, jnp.zeros(self.sys.qd_size()), goal)

    def _start_positions(self, rng: jax.Array, goal: jax.Array) -> jax.Array:
        """Positions [Q] of an episode with commanded goal [G]. Consumes `rng`."""
        cube = jnp.concatenate([self._cube_start(rng, goal), jnp.array([1.0, 0.0, 0.0, 0.0])])
        return jnp.concatenate([cube, jnp.array(START), jnp.full(2, START_TRAVEL)])

    def _cube_start(self, rng: jax.Array, goal: jax.Array) -> jax.Array:
        """Where the cube's centre [3] starts."""
        return self.place.cube.sample(rng)

    # --- actions and states ---------------------------------------------------------------
    def _controls(self, action: jax.Array) -> jax.Array:
        """Actions [A] in [-1, 1] as targets of all servos."""
        low, high = jnp.array(LOW), jnp.array(HIGH)
        share = jnp.zeros(len(LOW)).at[jnp.array(STEERED)].set(action[: len(STEERED)])
        joints = low + (jnp.clip(share, -1.0, 1.0) + 1.0) * (high - low) / 2.0
        travel = jnp.where(action[len(STEERED) :] > 0, 0.0, FINGER_TRAVEL)
        return jnp.concatenate([joints, jnp.repeat(travel, 2)])

    def _read(self, physics, controls: jax.Array) -> jax.Array:
        """The state [S] of a task with a cube: cube, joints, end effector, its velocity, gripper."""
        cube, joints = physics.q[:3], physics.q[7:14]
        return jnp.concatenate([cube, joints, self._end_effector(physics), self._gripper(physics)])

    def _end_effector(self, physics) -> jax.Array:
        """Position and velocity [6]."""
        return jnp.concatenate([physics.x.pos[self.hand], physics.xd.vel[self.hand]])

    def _gripper(self, physics) -> jax.Array:
        """Distance of the fingers [1]."""
        return _distance(physics.x.pos[self.hand + 1], physics.x.pos[self.hand + 2])


class ArmReach(Arm):
    """The end effector is to reach a point; neither gripper nor cube."""

    achieved_part = slice(7, 10)

    def _start_positions(self, rng: jax.Array, goal: jax.Array) -> jax.Array:
        return jnp.array(START)

    def _read(self, physics, controls: jax.Array) -> jax.Array:
        return jnp.concatenate([physics.q, self._end_effector(physics)])


class ArmMove(Arm):
    """The cube is to be moved to a point, over the table or from bin to bin."""

    achieved_part = slice(0, 3)


class ArmGrasp(Arm):
    """The fingertips are to stand on both sides of the cube, wherever it is: the commanded goal is
    carried along with the cube. It starts between the fingertips of the commanded goal.

    Distances are in units of the success radius 0.05 m: the larger of the distance of the midpoints
    and of 2.5 times the difference of the gaps, which therefore counts from 0.02 m."""

    achieved_part = slice(16, 23)

    def sample_goal(self, rng: jax.Array) -> jax.Array:
        cube = super().sample_goal(rng)
        aside = jnp.array([TIP_OFFSET, 0.0, 0.0])
        return jnp.concatenate([cube + aside, cube - aside, jnp.array([2 * TIP_OFFSET])])

    def distance(self, achieved: jax.Array, goal: jax.Array) -> jax.Array:
        apart = jnp.linalg.norm(_midpoint(achieved) - _midpoint(goal), axis=-1)
        gap = jnp.abs(achieved[..., 6] - goal[..., 6])
        return jnp.maximum(apart, gap * (MIDPOINT_RADIUS / GAP_RADIUS))

    def _cube_start(self, rng: jax.Array, goal: jax.Array) -> jax.Array:
        return _midpoint(goal).at[2].set(DROP_HEIGHT)

    def step(self, state: State, action: jax.Array) -> State:
        after = super().step(state, action)
        goal = self._follow(self._goal(state), state.pipeline_state, after.pipeline_state)
        own = self.achieved_part.stop  # without the goal, which goal_in_state appends anew
        return self._pack(after.pipeline_state, after.obs[:own], goal, after.done > 0)

    def _follow(self, goal: jax.Array, before, after) -> jax.Array:
        """The commanded goal [G] when physics went from `before` to `after`."""
        moved = after.q[:3] - before.q[:3]
        return goal + jnp.concatenate([moved, moved, jnp.zeros(1)])

    def _gripper(self, physics) -> jax.Array:
        """Both fingertips and their distance [7]."""
        fingers = jax.tree.map(lambda leaf: leaf[self.hand + 1 : self.hand + 3], physics.x)
        tip = jnp.broadcast_to(jnp.array(FINGERTIP), (2, 3))
        tips = fingers.pos + jax.vmap(rotate)(tip, fingers.rot)
        return jnp.concatenate([tips[0], tips[1], _distance(tips[0], tips[1])])


def _midpoint(goal: jax.Array) -> jax.Array:
    """Point [..., 3] in the middle of the fingertips of goals [..., 7]."""
    return (goal[..., :3] + goal[..., 3:6]) / 2.0


def _distance(first: jax.Array, second: jax.Array) -> jax.Array:
    return jnp.linalg.norm(first - second, keepdims=True)
