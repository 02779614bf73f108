"""`crlscale sweep`: plan a study, run it, resume it, show its table."""

import inspect
import textwrap
from functools import partial, wraps
from pathlib import Path
from typing import Annotated

import typer

from crlscale.cli.console import DEFAULT_RESULTS, Json, Results, emit_json, print_table, say
from crlscale.cli.launch_options import launching, say_what_goes_on
from crlscale.cli.plan import Device
from crlscale.cli.search import Find, MaxHours, MaxRuns, asked_budget, refuse_search, run_search
from crlscale.cli.study_options import Reduced, asked_study

app = typer.Typer(
    no_args_is_help=True,
    help="Plan and run a study; the same command again resumes it.",
    epilog="Example: crlscale sweep depth --min 2 --max 64",
)

Levels = Annotated[str | None, typer.Option(help="Other levels, as 4,8,12.")]
Tracker = Annotated[
    list[str], typer.Option(help="tensorboard, wandb or trackio as well; repeatable. Default: none.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Stop after the plan; write nothing.")]


def _common(
    tracker: Tracker = [],  # noqa: B006 (typer copies it)
    dry_run: DryRun = False,
    device: Device = None,
    results: Results = DEFAULT_RESULTS,
    json: Json = False,
) -> None:
    """What every sweep has beside the options of a study and of the launchers."""


def _sweep(command):
    """Register `command`, which maps its own options to arguments of `plan_study`, as a verb that
    has the options of a study and of the launchers too and runs what was planned."""
    own, of_study, how, common = (
        [p for p in inspect.signature(each).parameters.values() if p.name != "plan"]
        for each in (command, asked_study, launching, _common)
    )

    @wraps(command)
    def verb(**options):
        mine, asked, launch = (
            {p.name: options.pop(p.name) for p in each} for each in (own, of_study, how)
        )
        return _run(command(**mine), asked, launching(**launch), **options)

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [p.replace(kind=keyword) for p in (*own, *of_study, *how, *common)]
    parameters.sort(key=lambda p: p.default is not inspect.Parameter.empty)
    verb.__signature__ = inspect.Signature(parameters)
    verb.__annotations__ = {p.name: p.annotation for p in parameters}
    app.command()(verb)
    return verb


@_sweep
def depth(
    min: Annotated[int, typer.Option(help="Smallest depth, a power of two.")] = 2,
    max: Annotated[int, typer.Option(help="Largest depth, a power of two.")] = 64,
    levels: Levels = None,
    find: Find = None,
    max_runs: MaxRuns = None,
    max_hours: MaxHours = None,
):
    """How does performance change with the depth of actor and critic?

    Example: crlscale sweep depth --min 2 --max 1024 --preset smoke
    Example: crlscale sweep depth --find critical --seeds 5 --max-runs 20
    """
    plan = {"axes": {"depth": _levels(min, max, levels)}}
    return plan | {"search": asked_budget(find, max_runs, max_hours)}


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
def actor_critic(
    actor_depths: Annotated[str, typer.Option(help="Depths of the actor.")] = "4,16",
    critic_depths: Annotated[str, typer.Option(help="Depths of both critic encoders.")] = "4,16",
):
    """Does depth help in the actor or in the critic?

    Example: crlscale sweep actor-critic --actor-depths 4,16 --critic-depths 4,16
    """
    from crlscale.cli.settings import parse_levels

    asked = {"actor_depth": ("--actor-depths", actor_depths)}
    asked["critic_depth"] = ("--critic-depths", critic_depths)
    return {"axes": {axis: parse_levels(flag, text) for axis, (flag, text) in asked.items()}}


@_sweep
def grid(
    depths: Annotated[str | None, typer.Option(help="Depths, as 4,16,64.")] = None,
    widths: Annotated[str | None, typer.Option(help="Widths, as 32,128.")] = None,
    batches: Annotated[str | None, typer.Option(help="Batch sizes, as 128,512.")] = None,
    axis: Annotated[
        list[str], typer.Option(help="Any config field, as discount=0.9,0.99; repeatable.")
    ] = [],  # noqa: B006 (typer copies it)
    cell: Annotated[
        list[str],
        typer.Option(help="Settings that belong together, as depth=4,width=64; repeatable."),
    ] = [],  # noqa: B006
    when: Annotated[
        list[str],
        typer.Option(help="Settings of some cells, as \"env == 'ant' => env_steps=200000000\"."),
    ] = [],  # noqa: B006
    equal: Annotated[
        str | None, typer.Option(help="parameters, update_flops or train_flops of every cell equal.")
    ] = None,
    solve: Annotated[str, typer.Option(help="What --equal chooses: width or depth.")] = "width",
    reference: Annotated[
        str, typer.Option(help="The cell that the others equal.")
    ] = "depth=4,width=256",
):
    """Every combination of levels of any config fields, or a list of cells.

    Example: crlscale sweep grid --depths 4,16,64 --widths 32,128 --batches 128,512
    """
    from crlscale.cli.settings import parse_axes, parse_cell, parse_levels, parse_when
    from crlscale.errors import CrlscaleError

    asked = {
        "depth": ("--depths", depths),
        "width": ("--widths", widths),
        "batch_size": ("--batches", batches),
    }
    axes = {key: parse_levels(flag, text) for key, (flag, text) in asked.items() if text is not None}
    more = parse_axes(axis)
    for key in axes.keys() & more.keys():
        flag = asked[key][0]
        raise CrlscaleError(f"{flag} and --axis {key} are the same axis", value=key, remedy=flag)
    cells = [parse_cell("--cell", text) for text in cell]
    if not axes and not more and not cells:
        raise CrlscaleError("a grid needs at least one axis", remedy="--depths 4,16,64 --widths 32,128")
    plan = {"axes": axes | more, "cells": cells, "when": parse_when(when)}
    if equal is not None:
        known = {"what": equal, "solve": solve, "reference": parse_cell("--reference", reference)}
        plan["equal"] = known
    return plan


