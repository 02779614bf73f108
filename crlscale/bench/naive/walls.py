"""Ant mazes with every wall a box of the scene, which the engine tests against all that meets walls."""

from crlscale.envs.ant import WALL_GEOMS, AntMaze, scene
from crlscale.envs.goal_env import GoalEnv
from crlscale.envs.maze_env import MazeEnv
from crlscale.envs.physics import PhysicsEnv
from crlscale.envs.registry import make_env
from crlscale.envs.robot_maze import FRICTION
from crlscale.envs.scene import WALL_BIT, add_walls, compile_scene, meet
from crlscale.envs.spec import TaskSpec


class BoxedAntMaze(AntMaze):
    """AntMaze on the same engine, without the walls that are looked up."""

    def __init__(self, spec: TaskSpec):
        MazeEnv.__init__(self, spec)
        built = scene(spec)
        meet(built, WALL_GEOMS, WALL_BIT)
        friction = FRICTION if spec.options.friction is None else spec.options.friction
        add_walls(built, spec.maze.walls, self.cell, self.wall_height, friction)
        PhysicsEnv.__init__(self, spec, compile_scene(built, spec.engine))
        self._walls = None


def naive_env(spec: TaskSpec) -> GoalEnv:
    """The env of a task, with boxes for walls where it is an ant in a maze."""
    is_ant_maze = spec.name.startswith("ant") and spec.maze is not None
    return BoxedAntMaze(spec) if is_ant_maze else make_env(spec)
