"""`crlscale analyze`: one question to a stored study -> its answer in a sentence, tables, JSON."""

from pathlib import Path
from typing import Annotated

import typer

from crlscale.cli.answers import answer, say_next
from crlscale.cli.console import DEFAULT_RESULTS, Json, Results
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
    answer(scores, found, lambda result: [critical_depth_table(result)], json, critical_depth_record)
    say_next(f"crlscale plot critical-depth {folder.name}", results, json)


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
    answer(scores, batch_by_depth(scores, np.random.default_rng(0), margin), batch_tables, json)
    say_next(f"crlscale analyze surface {folder.name}", results, json)


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
    answer(scores, found, actor_critic_tables, json)
    say_next(f"crlscale analyze limits {folder.name}", results, json)


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
    answer(scores, found, limits_tables, json)
    say_next(f"crlscale plot learning-curves {folder.name}", results, json)


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
    answer(scores, surfaces(scores, np.random.default_rng(0)), surface_tables, json)
    say_next(f"crlscale analyze limits {folder.name}", results, json)


@app.command("methods", epilog="Example: crlscale analyze methods --over depth")
def methods(
    study: StudyName = None,
    results: Results = DEFAULT_RESULTS,
    axis: Annotated[str, typer.Option("--axis", help="The axis of methods.")] = "agent",
    over: Annotated[
        str,
        typer.Option("--over", help="depth, actor_depth, critic_depth, width or batch_size."),
    ] = "depth",
    physics: Physics = 1,
    diverged: Diverged = "last",
    json: Json = False,
) -> None:
    """Which methods gain from depth, at which cost, and which are good without it?"""
    from crlscale.analysis.gains import method_gains
    from crlscale.report.scaling import gains_tables

    folder, scores = _read(results, study, (axis, over), physics, diverged)
    answer(scores, method_gains(scores, axis, over), gains_tables, json)
    say_next(f"crlscale plot methods {folder.name}", results, json)


@app.command("learning-curves", epilog="Example: crlscale analyze learning-curves --threshold 10")
def learning_curves(
    study: StudyName = None,
    results: Results = DEFAULT_RESULTS,
    threshold: Annotated[
        list[float] | None,
        typer.Option(
            "--threshold", help="Score to reach [steps]; again for more. Default: shares of the best."
        ),
    ] = None,
    physics: Physics = 1,
    diverged: Diverged = "last",
    json: Json = False,
) -> None:
    """Area under each curve, env steps to thresholds, and runs that collapsed late."""
    from crlscale.analysis.curve_summary import summarise
    from crlscale.analysis.learning_curves import load_learning_curves
    from crlscale.report.scaling import curves_tables

    folder, scores = _read(results, study, (), physics, diverged)
    found = summarise(load_learning_curves(folder, scores), tuple(threshold or ()))
    answer(scores, [found], curves_tables, json)
    say_next(f"crlscale plot learning-curves {folder.name}", results, json)


def _read(results: Path, study: str | None, axes: tuple[str, ...], physics: int, diverged: str):
    """Folder and scores of the study named, or of the newest one that has all of `axes`."""
    from crlscale.study import find_study

    folder = find_study(results, study) if study else newest_with(results, axes)
    return folder, read_scores(folder, physics, diverged)
