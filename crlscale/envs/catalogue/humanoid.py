"""humanoid, humanoid_{maze}_maze and humanoid_{maze}_pitfall: the two-legged robot of brax."""

from crlscale.envs.catalogue.choices import SOURCE, engine_of, in_maze, without
from crlscale.envs.mazes import maze_of
from crlscale.envs.spec import Family, Options, TaskSpec

STEPS = {
    "spring": (0.0015, 10),
    "positional": (0.0015, 10),
    "generalized": (0.003, 5),
    "mjx": (0.003, 5),
}
# In the open the published code set 0.0015 where its engine did not read it, and so ran at the
# model's step; its mazes ran at 0.0015.
PUBLISHED = {"spring": (0.003, 10)}
# This body's far set of the big maze has one more cell.
LAYOUTS = {"big": "######## #R.##FF# #..#.FF# ##...### #..#...# #.#F.#F# #.FF#FF# ########"}
STATE, LEGACY_STATE = 246, 268  # the published state has the goal as one more body


def build(name: str, options: Options) -> TaskSpec | None:
    maze = maze_of("humanoid", name, options.maze, LAYOUTS)
    if maze is None and name != "humanoid":
        return None
    without(name, options, *(("time_step",) if maze else ("maze", "stitch")))
    return TaskSpec(
        name=name,
        family="humanoid",
        state_size=LEGACY_STATE if options.goal_in_state else STATE,
        goal_size=3,
        action_size=17,
        episode_length=1000,
        discount=0.99,
        radii=(("standard", 0.5),),
        goal="torso x, y, z [m]",
        source=SOURCE,
        engine=engine_of(options, STEPS, PUBLISHED),
        step_seconds=7e-5,
        compile_seconds=25.0,
        options=options,
        legacy_in_state=True,
        legacy_time_step=maze is None,
        **in_maze(maze, options),
    )


FAMILY = Family(
    names=(
        "humanoid",
        *(f"humanoid_{maze}_maze" for maze in ("u", "big", "hardest")),
        "humanoid_u_pitfall",
        "humanoid_big_pitfall",
    ),
    build=build,
    options=frozenset({"backend", "goals", "goal_in_state", "time_step", "friction", "maze", "stitch"}),
    env="crlscale.envs.humanoid:humanoid",
)
