"""`crlscale plot`: a stored study -> a finding and its picture."""

import textwrap
from pathlib import Path
from typing import Annotated

import typer

from crlscale.cli.console import DEFAULT_RESULTS, Json, Results, emit_json, print_table, say
from crlscale.cli.scores import Physics, read_scores

app = typer.Typer(
    no_args_is_help=True,
    help="Draw what a stored study found, as PNG and SVG.",
    epilog="Example: crlscale plot critical-depth",
)

StudyName = Annotated[str | None, typer.Argument(help="A study; the newest one if left out.")]
Out = Annotated[
    Path | None, typer.Option("--out", help="Folder for the figures; STUDY's figures/ if left out.")
]


@app.command("critical-depth", epilog="Example: crlscale plot critical-depth --results results")
def critical_depth(
    study: StudyName = None,
    results: Results = DEFAULT_RESULTS,
    out: Out = None,
    physics: Physics = 1,
    json: Json = False,
) -> None:
    """Score over depth: every seed, the IQM with its interval, and the critical depth."""
    from crlscale.report.findings import critical_depth_record, critical_depth_table
    from crlscale.study import find_study

    folder = find_study(results, study, axis=None if study else "depth")
    scores = read_scores(folder, physics)
    found, files = draw_critical_depths(scores, out or folder / "figures")
    if json:
        rows = [critical_depth_record(result) for result in found]
        emit_json({"study": folder.name, "rows": rows, "files": files})
        return
    for result in found:
        print_table(*critical_depth_table(result))
        print(textwrap.fill(result.sentence, 80))
    _say_files(files, f"crlscale plot learning-curves {folder.name}", results)


def draw_critical_depths(scores, out: Path):
    """Results of a study with a depth axis, and the files their figures were written to."""
    import numpy as np

    from crlscale.analysis.critical_depth import critical_depths
    from crlscale.figures.critical_depth import draw_critical_depth
    from crlscale.figures.style import save

    found = critical_depths(scores, np.random.default_rng(0))
    files = []
    for result in found:
        held = [f"{axis}-{level}" for axis, level in result.fixed.items()]
        files += save(draw_critical_depth(result), out, "-".join(["critical-depth", *held]))
    return found, files


@app.command("learning-curves", epilog="Example: crlscale plot learning-curves --out figures")
def learning_curves(
    study: StudyName = None,
    results: Results = DEFAULT_RESULTS,
    out: Out = None,
    physics: Physics = 1,
    json: Json = False,
) -> None:
    """Score over env steps, one line a cell."""
    from crlscale.analysis.learning_curves import load_learning_curves
    from crlscale.figures.learning_curves import draw_learning_curves
    from crlscale.figures.style import save
    from crlscale.report.findings import learning_curve_records, learning_curve_table
    from crlscale.study import find_study

    folder = find_study(results, study)
    found = load_learning_curves(folder, read_scores(folder, physics))
    files = save(draw_learning_curves(found), out or folder / "figures", "learning-curves")
    if json:
        emit_json({"study": folder.name, "rows": learning_curve_records(found), "files": files})
        return
    print_table(*learning_curve_table(found))
    _say_files(files, "crlscale compare width-vs-depth", results)


def _say_files(files: list[Path], following: str, results: Path) -> None:
    """The written files on stdout; the next command on stderr."""
    for file in files:
        print(file)
    where = "" if results == DEFAULT_RESULTS else f" --results {results}"
    say(f"next: {following}{where}")
