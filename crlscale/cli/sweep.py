"""`crlscale sweep`: plan a study, run it, resume it, show its table."""

import inspect
import textwrap
from functools import wraps
from pathlib import Path
from typing import Annotated

import typer

from crlscale.cli.console import DEFAULT_RESULTS, Json, Results, emit_json, print_table, say
from crlscale.cli.launch_options import launching

app = typer.Typer(
    no_args_is_help=True,
    help="Plan and run a study; the same command again resumes it.",
    epilog="Example: crlscale sweep depth --min 2 --max 64",
)

Levels = Annotated[str | None, typer.Option(help="Other levels, as 4,8,12.")]
Env = Annotated[str | None, typer.Option(help="Task; see `crlscale envs`.")]
Seeds = Annotated[int | None, typer.Option(help="N seeds, 0 to N-1. Default: 3.")]
Preset = Annotated[str | None, typer.Option(help="smoke, quick, laptop or paper. Default: quick.")]
Name = Annotated[str | None, typer.Option("--study", help="Name of the study; default: from its plan.")]
Maze = Annotated[Path | None, typer.Option(help="Text file of a maze, for ENV point_maze and so on.")]
Backend = Annotated[str | None, typer.Option(help="Physics: spring, positional, generalized, mjx.")]
Protocol = Annotated[str | None, typer.Option(help="corrected, or legacy: the published setting.")]
Set = Annotated[list[str], typer.Option("--set", help="Any config field, as key=value; repeatable.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Stop after the plan; write nothing.")]
PerProgram = Annotated[int | None, typer.Option(help="Seeds that train in one program. Default: 1.")]
Threads = Annotated[int | None, typer.Option(help="Cores of one program. Default: 1.")]


def _common(
    env: Env = None,
    maze: Maze = None,
    backend: Backend = None,
    protocol: Protocol = None,
    seeds: Seeds = None,
    preset: Preset = None,
    study: Name = None,
    set: Set = [],  # noqa: B006 (typer copies it)
    seeds_per_program: PerProgram = None,
    threads: Threads = None,
    dry_run: DryRun = False,
    results: Results = DEFAULT_RESULTS,
    json: Json = False,
) -> None:
    """The options that every sweep has, in the order of its help."""


def _sweep(command):
    """Register `command`, which maps its own options to arguments of `plan_study`, as a verb that
    has the common options and those of the launchers too and runs what was planned."""
    own, common, more = map(inspect.signature, (command, _common, launching))

    @wraps(command)
    def verb(**options):
        shared = {name: options.pop(name) for name in common.parameters}
        how = launching(**{name: options.pop(name) for name in more.parameters})
        return _run(command(**options), how, **shared)

    *first, results, json = common.parameters.values()
    parameters = [*own.parameters.values(), *first, *more.parameters.values(), results, json]
    parameters.sort(key=lambda p: p.default is not inspect.Parameter.empty)
    verb.__signature__ = inspect.Signature(parameters)
    annotations = (command.__annotations__, _common.__annotations__, launching.__annotations__)
    verb.__annotations__ = {name: kind for each in annotations for name, kind in each.items()}
    app.command()(verb)
    return verb


@_sweep
def depth(
    min: Annotated[int, typer.Option(help="Smallest depth, a power of two.")] = 2,
    max: Annotated[int, typer.Option(help="Largest depth, a power of two.")] = 64,
    levels: Levels = None,
):
    """How does performance change with the depth of actor and critic?

    Example: crlscale sweep depth --min 2 --max 1024 --preset smoke
    """
    return {"axes": {"depth": _levels(min, max, levels)}}


@_sweep
def width(
    min: Annotated[int, typer.Option(help="Smallest width, a power of two.")] = 16,
    max: Annotated[int, typer.Option(help="Largest width, a power of two.")] = 512,
    levels: Levels = None,
):
    """How does performance change with the width of every hidden layer?

    Example: crlscale sweep width --min 16 --max 512 --set depth=4
    """
    return {"axes": {"width": _levels(min, max, levels)}}


@_sweep
def batch(
    min: Annotated[int, typer.Option(help="Smallest batch, a power of two.")] = 64,
    max: Annotated[int, typer.Option(help="Largest batch, a power of two.")] = 1024,
    levels: Levels = None,
):
    """How does performance change with the batch size?

    Example: crlscale sweep batch --min 64 --max 1024
    """
    return {"axes": {"batch_size": _levels(min, max, levels)}}


@_sweep
def grid(
    depths: Annotated[str | None, typer.Option(help="Depths, as 4,16,64.")] = None,
    widths: Annotated[str | None, typer.Option(help="Widths, as 32,128.")] = None,
    batches: Annotated[str | None, typer.Option(help="Batch sizes, as 128,512.")] = None,
):
    """Every combination of depths, widths and batch sizes.

    Example: crlscale sweep grid --depths 4,16,64 --widths 32,128 --batches 128,512
    """
    from crlscale.cli.settings import parse_levels
    from crlscale.errors import CrlscaleError

    asked = {
        "depth": ("--depths", depths),
        "width": ("--widths", widths),
        "batch_size": ("--batches", batches),
    }
    axes = {axis: parse_levels(flag, text) for axis, (flag, text) in asked.items() if text is not None}
    if not axes:
        raise CrlscaleError("a grid needs at least one axis", remedy="--depths 4,16,64 --widths 32,128")
    return {"axes": axes}


