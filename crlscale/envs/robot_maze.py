"""RobotMaze: a robot with physics in a maze, whatever the robot."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import mujoco
from brax.envs.base import State

from crlscale.envs.maze_env import MazeEnv
from crlscale.envs.physics import PhysicsEnv
from crlscale.envs.scene import WALL_BIT, add_walls, compile_scene, meet
from crlscale.envs.spec import TaskSpec
from crlscale.envs.walls import MazeWalls

FRICTION = 1.0  # sliding friction of walls, as of the robots and their floor


class RobotMaze(MazeEnv, PhysicsEnv):
    """Walls and pits round a robot on a floor; cell (r, c) is centred at (r, c) `cell` [m].

    On the spring engine walls are looked up round each limb (MazeWalls), on the other ones each is a
    box of the scene. Fails where the robot fails, and over pits."""

    cell: float  # side of a cell [m]
    wall_height: float  # [m]

    def __init__(self, spec: TaskSpec, scene: mujoco.MjSpec, touching: Sequence[str]):
        """`scene`: the robot on its floor; `touching`: its geoms that meet walls."""
        MazeEnv.__init__(self, spec)
        friction = FRICTION if spec.options.friction is None else spec.options.friction
        walls, looked_up = spec.maze.walls, spec.engine.backend == "spring"
        if not looked_up:
            meet(scene, touching, WALL_BIT)
            add_walls(scene, walls, self.cell, self.wall_height, friction)
        PhysicsEnv.__init__(self, spec, compile_scene(scene, spec.engine))
        sides = (self.cell, self.wall_height)
        self._walls = None
        if looked_up:
            self._walls = MazeWalls(self.sys, walls, *sides, tuple(touching), friction=friction)

    def _sub_step(self, physics, action: jax.Array):
        if self._walls is None:
            return super()._sub_step(physics, action)
        return self._walls.step(self.sys, physics, action)

    def _failed(self, physics) -> jax.Array:
        place = physics.x.pos[0, :2] / self.cell + 0.5
        return super()._failed(physics) | self._over_pit(place)

    def _centre(self, cell: jax.Array) -> jax.Array:
        """Centre [2] of `cell` int32 [2], in m."""
        return cell.astype(jnp.float32) * self.cell

    def _start_in(self, rng: jax.Array, cell: jax.Array, goal: jax.Array) -> State:
        return self._start_on(rng, self._centre(cell), goal)

    def _start_on(self, rng: jax.Array, place: jax.Array, goal: jax.Array) -> State:
        """A fresh start at `place` [2] in m. The robot says how. Consumes `rng`."""
        raise NotImplementedError
