"""What a study will take before it runs, as plain data: the runs, their cost, and the totals."""

from pathlib import Path

from crlscale.cost import Cost, cost, run_seconds
from crlscale.study import Study


def forecast(study: Study, folder: Path, jobs: int) -> dict:
    """The plan of `study`: `runs` and totals, `jobs` processes at once."""
    costs = {
        run_id: cost(config, study.execution.seeds_per_program)
        for run_id, config in study.configs.items()
    }
    seconds = study_seconds(study, jobs)
    return {
        "study": study.name,
        "folder": str(folder),
        "question": study.question,
        "axes": study.axes,
        "where": study.where,
        "equal": study.equal,
        "jobs": jobs,
        "predicted_hours": seconds / 3600,
        "predicted_peak_memory_bytes": jobs * max(c.memory_bytes for c in costs.values()),
        "groups": study.groups,
        "runs": [_run(study, run_id, costs[run_id]) for run_id in study.configs],
    }


def _run(study: Study, run_id: str, costs: Cost) -> dict:
    config = study.configs[run_id]
    return {
        "run_id": run_id,
        "config": config.model_dump(),
        "actor_parameters": costs.actor_parameters,
        "critic_parameters": costs.critic_parameters,
        "env_steps": config.total_env_steps,
        "updates": config.total_updates,
        "env_steps_per_update": config.env_steps_per_update,
        "train_flops": costs.train_flops,
        "predicted_hours": costs.seconds / 3600,
        "predicted_memory_bytes": costs.memory_bytes,
    }


def study_seconds(study: Study, jobs: int) -> float:
    """Wall time of the study in `jobs` processes: the work shared out, or the longest run. The
    first run of a cell compiles, the others find its programs in the cache."""
    seconds = [
        run_seconds(study.configs[run_id], warm=index > 0)
        for run_ids in study.cells.values()
        for index, run_id in enumerate(run_ids)
    ]
    return max(sum(seconds) / jobs, max(seconds))
