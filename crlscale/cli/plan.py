"""`crlscale plan`: what a study will do, before it does it, as a table and as JSON."""

import textwrap
from pathlib import Path
from typing import Annotated

import typer

from crlscale.cli.console import DEFAULT_RESULTS, Json, Results, emit_json, print_table, say
from crlscale.cli.launch_options import Jobs, launching
from crlscale.cli.study_options import Reduced, asked_study
from crlscale.cli.words import count, several, size, span

Device = Annotated[
    str | None,
    typer.Option(help="Predict for a100, h100, rtx-4090 or cpu; default: this machine."),
]
SHORT = {"batch_size": "batch", "actor_depth": "actor", "critic_depth": "critic"}
SAID_ONCE = {
    "params": "{} parameters",
    "FLOPs": "{} FLOPs",
    "steps": "{} env steps",
    "updates": "{} updates",
    "a run": "{} long",
    "memory": "{} of memory",
    "host": "{} of host memory",
    "device": "{} of device memory",
    "disk": "{} of disk",
}


def plan(
    study: Annotated[str, typer.Argument(help="A TOML file, or a study that is in --results.")],
    reduced: Reduced = False,
    device: Device = None,
    jobs: Jobs = "auto",
    results: Results = DEFAULT_RESULTS,
    json: Json = False,
) -> int:
    """What will a study run, and what will it take? Writes nothing.

    Example: crlscale plan sweeps/depth.toml
    """
    from crlscale.errors import CrlscaleError
    from crlscale.study import find_planned, find_study, load_study
    from crlscale.study_file import read_study_file

    if study.endswith(".toml"):
        path = Path(study)
        asked = asked_study({**read_study_file(path, reduced), "source": path})
        planned, folder = find_planned(results, asked), results / asked.name
    elif reduced:
        raise CrlscaleError(
            "--reduced is for TOML files", value=study, remedy=f"crlscale plan {study} without it"
        )
    else:
        folder = find_study(results, study)
        planned = load_study(folder)
    data = plan_data(planned, folder, launching(jobs=jobs), device)
    if json:
        emit_json(data)
    else:
        print_plan(planned, data)
        verb = "sweep file" if study.endswith(".toml") else "status"
        say(f"next: crlscale {verb} {study}{' --reduced' if reduced else ''}")
    return 0


def plan_data(study, folder: Path, how, device: str | None = None) -> dict:
    """The plan of `study` launched as `how` on this machine, or on `device` of the table."""
    from crlscale.forecast import forecast, forecast_on
    from crlscale.launch.launchers import planned_jobs
    from crlscale.launch.local import check_jobs

    if device is None:
        return forecast(study, folder, planned_jobs(study, how))
    check_jobs(how.jobs)
    return forecast_on(device, study, folder, how.jobs)


def print_plan(study, data: dict) -> None:
    """The plan as a table of cells, what is the same in all of them, and the totals."""
    cells = len(study.cells)
    title = f"{several(cells, 'cell')} x {several(study.seeds, 'seed')}"
    title += f" = {several(len(study.configs), 'run')}, preset {study.preset}"
    by_id = {run["run_id"]: run for run in data["runs"]}
    firsts = [by_id[run_ids[0]] for run_ids in study.cells.values()]
    columns = {SHORT.get(axis, axis): [] for axis in study.axes}
    for levels in study.cells:
        for column, level in zip(columns.values(), levels, strict=True):
            column.append(_as_asked(level))
    costs = _cost_columns(study, data, firsts)
    same = {name: cell[0] for name, cell in costs.items() if len(set(cell)) == 1 and cells > 1}
    columns |= {name: cell for name, cell in costs.items() if name not in same}
    print(study.name)
    _print_wrapped(study.question)
    print(title)
    print_table("", list(columns), list(map(list, zip(*columns.values(), strict=True))))
    for text in [_said_once(study, same), *_totals(study, data)]:
        _print_wrapped(text)


def _as_asked(level) -> str:
    """A level as one types it."""
    words = {None: "null", True: "true", False: "false"}
    return words[level] if level is None or isinstance(level, bool) else str(level)


def _print_wrapped(text: str) -> None:
    print(textwrap.fill(text, 80, break_long_words=False, break_on_hyphens=False))


def _cost_columns(study, data: dict, runs: list[dict]) -> dict[str, list[str]]:
    """What a run of each cell has and takes, by column."""
    columns = {}
    if study.equal:
        ratios = study.equal["ratios"]
        columns[study.equal["solve"]] = [str(run["config"][study.equal["solve"]]) for run in runs]
        columns["ratio"] = [f"{ratios[run['run_id']]:.3f}" for run in runs]
    columns |= {
        "params": [count(run["actor_parameters"] + run["critic_parameters"]) for run in runs],
        "FLOPs": [count(run["train_flops"]) for run in runs],
        "steps": [count(run["env_steps"]) for run in runs],
        "updates": [count(run["updates"]) for run in runs],
        "a run": [span(3600 * run["predicted_hours"]) for run in runs],
    }
    if data["device"] and data["device"]["bandwidth"]:
        columns["host"] = [size(run["predicted_host_memory_bytes"]) for run in runs]
        columns["device"] = [size(run["predicted_device_memory_bytes"]) for run in runs]
    else:
        columns["memory"] = [size(run["predicted_memory_bytes"]) for run in runs]
    columns["disk"] = [size(run["record_bytes"] + run["checkpoint_bytes"]) for run in runs]
    if len(study.axes) > 1 and len(set(columns["updates"])) > 1:
        del columns["updates"]  # in step with the env steps, and the table is full
    return columns


def _said_once(study, same: dict[str, str]) -> str:
    configs = study.configs.values()
    ratios = sorted({round(config.env_steps_per_update, 1) for config in configs})
    told = [SAID_ONCE.get(name, name + " {}").format(text) for name, text in same.items()]
    tasks = {config.env for config in configs}
    if len(tasks) == 1:
        told.insert(0, f"on {tasks.pop()}")
    per_update = str(ratios[0]) if len(ratios) == 1 else f"{ratios[0]} to {ratios[-1]}"
    return f"each run: {', '.join([*told, f'one update per {per_update} env steps'])}"


def _totals(study, data: dict) -> list[str]:
    """What the whole study is and takes; what is predicted says so, and for what."""
    jobs, device, threads = data["jobs"], data["device"], study.execution.threads
    exact = f"all: {count(data['total_env_steps'])} env steps, {count(data['total_updates'])} updates,"
    hours = f"{span(3600 * data['predicted_hours'])} (runs one by one"
    hours += f" {span(3600 * data['predicted_run_hours'])})"
    if device is None:
        cores = several(threads, "core")
        peak = size(data["predicted_peak_memory_bytes"])
        where = (
            f"predicted for this machine: {hours} in {jobs} process{'es' * (jobs != 1)} of {cores},"
            f" {peak} at the peak"
        )
    else:
        where = f"predicted for {jobs} x {device['title']} ({size(device['memory'])}): {hours}"
    disk = f"disk: {size(data['predicted_record_bytes'])} stay, checkpoints of up to"
    disk += f" {size(data['predicted_checkpoint_bytes'])} while it runs"
    if not all(run["checkpoint_holds_replay"] for run in data["runs"]):
        limit = study.execution.checkpoint_replay_gb
        disk += f" (a replay over {limit:g} GB is not in them; --checkpoint-replay-gb)"
    return [f"{exact} {count(data['total_train_flops'])} FLOPs", where, disk]