@_sweep
def file(path: Annotated[Path, typer.Argument(help="A study written as TOML.")]):
    """Run a written study; options given here override the file.

    Example: crlscale sweep file sweeps/quick-depth.toml
    """
    from crlscale.study import read_study_file

    return read_study_file(path)


def _levels(low: int, high: int, levels: str | None) -> list[int]:
    from crlscale.cli.settings import parse_levels, powers_of_two

    return powers_of_two(low, high) if levels is None else parse_levels("--levels", levels)


def _run(plan: dict, how, *, dry_run: bool, results: Path, json: bool, **asked) -> int:
    """Plan, register, run and show; returns the exit code."""
    from crlscale.cli.plan import plan_data, print_plan, say_finished_share
    from crlscale.study import find_planned, plan_study, register_study

    study = find_planned(results, plan_study(**_merge(plan, **asked)))
    data = plan_data(study, results / study.name, how)
    if not json:
        print_plan(study, data)
    if dry_run:
        if json:
            emit_json(data)
        return 0
    folder, study = register_study(results, study)
    code = 0
    unfinished = say_finished_share(study, folder)
    if unfinished:
        code = _launch(folder, study, how, data["jobs"])
    else:
        say("nothing to run: the study is finished")
    _show(folder, study, code, unfinished > 0, json)
    return code


def _merge(
    plan: dict, *, env, maze, backend, protocol, seeds, preset, study, set, seeds_per_program, threads
) -> dict:
    """The arguments of `plan_study` from a plan and the common options, which win."""
    from crlscale.cli.settings import parse_settings, read_maze
    from crlscale.study import Execution

    layout = None if maze is None else read_maze(maze)
    task = {"env": env, "maze": layout, "backend": backend, "protocol": protocol}
    settings = {**plan.get("settings", {}), **parse_settings(set)}
    settings |= {key: value for key, value in task.items() if value is not None}
    execution = plan.get("execution", Execution())
    asked = {"seeds_per_program": seeds_per_program, "threads": threads}
    asked = {key: value for key, value in asked.items() if value is not None}
    merged = {
        **plan,
        "settings": settings,
        "execution": execution_of({**execution.model_dump(), **asked}),
    }
    given = {"seeds": seeds, "preset": preset, "name": study}
    return merged | {key: value for key, value in given.items() if value is not None}


def execution_of(values: dict):
    """Execution from plain values; an illegal one is a CrlscaleError."""
    from pydantic import ValidationError

    from crlscale.errors import CrlscaleError
    from crlscale.study import Execution

    try:
        return Execution(**values)
    except ValidationError as refused:
        first = refused.errors()[0]
        flag = "--" + str(first["loc"][0]).replace("_", "-")
        raise CrlscaleError(
            f"{flag} {first['input']}: {first['msg'].lower()}", value=first["input"], remedy=f"{flag} 1"
        ) from None


def _launch(folder: Path, study, how, jobs: int) -> int:
    from crlscale.cli.progress import show_progress
    from crlscale.launch.launchers import launch

    with show_progress(study, jobs) as report:
        return launch(folder, study, how, report)


def _show(folder: Path, study, code: int, ran: bool, json: bool) -> None:
    """The table of the study as far as it is, its figure if it has just been finished, and what to
    type next."""
    from crlscale.cli.plot import draw_critical_depths
    from crlscale.cli.scores import read_scores
    from crlscale.report.table import study_table

    scores = read_scores(folder)
    columns, rows, records = study_table(scores)
    draw = ran and code == 0 and "depth" in study.axes
    found, files = draw_critical_depths(scores, folder / "figures") if draw else ([], [])
    if json:
        data = {"study": study.name, "folder": str(folder), "exit_code": code, "rows": records}
        emit_json({**data, "files": files})
    else:
        print_table(f"{study.name}: time at goal", columns, rows)
        for text in [result.sentence for result in found] + files:
            print(textwrap.fill(str(text), 80, break_long_words=False, break_on_hyphens=False))
    where = "" if folder.parent == DEFAULT_RESULTS else f" --results {folder.parent}"
    if code in (75, 130):
        say("stopped; what was measured is saved. The same command again goes on from there")
    elif code:
        say(
            f"some runs failed: crlscale status {study.name}{where} tells why;"
            " the same command tries them again"
        )
    if not code:
        plot = "critical-depth" if list(study.axes) == ["depth"] and not found else "learning-curves"
        say(f"next: crlscale plot {plot} {study.name}{where}")
