"""`crlscale sweep`: the verbs, each of which asks for a study; sweep_run.py runs it."""

import inspect
from functools import wraps
from pathlib import Path
from typing import Annotated

import typer

from crlscale.cli.console import DEFAULT_RESULTS, Json, Results
from crlscale.cli.launch_options import launching
from crlscale.cli.plan import Device
from crlscale.cli.search import Find, MaxHours, MaxRuns, asked_budget
from crlscale.cli.study_options import Reduced, asked_study
from crlscale.cli.sweep_run import run_sweep

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
        return run_sweep(command(**mine), asked, launching(**launch), **options)

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
def collector(
    collector_depths: Annotated[str, typer.Option(help="Depths of the agent that acts.")] = "4,32",
    depths: Annotated[str, typer.Option(help="Depths of the agents that learn from it.")] = "4,32",
):
    """Does depth help to explore, or to learn from what was explored?

    Example: crlscale sweep collector --collector-depths 4,32 --depths 4,32
    """
    from crlscale.cli.settings import parse_levels

    asked = {"collector_depth": ("--collector-depths", collector_depths)}
    asked["depth"] = ("--depths", depths)
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
