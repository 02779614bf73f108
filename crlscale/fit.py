"""Does a run fit into memory, and if not, which field makes it so and what would fit."""

from collections.abc import Callable

from crlscale.config import RunConfig
from crlscale.depths import legal_depths_near
from crlscale.errors import CrlscaleError
from crlscale.settings import make_config
from crlscale.study import Study

# a value at which a field is never what makes a run large
SMALL = {
    "replay_capacity": 1000,
    "num_envs": 64,
    "batch_size": 128,
    "width": 64,
    "depth": 4,
    "actor_depth": 4,
    "critic_depth": 4,
    "representation_size": 64,
}

Need = Callable[[RunConfig, int], float]  # config and seeds of a program -> bytes


def require_fit(study: Study, need: Need, limit: float, where: str) -> float:
    """Bytes of the largest program of the study; one that is over `limit` is a CrlscaleError that
    names the run, the field that makes it so and a value that fits. `where`: "{limit} are free"."""
    seeds = study.execution.seeds_per_program
    firsts = [run_ids[0] for run_ids in study.cells.values()]  # seeds of a cell need the same
    needs = {run_id: need(study.configs[run_id], seeds) for run_id in firsts}
    run_id, largest = max(needs.items(), key=lambda item: item[1])
    if largest <= limit:
        return largest
    config = study.configs[run_id]
    field, remedy = _cause(study, config, need, limit)
    words = f"{run_id} needs about {largest / 1e9:.1f} GB of memory, {limit / 1e9:.1f} GB {where}"
    raise CrlscaleError(f"{words}: {field} makes it so", value=run_id, remedy=remedy)


def _cause(study: Study, config: RunConfig, need: Need, limit: float) -> tuple[str, str]:
    """The single field that, put back to a small value, makes the run fit by most, and what to type;
    fewer seeds a program before any field of the runs."""
    seeds = study.execution.seeds_per_program
    for fewer in range(seeds - 1, 0, -1):
        if need(config, fewer) <= limit:
            return f"seeds_per_program = {seeds}", f"--seeds-per-program {fewer}"
    left = {
        field: need(_with(config, field, SMALL[field]), seeds)
        for field in SMALL
        if (getattr(config, field) or 0) > SMALL[field]
    }
    fitting = {field: bytes_ for field, bytes_ in left.items() if bytes_ <= limit}
    if not fitting:
        worst = sorted(left, key=left.get)[:2]
        return (
            "no field alone" + (f" (most: {' and '.join(worst)})" if worst else ""),
            "smaller values of both" if len(worst) == 2 else "a machine with more memory",
        )
    field = min(fitting, key=fitting.get)
    value = _largest_that_fits(config, field, need, limit, seeds)
    told = f"{field} = {getattr(config, field)}"
    if field in study.axes:
        return told, f"levels of {field} up to {value}, as --where '{field} <= {value}'"
    return told, f"--set {field}={value}"


def _largest_that_fits(config: RunConfig, field: str, need: Need, limit: float, seeds: int) -> int:
    """By halving, so that it is a value one would choose."""
    value = getattr(config, field)
    while value > SMALL[field]:
        value = _legal(config, field, max(SMALL[field], value // 2))
        if need(_with(config, field, value), seeds) <= limit:
            break
    return value


def _with(config: RunConfig, field: str, value: int) -> RunConfig:
    values = {**config.model_dump(), field: _legal(config, field, value)}
    if field == "replay_capacity":  # which must hold these
        values["prefill_steps"] = min(config.prefill_steps, value)
        values["unroll_length"] = min(config.unroll_length, value)
    return make_config(values)


def _legal(config: RunConfig, field: str, value: int) -> int:
    """`value`, for a depth the legal one below it."""
    deep = field.endswith("depth") and value >= config.block_size
    return legal_depths_near(value, config.block_size)[0] if deep else value
