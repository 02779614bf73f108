"""What the families of robots share: the engine that the options choose, and refusing options."""

from collections.abc import Mapping

from crlscale.envs.spec import PLAIN, Engine, Options
from crlscale.errors import CrlscaleError

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


def without(name: str, options: Options, *fields: str) -> None:
    """Refuse `fields` of the options that task `name` does not have, though its family has them."""
    for field in fields:
        value = getattr(options, field)
        if value != getattr(PLAIN, field):
            raise CrlscaleError(
                f"{field} = {value!r}: {name} has no such choice",
                value=value,
                remedy=f"leave {field} out, or another --env",
            )
