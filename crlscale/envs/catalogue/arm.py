"""arm_*: a Panda arm reaches for a point, pushes a cube, lifts it into a bin, grasps it."""

from crlscale.envs.spec import Engine, Family, Options, TaskSpec
from crlscale.errors import CrlscaleError

SOURCE = "JaxGCRL's arms as arXiv 2503.14858 runs them; MuJoCo Menagerie's Panda"
CUBE = "cube position x, y, z [m]"
# sizes of state and goal, actions, what is achieved, success radii
_MOVE = (17, 3, 5, CUBE, (("standard", 0.1),))
TASKS = {
    "arm_reach": (
        *(13, 3, 4, "end effector x, y, z [m]"),
        (("easy", 0.3), ("standard", 0.1), ("hard", 0.03)),
    ),
    "arm_push_easy": _MOVE,
    "arm_push_hard": _MOVE,
    "arm_binpick_easy": _MOVE,
    "arm_binpick_hard": _MOVE,
    "arm_grasp": (
        *(23, 7, 5, "left and right fingertip x, y, z, gap [m]"),
        (("standard", 0.05),),
    ),
}


def build(name: str, options: Options) -> TaskSpec | None:
    if name not in TASKS:
        return None
    if name == "arm_reach" and options.friction is not None:
        raise CrlscaleError(
            f"friction = {options.friction!r}: arm_reach has no cube that could slide",
            value=options.friction,
            remedy="leave friction out, or --env arm_push_easy",
        )
    state_size, goal_size, action_size, goal, radii = TASKS[name]
    return TaskSpec(
        name=name,
        family="arm",
        state_size=state_size + (goal_size if options.goal_in_state else 0),
        goal_size=goal_size,
        action_size=action_size,
        episode_length=1000,
        discount=0.99,
        radii=radii,
        goal=goal,
        source=SOURCE,
        engine=Engine(backend="mjx", backends=("mjx",), time_step=0.002, sub_steps=25),
        step_seconds=2.5e-3,
        compile_seconds=40.0,
        options=options,
    )


FAMILY = Family(
    names=tuple(TASKS),
    build=build,
    options=frozenset({"backend", "success", "goals", "goal_in_state", "friction"}),
    env="crlscale.envs.arm:make",
)
