"""ant_push: the four-legged robot of brax has to push a box out of its way."""

from crlscale.envs.catalogue.choices import engine_of
from crlscale.envs.spec import Family, Options, TaskSpec


def build(name: str, options: Options) -> TaskSpec | None:
    if name != "ant_push":
        return None
    return TaskSpec(
        name=name,
        family="ant_push",
        state_size=31 + (2 if options.goal_in_state else 0),
        goal_size=2,
        action_size=8,
        episode_length=1000,
        discount=0.99,
        radii=(("standard", 0.5),),
        goal="torso x, y [m]",
        source="JaxGCRL, arXiv 2408.11052; robot of brax",
        engine=engine_of(options, {"mjx": (0.01, 5)}),
        step_seconds=1e-3,
        compile_seconds=45.0,
        options=options,
    )


FAMILY = Family(
    names=("ant_push",),
    build=build,
    options=frozenset({"backend", "goals", "goal_in_state", "friction"}),
    env="crlscale.envs.ant_push:AntPush",
)
