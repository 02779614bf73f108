"""`crlscale compare`: axes of scale, studies, methods and published numbers against each other."""

from pathlib import Path
from typing import Annotated

import typer

from crlscale.cli.answers import answer, print_listed, print_results, say_next
from crlscale.cli.console import DEFAULT_RESULTS, Json, Results, emit_json, say, writing_out
from crlscale.cli.scores import Diverged, Physics, newest_with, read_scores
from crlscale.errors import CrlscaleError

app = typer.Typer(
    no_args_is_help=True,
    help="Compare ways to spend the same cost, studies, methods, and published numbers.",
    epilog="Example: crlscale compare width-vs-depth",
)


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
    diverged: Diverged = "last",
    json: Json = False,
) -> None:
    """Score against parameters, training FLOPs and measured hours, for depth and for width."""
    from crlscale.analysis.width_vs_depth import compare_families
    from crlscale.figures.style import save
    from crlscale.figures.width_vs_depth import draw_width_vs_depth
    from crlscale.report.findings import width_vs_depth_record, width_vs_depth_tables
    from crlscale.report.scaling import front_table
    from crlscale.score import DIVERGED_SENTENCES

    depth_folder, width_folder = _pick(results, studies or [])
    scores = [read_scores(folder, physics, diverged) for folder in (depth_folder, width_folder)]
    found = compare_families(*scores)
    some = any(one.diverged_runs for one in scores)
    figure = draw_width_vs_depth(found, note=DIVERGED_SENTENCES[diverged] if some else "")
    with writing_out():
        files = save(figure, out or depth_folder / "figures", "width-vs-depth")
    if json:
        emit_json({**width_vs_depth_record(found), "files": files})
        return
    print_results(
        [found], lambda result: [*width_vs_depth_tables(result), front_table(result.fronts[1])]
    )
    for file in files:
        print(file)
    where = "" if results == DEFAULT_RESULTS else f" --results {results}"
    say(f"next: crlscale plot critical-depth {depth_folder.name}{where}")


@app.command("studies", epilog="Example: crlscale compare studies my-depths my-depths-legacy")
def studies(
    first: Annotated[str, typer.Argument(help="A study.")],
    second: Annotated[str, typer.Argument(help="Another one of the same task.")],
    results: Results = DEFAULT_RESULTS,
    physics: Physics = 1,
    diverged: Diverged = "last",
    json: Json = False,
) -> None:
    """First minus second on every cell that both have: difference and probability of improvement."""
    from crlscale.analysis.two_studies import compare_studies
    from crlscale.report.comparisons import studies_tables
    from crlscale.report.records import record
    from crlscale.score import DIVERGED_RULES
    from crlscale.study import find_study

    folders = [find_study(results, name) for name in (first, second)]
    found = compare_studies(*(read_scores(folder, physics, diverged) for folder in folders))
    if json:
        emit_json({"rows": [record(found)], "diverged": diverged})
        return
    print_results([found], studies_tables)
    print_listed(found.listed, DIVERGED_RULES[diverged])
    say_next(f"crlscale plot learning-curves {folders[0].name}", results, json)


@app.command("methods", epilog="Example: crlscale compare methods my-study --axis agent")
def methods(
    study: Annotated[str | None, typer.Argument(help="A study; the newest one with the axis.")] = None,
    axis: Annotated[str, typer.Option("--axis", help="The axis whose levels are compared.")] = "agent",
    results: Results = DEFAULT_RESULTS,
    physics: Physics = 1,
    diverged: Diverged = "last",
    json: Json = False,
) -> None:
    """Levels of an axis at equal env steps, updates, FLOPs, hours and parameters, against its first."""
    from crlscale.analysis.methods import compare_methods
    from crlscale.report.comparisons import methods_tables
    from crlscale.store import read_metrics
    from crlscale.study import find_study

    folder = find_study(results, study) if study else newest_with(results, (axis,))
    scores = read_scores(folder, physics, diverged)
    answer(scores, [compare_methods(scores, read_metrics(folder), axis)], methods_tables, json)
    say_next(f"crlscale plot learning-curves {folder.name}", results, json)


@app.command("paper", epilog="Example: crlscale compare paper")
def paper(
    study: Annotated[str | None, typer.Argument(help="A study; the newest one if left out.")] = None,
    results: Results = DEFAULT_RESULTS,
    pool: Annotated[
        bool, typer.Option("--pool", help="Demand differences: an error where the protocol differs.")
    ] = False,
    physics: Physics = 1,
    diverged: Diverged = "last",
    json: Json = False,
) -> None:
    """The study beside the published tables, and what differs; other protocols are never pooled."""
    from crlscale.analysis.published import against_paper
    from crlscale.report.comparisons import paper_tables
    from crlscale.study import find_study

    folder = find_study(results, study)
    scores = read_scores(folder, physics, diverged)
    found = against_paper(scores, _versions(folder, scores))
    if pool:
        found.require_pooled()
    answer(scores, [found], paper_tables, json)
    say_next(f"crlscale analyze limits {folder.name}", results, json)


@app.command(
    "observation-size",
    epilog="Example: crlscale compare observation-size ant-depths ant-widths arm-depths arm-widths",
)
def observation_size(
    studies: Annotated[
        list[str], typer.Argument(metavar="STUDY ...", help="A depth and a width study of each task.")
    ],
    results: Results = DEFAULT_RESULTS,
    physics: Physics = 1,
    diverged: Diverged = "last",
    json: Json = False,
) -> None:
    """What depth brings more than width, task by task, over the size of the observation."""
    from crlscale.analysis.observation_size import observation_size as trend
    from crlscale.analysis.width_vs_depth import compare_families
    from crlscale.report.comparisons import observation_tables
    from crlscale.report.records import record
    from crlscale.study import find_study

    by_task: dict[str, dict] = {}
    for name in studies:
        scores = read_scores(find_study(results, name), physics, diverged)
        sides = by_task.setdefault(scores.cells[0].config.env, {})
        sides |= {axis: scores for axis in ("depth", "width") if axis in scores.study.axes}
    lacking = [env for env, sides in by_task.items() if len(sides) < 2]
    if lacking:
        raise CrlscaleError(
            f"a depth and a width study of each task are needed; {', '.join(lacking)} has one",
            value=lacking,
            remedy="crlscale compare observation-size DEPTH_1 WIDTH_1 DEPTH_2 WIDTH_2",
        )
    found = trend([compare_families(sides["depth"], sides["width"]) for sides in by_task.values()])
    if json:
        emit_json({"rows": [record(found)], "diverged": diverged})
        return
    print_results([found], observation_tables)


def _versions(folder: Path, scores) -> dict[str, str]:
    """The versions of packages that the study's first scored run recorded."""
    from crlscale.store import read_metadata

    run = scores.finished[0].scored[0] if scores.finished else None
    path = folder / "runs" / (run.run_id if run else "") / "metrics.parquet"
    return read_metadata(path).get("versions", {}) if run and path.exists() else {}


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
        return tuple(
            find_study(results, None, axis, lambda study: len(study.axes) == 1)
            for axis in ("depth", "width")
        )
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
