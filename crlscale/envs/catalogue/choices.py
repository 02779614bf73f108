"""What families share: the engine that the options choose, what a maze decides, refusing options."""

from collections.abc import Mapping

from crlscale.envs.mazes import Maze
from crlscale.envs.spec import PLAIN, Engine, Options
from crlscale.errors import CrlscaleError

SOURCE = "arXiv 2503.14858; JaxGCRL, arXiv 2408.11052; robot of brax"

Steps = Mapping[str, tuple[float, int]]  # backend -> length of a sub-step [s], sub-steps


def engine_of(options: Options, steps: Steps, published: Steps | None = None) -> Engine:
    """The engine that `options` choose among the backends in `steps`, the task's own first; with
    `time_step="published"` at the steps of `published`, where the published code ran other ones."""
    backend = options.backend or next(iter(steps))
    chosen = steps
    if options.time_step == "published" and published is not None and backend in steps:
        if backend not in published:
            raise CrlscaleError(
                f"time_step = 'published': nothing was published on backend {backend!r}",
                value=backend,
                remedy=f"--backend {next(iter(published))}, or --set time_step=task",
            )
        chosen = published
    # an unknown backend is refused by the registry, which names those that there are
    time_step, sub_steps = chosen.get(backend, next(iter(steps.values())))
    return Engine(backend, tuple(steps), time_step, sub_steps)


def in_maze(maze: Maze | None, options: Options) -> dict:
    """The fields of a TaskSpec that a maze decides."""
    if maze is None:
        return {}
    return {
        "maze": maze,
        "cases": maze.cases(options.goals, options.stitch),
        "goal_sets": maze.goal_sets(options.goals, options.stitch),
    }


def without(name: str, options: Options, *fields: str) -> None:
    """Refuse `fields` of the options, which task `name` does not have."""
    for field in fields:
        value = getattr(options, field)
        if value != getattr(PLAIN, field):
            raise CrlscaleError(
                f"{field} = {value!r}: {name} has no such choice",
                value=value,
                remedy=f"leave {field} out, or another --env",
            )
