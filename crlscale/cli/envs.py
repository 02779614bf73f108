"""`crlscale envs`: the tasks, what they are, how fast they step here and how they look."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from crlscale.cli.console import Json, emit_json, say, writing_out
from crlscale.cli.task_words import SIZES, list_tasks, show_task
from crlscale.errors import CrlscaleError

Names = Annotated[list[str] | None, typer.Argument(help="Tasks; all of them if left out.")]
Maze = Annotated[Path | None, typer.Option(help="Text file of a maze, for NAME point_maze and so on.")]
SpeedFlag = Annotated[bool, typer.Option("--speed", help="Measure env steps/s here, on one core.")]
Draw = Annotated[bool, typer.Option("--draw", help="Draw the named tasks: a map and a frame.")]
Out = Annotated[Path, typer.Option("--out", help="Folder for the pictures of --draw.")]


def envs(
    names: Names = None,
    maze: Maze = None,
    speed: SpeedFlag = False,
    draw: Draw = False,
    out: Out = Path("figures"),
    json: Json = False,
) -> int:
    """The tasks: sizes, goal, success radius, episode, backend and steps/s measured here; one task
    in full by its name.

    Example: crlscale envs ant_u_maze
    """
    specs = _specs(names or [], maze)
    if speed and draw:
        raise CrlscaleError("--speed and --draw are two commands", value=None, remedy="--speed")
    if speed:
        return _speed(specs, json)
    if draw:
        return _draw(specs if names else [], out, json)
    if json:
        return _as_json(specs)
    if len(names or []) == 1:
        show_task(specs[0])
    else:
        list_tasks(specs)
    return 0


def _specs(names: list[str], maze: Path | None) -> list:
    """The specs of `names`, in the maze of a file if there is one; of every task without names."""
    from crlscale.cli.settings import read_maze
    from crlscale.envs.registry import task_names, task_spec
    from crlscale.envs.spec import Options

    if maze is not None and not names:
        raise CrlscaleError(
            "--maze needs a task by name", value=str(maze), remedy=f"point_maze --maze {maze}"
        )
    options = Options(maze=None if maze is None else read_maze(maze))
    return [task_spec(name, options) for name in names or task_names()]


def _as_json(specs: list) -> int:
    from crlscale.bench.speeds import known_speeds
    from crlscale.config import DEFAULT_ENV

    emit_json({"default": DEFAULT_ENV, "rows": [_record(spec, known_speeds()) for spec in specs]})
    return 0


def _record(spec, speeds: dict) -> dict:
    """A spec with what follows from it, as JSON says it."""
    from crlscale.envs.registry import family_of

    found = speeds.get(spec.name)
    return {
        **asdict(spec),
        "success_radius": spec.success_radius,
        "goal_cells": spec.goal_cells,
        "env_step_seconds": spec.env_step_seconds,
        "legal_options": sorted(family_of(spec).options),
        "speed": None if found is None else asdict(found),
    }


# --- measuring and drawing -----------------------------------------------------------------
def _speed(specs: list, json: bool) -> int:
    """Measure, and remember unless in a maze of the user's; each line as soon as it is known."""
    from crlscale.bench.env_steps import bench_envs
    from crlscale.bench.speeds import remember_speed

    rows, width = [], max(len(spec.name) for spec in specs)
    say("random actions, one core, by CPU time; compiling takes most of it")
    if not json:
        print(f"{'task':<{width}}  envs  env steps/s")
    for row in bench_envs(specs, SIZES, threads=1, cached=True):
        rows.append(row)
        if all(spec.options.maze is None for spec in specs):
            remember_speed(row)
        if not json:
            line = f"{row.env:<{width}}  {row.num_envs:>4}  {row.env_steps_per_second:>11,.0f}"
            print(line, flush=True)
    if json:
        keys = ("env", "num_envs", "env_steps_per_second")
        emit_json({"rows": [{key: getattr(row, key) for key in keys} for row in rows]})
    return 0


def _draw(specs: list, out: Path, json: bool) -> int:
    """A map of each task, and a frame of its scene where a renderer is at hand."""
    if not specs:
        raise CrlscaleError(
            "--draw needs a task by name", value=None, remedy="crlscale envs ant_u_maze --draw"
        )
    from crlscale.figures.style import save
    from crlscale.figures.task_map import draw_task_map, save_frame
    from crlscale.render import look_at

    rows = []
    for spec in specs:
        look = look_at(spec)
        with writing_out():
            files = save(draw_task_map(look.map), out, f"{spec.name}-map")
            if look.frame is not None:
                files.append(save_frame(look.frame, out / f"{spec.name}-scene.png"))
        rows.append({"task": spec.name, "files": files, "no_frame": look.no_frame})
        if not json:
            print("\n".join(map(str, files)))
            if look.no_frame:
                say(f"{spec.name}: no frame: {look.no_frame}")
    if json:
        emit_json({"rows": rows})
    return 0
