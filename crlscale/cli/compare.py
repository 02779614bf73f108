"""`crlscale compare`: two axes of scale against each other, at equal cost."""

import textwrap
from pathlib import Path
from typing import Annotated

import typer

from crlscale.cli.console import DEFAULT_RESULTS, Json, Results, emit_json, print_table, say
from crlscale.cli.scores import Physics, read_scores
from crlscale.errors import CrlscaleError

app = typer.Typer(
    no_args_is_help=True,
    help="Compare two ways to spend the same cost.",
    epilog="Example: crlscale compare width-vs-depth",
)


@app.callback()
def _compare() -> None:
    """Keeps `width-vs-depth` a word of its own while it is the only one."""


@app.command("width-vs-depth", epilog="Example: crlscale compare width-vs-depth my-depths my-widths")
def width_vs_depth(
    studies: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STUDY ...]",
            help="A depth and a width study, or one grid; the newest ones if left out.",
        ),
    ] = None,
    results: Results = DEFAULT_RESULTS,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the figure; figures/ of the depth study if left out."),
    ] = None,
    physics: Physics = 1,
    json: Json = False,
) -> None:
    """Score against parameters, training FLOPs and measured hours, for depth and for width."""
    from crlscale.analysis.width_vs_depth import compare_families
    from crlscale.figures.style import save
    from crlscale.figures.width_vs_depth import draw_width_vs_depth
    from crlscale.report.findings import width_vs_depth_record, width_vs_depth_tables

    depth_folder, width_folder = _pick(results, studies or [])
    found = compare_families(read_scores(depth_folder, physics), read_scores(width_folder, physics))
    figure = draw_width_vs_depth(found)
    files = save(figure, out or depth_folder / "figures", "width-vs-depth")
    if json:
        emit_json({**width_vs_depth_record(found), "files": files})
        return
    for table in width_vs_depth_tables(found):
        print_table(*table)
    print(textwrap.fill(found.sentence, 80))
    for file in files:
        print(file)
    where = "" if results == DEFAULT_RESULTS else f" --results {results}"
    say(f"next: crlscale plot critical-depth {depth_folder.name}{where}")


def _pick(results: Path, names: list[str]) -> tuple[Path, Path]:
    """Folders of the depth and the width study."""
    from crlscale.study import find_study, load_study

    if len(names) > 2:
        raise CrlscaleError(
            f"{len(names)} studies named; a depth and a width study, or one grid, are compared",
            value=names,
            remedy="crlscale compare width-vs-depth DEPTH_STUDY WIDTH_STUDY",
        )
    if not names:
        return find_study(results, None, "depth"), find_study(results, None, "width")
    folders = [find_study(results, name) for name in names]
    axes = [load_study(folder).axes for folder in folders]
    if len(folders) == 1 and not {"depth", "width"} <= axes[0].keys():
        missing = "width" if "depth" in axes[0] else "depth"
        raise CrlscaleError(
            f"study {names[0]!r} has no {missing} axis: name a {missing} study beside it",
            value=names[0],
            remedy=f"crlscale compare width-vs-depth {names[0]} {missing.upper()}_STUDY",
        )
    if len(folders) == 2 and "width" in axes[0] and "depth" in axes[1] and "depth" not in axes[0]:
        folders.reverse()
    return folders[0], folders[-1]
