"""From what was asked on the command line to the study: options that every plan has, and which win."""

from pathlib import Path
from typing import Annotated

import typer

Env = Annotated[str | None, typer.Option(help="Task; see `crlscale envs`.")]
Maze = Annotated[Path | None, typer.Option(help="Text file of a maze, for ENV point_maze and so on.")]
Backend = Annotated[str | None, typer.Option(help="Physics: spring, positional, generalized, mjx.")]
Protocol = Annotated[str | None, typer.Option(help="corrected, or legacy: the published setting.")]
Seeds = Annotated[int | None, typer.Option(help="N seeds, 0 to N-1. Default: 3.")]
Preset = Annotated[str | None, typer.Option(help="smoke, quick, laptop or paper. Default: quick.")]
Name = Annotated[str | None, typer.Option("--study", help="Name of the study; default: from its plan.")]
Set = Annotated[list[str], typer.Option("--set", help="Any config field, as key=value; repeatable.")]
Where = Annotated[
    list[str],
    typer.Option(
        "--where", help="Only cells for which this holds, as 'actor_depth <= critic_depth'; repeatable."
    ),
]
PerProgram = Annotated[int | None, typer.Option(help="Seeds that train in one program. Default: 1.")]
PerProcess = Annotated[
    int | None, typer.Option(help="Runs of equal shape that one process trains in turn. Default: 1.")
]
ReplayGB = Annotated[
    float | None,
    typer.Option(
        "--checkpoint-replay-gb",
        help="Largest replay that checkpoints hold; above it a resumed run fills it anew. Default: 2.",
    ),
]
Threads = Annotated[int | None, typer.Option(help="Cores of one program. Default: 1.")]
Reduced = Annotated[
    bool, typer.Option("--reduced", help="The short version that the file has for small machines.")
]


def asked_study(
    plan: dict,
    *,
    env: Env = None,
    maze: Maze = None,
    backend: Backend = None,
    protocol: Protocol = None,
    seeds: Seeds = None,
    preset: Preset = None,
    study: Name = None,
    set: Set = [],  # noqa: B006 (typer copies it)
    where: Where = [],  # noqa: B006
    seeds_per_program: PerProgram = None,
    runs_per_process: PerProcess = None,
    threads: Threads = None,
    checkpoint_replay_gb: ReplayGB = None,
):
    """The Study of `plan`, arguments of `plan_study` and perhaps the file they are from ("source");
    the options win over it."""
    from crlscale.cli.settings import parse_settings, read_maze
    from crlscale.errors import CrlscaleError
    from crlscale.plan import plan_study
    from crlscale.study import Execution
    from crlscale.study_file import naming

    plan = dict(plan)
    source = plan.pop("source", None)
    task = {"env": env, "maze": maze and read_maze(maze), "backend": backend, "protocol": protocol}
    asked = parse_settings(set) | _given(task)
    execution = plan.get("execution", Execution())
    more = {
        "seeds_per_program": seeds_per_program,
        "runs_per_process": runs_per_process,
        "threads": threads,
        "checkpoint_replay_gb": checkpoint_replay_gb,
    }
    plan |= {
        "settings": {**plan.get("settings", {}), **asked},
        "when": _without(plan.get("when", []), asked),
        "where": [*plan.get("where", []), *where],
        "execution": execution_of({**execution.model_dump(), **_given(more)}),
        **_given({"seeds": seeds, "preset": preset, "name": study}),
    }
    try:
        return plan_study(**plan)
    except CrlscaleError as wrong:
        raise (naming(source, wrong) if source else wrong) from None


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


def _given(options: dict) -> dict:
    return {key: value for key, value in options.items() if value is not None}


def _without(when: list[dict], asked: dict) -> list[dict]:
    """The rules without the settings that were asked for by hand."""
    rules = []
    for rule in when:
        kept = {key: value for key, value in rule["set"].items() if key not in asked}
        if kept:
            rules.append({**rule, "set": kept})
    return rules
