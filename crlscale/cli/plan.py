"""`crlscale plan`: what a study will do, before it does it, as a table and as JSON."""

from pathlib import Path
from typing import Annotated

import typer

from crlscale.cli.console import DEFAULT_RESULTS, Json, Results, emit_json, print_table
from crlscale.cli.launch_options import Jobs
from crlscale.cli.study_options import Reduced, asked_study
from crlscale.cli.words import count, size, span

SHORT = {"batch_size": "batch"}


def plan(
    study: Annotated[str, typer.Argument(help="A TOML file, or a study that is in --results.")],
    reduced: Reduced = False,
    jobs: Jobs = "auto",
    results: Results = DEFAULT_RESULTS,
    json: Json = False,
) -> int:
    """What will a study run, and what will it take? Writes nothing.

    Example: crlscale plan sweeps/depth.toml
    """
    from crlscale.cli.settings import parse_jobs
    from crlscale.errors import CrlscaleError
    from crlscale.forecast import forecast
    from crlscale.launch.local import choose_jobs
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
    data = forecast(planned, folder, choose_jobs(planned, parse_jobs(jobs)))
    if json:
        emit_json(data)
    else:
        print_plan(planned, data)
    return 0


def print_plan(study, data: dict) -> None:
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
