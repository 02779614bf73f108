"""reacher, pusher_easy, pusher_hard, cheetah: arms on a table and a runner in a plane."""

from crlscale.envs.catalogue.choices import SOURCE, engine_of
from crlscale.envs.spec import Family, Options, TaskSpec

REACHER_STEPS = {
    "spring": (0.005, 4),
    "positional": (0.005, 4),
    "generalized": (0.01, 2),
    "mjx": (0.01, 2),
}
# The published code set 0.005 where its engine did not read it, and so ran at the model's step.
REACHER_PUBLISHED = {"spring": (0.01, 4)}
PUSHER_STEPS = {"spring": (0.001, 50), "generalized": (0.01, 5)}
CHEETAH_STEPS = {
    "spring": (0.003125, 16),
    "positional": (0.003125, 16),
    "generalized": (0.01, 5),
    "mjx": (0.01, 5),
}


def build_reacher(name: str, options: Options) -> TaskSpec | None:
    if name != "reacher":
        return None
    return TaskSpec(
        name=name,
        family="reacher",
        state_size=10 + (3 if options.goal_in_state else 0),
        goal_size=3,
        action_size=2,
        episode_length=1000,
        discount=0.99,
        radii=(("standard", 0.05),),
        goal="fingertip x, y, z [m]",
        source=SOURCE,
        engine=engine_of(options, REACHER_STEPS, REACHER_PUBLISHED),
        step_seconds=3.5e-6,
        compile_seconds=10.0,
        options=options,
        legacy_time_step=True,
    )


def build_pusher(name: str, options: Options) -> TaskSpec | None:
    if name not in ("pusher_easy", "pusher_hard"):
        return None
    return TaskSpec(
        name=name,
        family="pusher",
        state_size=20 + (3 if options.goal_in_state else 0),
        goal_size=3,
        action_size=7,
        episode_length=1000,
        discount=0.99,
        radii=(("standard", 0.1), ("hard", 0.05)),
        goal="object x, y, z [m]",
        source=SOURCE,
        engine=engine_of(options, PUSHER_STEPS),
        step_seconds=2.0e-4,
        compile_seconds=25.0,
        options=options,
    )


def build_cheetah(name: str, options: Options) -> TaskSpec | None:
    if name != "cheetah":
        return None
    return TaskSpec(
        name=name,
        family="cheetah",
        state_size=18 + (1 if options.goal_in_state else 0),
        goal_size=1,
        action_size=6,
        episode_length=1000,
        discount=0.99,
        radii=(("standard", 0.5),),
        goal="x of the torso [m]",
        source=SOURCE,
        engine=engine_of(options, CHEETAH_STEPS),
        step_seconds=6.5e-5,
        compile_seconds=25.0,
        options=options,
    )


# Nothing of the reacher touches anything, so friction would change nothing; the goal of the cheetah
# is a single one anyway.
FAMILIES = (
    Family(
        names=("reacher",),
        build=build_reacher,
        options=frozenset({"backend", "goals", "goal_in_state", "time_step"}),
        env="crlscale.envs.reacher:Reacher",
    ),
    Family(
        names=("pusher_easy", "pusher_hard"),
        build=build_pusher,
        options=frozenset({"backend", "goals", "goal_in_state", "friction", "success"}),
        env="crlscale.envs.pusher:Pusher",
    ),
    Family(
        names=("cheetah",),
        build=build_cheetah,
        options=frozenset({"backend", "goal_in_state", "friction"}),
        env="crlscale.envs.cheetah:Cheetah",
    ),
)
