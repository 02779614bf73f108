"""point_{maze}_maze and point_{maze}_pitfall: a point mass in the paper's mazes."""

from crlscale.envs.catalogue.choices import in_maze
from crlscale.envs.mazes import MAZES, maze_of
from crlscale.envs.spec import Family, Options, TaskSpec


def build(name: str, options: Options) -> TaskSpec | None:
    maze = maze_of("point", name, options.maze)
    if maze is None:
        return None
    return TaskSpec(
        name=name,
        family="point",
        state_size=4 + (2 if options.goal_in_state else 0),
        goal_size=2,
        action_size=2,
        episode_length=200,
        discount=0.99,
        radii=(("standard", 0.5),),
        goal="position x, y [cells]",
        source="crlscale, in the layouts of arXiv 2503.14858",
        options=options,
        **in_maze(maze, options),
    )


FAMILY = Family(
    names=(*(f"point_{maze}_maze" for maze in MAZES), "point_u_pitfall", "point_big_pitfall"),
    build=build,
    options=frozenset({"goals", "goal_in_state", "maze", "stitch"}),
    env="crlscale.envs.point:PointMaze",
)
