"""ant, ant_ball, ant_{maze}_maze and ant_{maze}_pitfall: the four-legged robot of brax."""

from crlscale.envs.catalogue.choices import SOURCE, engine_of, in_maze, without
from crlscale.envs.mazes import MAZES, maze_of
from crlscale.envs.spec import Family, Options, TaskSpec

# Not positional: it throws three in ten ants into the air that start with a foot in the floor.
STEPS = {"spring": (0.005, 10), "generalized": (0.01, 5), "mjx": (0.01, 5)}


def build(name: str, options: Options) -> TaskSpec | None:
    maze = maze_of("ant", name, options.maze)
    if maze is None and name not in ("ant", "ant_ball"):
        return None
    if maze is None:
        without(name, options, "maze", "stitch")
    ball = name == "ant_ball"
    return TaskSpec(
        name=name,
        family="ant",
        state_size=29 + (2 if ball else 0) + (2 if options.goal_in_state else 0),
        goal_size=2,
        action_size=8,
        episode_length=1000,
        discount=0.99,
        radii=(("easy", 2.0), ("standard", 0.5)) if name == "ant" else (("standard", 0.5),),
        goal="ball x, y [m]" if ball else "torso x, y [m]",
        source=SOURCE,
        engine=engine_of(options, STEPS),
        step_seconds=4.5e-5,
        compile_seconds=20.0,
        options=options,
        **in_maze(maze, options),
    )


FAMILY = Family(
    names=(
        "ant",
        "ant_ball",
        *(f"ant_{maze}_maze" for maze in MAZES),
        "ant_u_pitfall",
        "ant_big_pitfall",
    ),
    build=build,
    options=frozenset({"backend", "success", "goals", "goal_in_state", "friction", "maze", "stitch"}),
    env="crlscale.envs.ant:ant",
)
