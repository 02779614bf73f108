"""chain_N: a planar arm of N links."""

import re

from crlscale.envs.spec import Family, Options, TaskSpec
from crlscale.errors import CrlscaleError

LINKS = range(2, 65)


def build(name: str, options: Options) -> TaskSpec | None:
    found = re.fullmatch(r"chain_([1-9]\d*)", name)
    if found is None:
        return None
    links = int(found[1])
    if links not in LINKS:
        raise CrlscaleError(
            f"env {name!r}: a chain has 2 to 64 links", value=name, remedy="--env chain_8"
        )
    return TaskSpec(
        name=name,
        family="chain",
        state_size=2 * links + (2 if options.goal_in_state else 0),
        goal_size=2,
        action_size=links,
        episode_length=50,
        discount=0.95,
        radii=(("standard", 0.1),),
        goal="fingertip x, y [arm lengths]",
        source="crlscale",
        options=options,
    )


FAMILY = Family(
    names=tuple(f"chain_{n}" for n in (4, 8, 12, 16, 32)),
    build=build,
    options=frozenset({"goals", "goal_in_state"}),
    env="crlscale.envs.chain:Chain",
)