@_sweep
def file(
    path: Annotated[Path, typer.Argument(help="A study written as TOML.")],
    reduced: Reduced = False,
):
    """Run a written study; options given here override the file.

    Example: crlscale sweep file sweeps/depth.toml
    """
    from crlscale.study_file import read_study_file

    return {**read_study_file(path, reduced), "source": path}


def _levels(low: int, high: int, levels: str | None) -> list[int]:
    from crlscale.cli.settings import parse_levels, powers_of_two

    return powers_of_two(low, high) if levels is None else parse_levels("--levels", levels)


def _run(
    plan: dict,
    asked: dict,
    how,
    *,
    tracker: list[str],
    dry_run: bool,
    device: str | None,
    results: Path,
    json: bool,
) -> int:
    """Plan, register, run and show; returns the exit code."""
    from crlscale.cli.plan import plan_data, print_plan
    from crlscale.errors import CrlscaleError
    from crlscale.study import find_planned, register_study
    from crlscale.trackers import choose_trackers

    search = plan.pop("search", None)
    choose_trackers(tracker)
    if device is not None and not dry_run:
        raise CrlscaleError(
            f"--device {device} predicts; it does not run", value=device, remedy="with --dry-run"
        )
    study = find_planned(results, asked_study(plan, **asked))
    refuse_search(study, search)
    data = plan_data(study, results / study.name, how, device)
    if not json:
        print_plan(study, data)
    if dry_run:
        if json:
            emit_json(data)
        return 0
    folder, study = register_study(results, study)
    code = 0
    unfinished = _say_finished_share(study, folder)
    launch = partial(_launch, folder, study, how, data["jobs"])
    if search is not None:
        return run_search(folder, study, launch, search, json)
    if unfinished:
        code = launch()
    else:
        say("nothing to run: the study is finished")
    _show(folder, study, how, code, unfinished > 0, json)
    return code


def _say_finished_share(study, folder: Path) -> int:
    """Tell how much of the study is there already; returns how many runs are not."""
    from crlscale.record import FINISHED, read_status

    done = sum(read_status(folder / "runs" / i)["status"] in FINISHED for i in study.configs)
    if done:
        say(f"{done} of {len(study.configs)} runs have finished already in {folder}")
    return len(study.configs) - done


def _launch(folder: Path, study, how, jobs: int, run_ids: list[str] | None = None) -> int:
    from crlscale.cli.progress import show_progress
    from crlscale.launch.launchers import launch

    with show_progress(study, jobs) as report:
        return launch(folder, study, how, report, run_ids)


def _show(folder: Path, study, how, code: int, ran: bool, json: bool) -> None:
    """The table of the study as far as it is, its figure if it has just been finished, and what to
    type next."""
    from crlscale.cli.scores import read_scores
    from crlscale.report.table import study_table

    scores = read_scores(folder)
    columns, rows, records = study_table(scores)
    draw = ran and code == 0 and how.wait and "depth" in study.axes
    sentences, files = _draw_critical_depth(folder, scores) if draw else ([], [])
    if json:
        data = {"study": study.name, "folder": str(folder), "exit_code": code, "rows": records}
        emit_json({**data, "files": files})
    else:
        print_table(f"{study.name}: time at goal", columns, rows)
        for text in [*sentences, *files]:
            print(textwrap.fill(str(text), 80, break_long_words=False, break_on_hyphens=False))
    where = "" if folder.parent == DEFAULT_RESULTS else f" --results {folder.parent}"
    if ran and say_what_goes_on(how, study.name, where, code):
        return
    if code in (75, 130):
        say("stopped; what was measured is saved. The same command again goes on from there")
    elif code:
        say(
            f"some runs failed: crlscale status {study.name}{where} tells why;"
            " the same command tries them again"
        )
    if not code:
        plot = (
            "critical-depth" if list(study.axes) == ["depth"] and not sentences else "learning-curves"
        )
        say(f"next: crlscale plot {plot} {study.name}{where}")


def _draw_critical_depth(folder: Path, scores) -> tuple[tuple[str, ...], list[Path]]:
    """What a study with a depth axis found, and the files of its figures."""
    from crlscale.cli.plot import draw
    from crlscale.report.finding import Loaded
    from crlscale.report.kinds import find_critical_depth

    found = find_critical_depth(Loaded(folder, scores))
    return found.sentences, draw(found, folder / "figures")
