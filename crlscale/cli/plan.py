"""What a study will do, before it does it: the plan as a table and as JSON."""

from crlscale.cli.console import print_table, say
from crlscale.cli.words import count, size, span
from crlscale.cost import Cost, cost, run_seconds
from crlscale.launch.contract import LaunchOptions
from crlscale.launch.launchers import planned_jobs
from crlscale.record import FINISHED, read_status
from crlscale.study import Study

SHORT = {"batch_size": "batch"}


def plan_data(study: Study, folder, how: LaunchOptions) -> dict:
    """The plan for machines: `runs` and totals; refuses a study that cannot fit."""
    jobs = planned_jobs(study, how)
    costs = {
        run_id: cost(config, study.execution.seeds_per_program)
        for run_id, config in study.configs.items()
    }
    seconds = predicted_seconds(study, jobs)
    return {
        "study": study.name,
        "folder": str(folder),
        "question": study.question,
        "axes": study.axes,
        "jobs": jobs,
        "predicted_hours": seconds / 3600,
        "predicted_peak_memory_bytes": jobs * max(c.memory_bytes for c in costs.values()),
        "groups": study.groups,
        "runs": [_run_data(study, run_id, costs[run_id]) for run_id in study.configs],
    }


def _run_data(study: Study, run_id: str, costs: Cost) -> dict:
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


def predicted_seconds(study: Study, jobs: int) -> float:
    """Wall time of the study in `jobs` processes: the work shared out, or the longest run. The
    first run of a cell compiles, the others find its programs in the cache."""
    seconds = [
        run_seconds(study.configs[run_id], warm=index > 0)
        for run_ids in study.cells.values()
        for index, run_id in enumerate(run_ids)
    ]
    return max(sum(seconds) / jobs, max(seconds))


def print_plan(study: Study, data: dict) -> None:
    """The plan as a table of cells and a line of totals."""
    first = next(iter(study.configs.values()))
    cells, runs = len(study.cells), len(study.configs)
    title = f"{study.name}\n{cells} cells x {study.seeds} seeds = {runs} runs on {first.env}, preset {study.preset}"
    by_id = {run["run_id"]: run for run in data["runs"]}
    rows = []
    for levels, run_ids in study.cells.items():
        run = by_id[run_ids[0]]
        rows.append(
            [
                *map(str, levels),
                count(run["actor_parameters"]),
                count(run["critic_parameters"]),
                f"{run['env_steps']:,}",
                f"{run['updates']:,}",
                span(3600 * run["predicted_hours"]),
                size(run["predicted_memory_bytes"]),
            ]
        )
    axes = [SHORT.get(axis, axis) for axis in study.axes]
    print_table(title, [*axes, "actor", "critic", "env steps", "updates", "a run", "memory"], rows)
    print(
        f"one update per {first.env_steps_per_update:.1f} env steps\n"
        f"predicted: {span(3600 * data['predicted_hours'])} in {data['jobs']} processes of"
        f" {study.execution.threads} core, {size(data['predicted_peak_memory_bytes'])} at the peak"
    )


def say_finished_share(study: Study, folder) -> int:
    """Tell how much of the study is there already; returns how many runs are not."""
    done = sum(read_status(folder / "runs" / i)["status"] in FINISHED for i in study.configs)
    if done:
        say(f"{done} of {len(study.configs)} runs have finished already in {folder}")
    return len(study.configs) - done
