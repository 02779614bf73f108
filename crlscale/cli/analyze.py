"""`crlscale analyze`: one question to a stored study -> its answer in a sentence, tables, JSON."""

import textwrap
from pathlib import Path
from typing import Annotated

import typer

from crlscale.cli.console import DEFAULT_RESULTS, Json, Results, emit_json, print_table, say
from crlscale.cli.scores import Diverged, Physics, newest_with, read_scores

app = typer.Typer(
    no_args_is_help=True,
    help="Ask a stored study one question; the answer is a sentence with its interval.",
    epilog="Example: crlscale analyze limits",
)

StudyName = Annotated[
    str | None, typer.Argument(help="A study; the newest one with the axes asked for if left out.")
]
Margin = Annotated[
    float | None,
    typer.Option("--margin", min=0.0, help="What counts as no gain [steps]; a tenth of the best IQM."),
]


@app.command("critical-depth", epilog="Example: crlscale analyze critical-depth --diverged drop")
def critical_depth(
    study: StudyName = None,
    results: Results = DEFAULT_RESULTS,
    physics: Physics = 1,
    diverged: Diverged = "last",
    json: Json = False,
) -> None:
    """Where the score jumps with depth, by how much, and whether it does at all."""
    import numpy as np

    from crlscale.analysis.critical_depth import critical_depths
    from crlscale.report.findings import critical_depth_record, critical_depth_table

    folder, scores = _read(results, study, ("depth",), physics, diverged)
    found = critical_depths(scores, np.random.default_rng(0))
    _answer(scores, found, lambda result: [critical_depth_table(result)], json, critical_depth_record)
    _next(f"crlscale plot critical-depth {folder.name}", results, json)


@app.command("batch", epilog="Example: crlscale analyze batch --margin 2")
def batch(
    study: StudyName = None,
    results: Results = DEFAULT_RESULTS,
    margin: Margin = None,
    physics: Physics = 1,
    diverged: Diverged = "last",
    json: Json = False,
) -> None:
    """Depth against batch size: does depth unlock batch, and where do larger batches stop paying?"""
    import numpy as np

    from crlscale.analysis.batch import batch_by_depth
    from crlscale.report.scaling import batch_tables

    folder, scores = _read(results, study, ("depth", "batch_size"), physics, diverged)
    _answer(scores, batch_by_depth(scores, np.random.default_rng(0), margin), batch_tables, json)
    _next(f"crlscale analyze surface {folder.name}", results, json)


@app.command("actor-critic", epilog="Example: crlscale analyze actor-critic --json")
def actor_critic(
    study: StudyName = None,
    results: Results = DEFAULT_RESULTS,
    margin: Margin = None,
    physics: Physics = 1,
    diverged: Diverged = "last",
    json: Json = False,
) -> None:
    """Actor depth against critic depth: which pays more, and is half as deep an actor as good?"""
    import numpy as np

    from crlscale.analysis import actor_critic as analysis
    from crlscale.report.scaling import actor_critic_tables

    folder, scores = _read(results, study, analysis.AXES, physics, diverged)
    found = analysis.actor_critic(scores, np.random.default_rng(0), margin)
    _answer(scores, found, actor_critic_tables, json)
    _next(f"crlscale analyze limits {folder.name}", results, json)


@app.command("limits", epilog="Example: crlscale analyze limits --margin 1")
def limits(
    study: StudyName = None,
    results: Results = DEFAULT_RESULTS,
    margin: Margin = None,
    axis: Annotated[
        str | None,
        typer.Option("--axis", help="depth, actor_depth, critic_depth, width or batch_size."),
    ] = None,
    physics: Physics = 1,
    diverged: Diverged = "last",
    json: Json = False,
) -> None:
    """Where gains end: the saturation level, scaling laws with predictions, and diverged runs."""
    import numpy as np

    from crlscale.analysis import limits as analysis
    from crlscale.report.scaling import limits_tables

    folder, scores = _read(results, study, (axis or "depth",), physics, diverged)
    found = analysis.limits(scores, np.random.default_rng(0), margin, axis)
    _answer(scores, found, limits_tables, json)
    _next(f"crlscale plot learning-curves {folder.name}", results, json)


@app.command("surface", epilog="Example: crlscale analyze surface my-grid")
def surface(
    study: StudyName = None,
    results: Results = DEFAULT_RESULTS,
    physics: Physics = 1,
    diverged: Diverged = "last",
    json: Json = False,
) -> None:
    """Depth, width and batch size together: the best cell at each budget, and what to buy next."""
    import numpy as np

    from crlscale.analysis.surface import surfaces
    from crlscale.report.scaling import surface_tables

    axes = ("depth", "width") if study is None else ()
    folder, scores = _read(results, study, axes, physics, diverged)
    _answer(scores, surfaces(scores, np.random.default_rng(0)), surface_tables, json)
    _next(f"crlscale analyze limits {folder.name}", results, json)


def _read(results: Path, study: str | None, axes: tuple[str, ...], physics: int, diverged: str):
    """Folder and scores of the study named, or of the newest one that has all of `axes`."""
    from crlscale.study import find_study

    folder = find_study(results, study) if study else newest_with(results, axes)
    return folder, read_scores(folder, physics, diverged)


def _answer(scores, found: list, tables, json: bool, to_record=None) -> None:
    """Print each result: as one object, or its tables, its sentence, and the runs that did not end well."""
    from crlscale.report.records import record
    from crlscale.score import DIVERGED_RULES

    if json:
        rows = [(to_record or record)(result) for result in found]
        listed = [{"run_id": run_id, "status": status} for run_id, status in scores.listed]
        emit_json(
            {"study": scores.study.name, "rows": rows, "diverged": scores.diverged, "listed": listed}
        )
        return
    for result in found:
        for table in tables(result):
            print_table(*table)
        print(textwrap.fill(result.sentence, 80))
    if scores.listed:
        print(f"{len(scores.listed)} runs not complete ({DIVERGED_RULES[scores.diverged]}):")
        for run_id, status in scores.listed:
            print(f"  {run_id}: {status}")


def _next(command: str, results: Path, json: bool) -> None:
    if not json:
        say(f"next: {command}" + ("" if results == DEFAULT_RESULTS else f" --results {results}"))
