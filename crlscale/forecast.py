"""What a study will take before it runs, as plain data: the runs, their cost, and the totals."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from crlscale.config import RunConfig
from crlscale.cost import (
    actor_parameters,
    checkpoint_bytes,
    critic_parameters,
    device_bytes,
    host_bytes,
    memory_bytes,
    record_bytes,
    replay_bytes,
    run_seconds,
    start_seconds,
    train_flops,
    update_flops,
    work_seconds,
)
from crlscale.devices import DEVICES, device_named, seconds_on
from crlscale.fit import require_fit
from crlscale.shape import shape
from crlscale.study import Study

CHECKPOINTS = 3  # of a program on disk at most: two are kept, and a new one is whole before one goes


def forecast(study: Study, folder: Path, jobs: int) -> dict:
    """The plan of `study` on this machine: `runs` and totals, `jobs` processes at once."""
    seconds = study_seconds(study, jobs)
    return _data(study, folder, jobs, None, run_seconds, seconds)


def forecast_on(name: str, study: Study, folder: Path, jobs: int | None) -> dict:
    """The plan on the device `name` of the table, `jobs` of them (1 by default). A run that does not
    fit there is a CrlscaleError that names the field that makes it so."""
    device, jobs = device_named(name), jobs or 1
    need = memory_bytes if device.bandwidth is None else device_bytes
    require_fit(study, need, device.memory, f"there are on {name}")

    def seconds_of(config: RunConfig) -> float:
        return seconds_on(device, config)

    cells = study.cells.values()
    seconds = [seconds_of(study.configs[run_ids[0]]) for run_ids in cells for _ in run_ids]
    return _data(study, folder, jobs, name, seconds_of, max(sum(seconds) / jobs, max(seconds)))


def _data(
    study: Study,
    folder: Path,
    jobs: int,
    device: str | None,
    seconds_of: Callable[[RunConfig], float],
    seconds: float,
) -> dict:
    runs = []
    for run_ids in study.cells.values():  # seeds of a cell cost the same
        config = study.configs[run_ids[0]]
        costs = _costs(study, config, seconds_of(config))
        runs += [{"run_id": i, "config": study.configs[i].model_dump(), **costs} for i in run_ids]
    seeds = min(study.seeds, study.execution.seeds_per_program)
    largest = max(run["predicted_memory_bytes"] for run in runs)
    checkpoint = seeds * max(run["checkpoint_bytes"] for run in runs)
    return {
        "study": study.name,
        "folder": str(folder),
        "question": study.question,
        "axes": study.axes,
        "where": study.where,
        "equal": study.equal,
        "device": None if device is None else {"name": device, **asdict(DEVICES[device])},
        "jobs": jobs,
        "total_env_steps": sum(run["env_steps"] for run in runs),
        "total_updates": sum(run["updates"] for run in runs),
        "total_train_flops": sum(run["train_flops"] for run in runs),
        "predicted_run_hours": sum(run["predicted_hours"] for run in runs),
        "predicted_hours": seconds / 3600,
        "predicted_peak_memory_bytes": jobs * largest,
        "predicted_record_bytes": sum(run["record_bytes"] for run in runs),
        "predicted_checkpoint_bytes": CHECKPOINTS * min(jobs, len(study.groups)) * checkpoint,
        "groups": study.groups,
        "runs": runs,
    }


def _costs(study: Study, config: RunConfig, seconds: float) -> dict:
    """What each run of the cell of `config` has and takes."""
    seeds = min(study.seeds, study.execution.seeds_per_program)
    saved = seeds * replay_bytes(config) <= study.execution.checkpoint_replay_gb * 1e9
    return {
        "actor_parameters": actor_parameters(config),
        "critic_parameters": critic_parameters(config),
        "env_steps": config.total_env_steps,
        "updates": config.total_updates,
        "env_steps_per_update": config.env_steps_per_update,
        "update_flops": update_flops(config),
        "train_flops": train_flops(config),
        "predicted_hours": seconds / 3600,
        "predicted_memory_bytes": memory_bytes(config, seeds),
        "predicted_host_memory_bytes": host_bytes(config),
        "predicted_device_memory_bytes": device_bytes(config, seeds),
        "record_bytes": record_bytes(config),
        "checkpoint_holds_replay": saved,
        "checkpoint_bytes": checkpoint_bytes(config, saved),
    }


def study_seconds(study: Study, jobs: int) -> float:
    """Wall time of the study in `jobs` processes: the work shared out, or the longest process. The
    first process of a shape compiles, the others find its programs in the cache; the programs of one
    process compile once."""
    work = {}
    for run_ids in study.cells.values():
        work |= dict.fromkeys(run_ids, work_seconds(study.configs[run_ids[0]]))
    compiled, seconds = set(), []
    for group in study.groups:
        first = study.configs[group[0]]
        start = start_seconds(first, warm=shape(first) in compiled)
        compiled.add(shape(first))
        seconds.append(start + sum(work[run_id] for run_id in group))
    return max(sum(seconds) / jobs, max(seconds))
