"""What `crlscale envs` says of tasks: a list by family, or one task in full."""

import textwrap
from itertools import groupby

from crlscale.cli.console import say

WIDTH = 80
SIZES = (64, 256)  # parallel envs that steps/s are told for
FAILURES = {
    "ant": ("torso below 0.2 m or above 1 m",),
    "humanoid": ("torso below 1 m or above 2 m",),
}


# --- the list ------------------------------------------------------------------------------
def list_tasks(specs: list) -> None:
    """By family, what its tasks share said once; then a line a task."""
    from crlscale.bench.speeds import known_speeds
    from crlscale.config import DEFAULT_ENV

    speeds, width = known_speeds(), max(len(spec.name) for spec in specs)
    for heading, family in groupby(specs, key=_heading):
        _print_filled(*heading)
        print(_line("task", width, "state+goal", "action", "cells", "goal sets", *map(str, SIZES)))
        for aim, group in groupby(family, key=_aim):
            _print_filled(aim)
            for spec in group:
                print(_row(spec, width, speeds))
        print()
    columns = " and ".join(map(str, SIZES))
    _print_filled(
        f"default: {DEFAULT_ENV}; chain_N exists for N from 2 to 64; a maze of your own is --env"
        f" point_maze, ant_maze or humanoid_maze. Columns {columns}: env steps/s with so many parallel"
        f" envs, {_measured_words(speeds)}"
    )
    say("next: crlscale envs NAME, crlscale envs NAME --draw, crlscale envs NAME --speed")


def _print_filled(*lines: str) -> None:
    for line in lines:
        print(textwrap.fill(line, WIDTH, subsequent_indent="  ", break_on_hyphens=False))


def _heading(spec) -> tuple[str, str]:
    of = f" of {spec.env_step_seconds:g} s" if spec.engine else ""
    title = f"{spec.family.upper()}: {spec.episode_length} steps{of}, {_backends(spec)}"
    return title, f"source: {spec.source}"


def _aim(spec) -> str:
    return f"goal {spec.goal}; success within {_radii(spec)}"


def _row(spec, width: int, speeds: dict) -> str:
    cells = "-" if spec.goal_cells is None else str(spec.goal_cells)
    sizes = f"{spec.state_size}+{spec.goal_size}", str(spec.action_size)
    rates = (_rate(spec, speeds, size) for size in SIZES)
    return _line(spec.name, width, *sizes, cells, ", ".join(spec.goal_sets), *rates)


def _line(name: str, width: int, sizes, action, cells, goal_sets, *rates: str) -> str:
    columns = f"  {name:<{width}} {sizes:>10} {action:>6} {cells:>5}  {goal_sets:<14}"
    return columns + "".join(f" {rate:>7}" for rate in rates)


def _rate(spec, speeds: dict, num_envs: int) -> str:
    rate = speeds[spec.name].rates.get(num_envs) if spec.name in speeds else None
    if rate is None:
        return "-"
    return f"{rate:,.0f}" if rate < 99_999 else f"{rate / 1e6:.2f} M"


def _measured_words(speeds: dict) -> str:
    if not speeds:
        return "none measured on this machine yet: `crlscale envs --speed`."
    days = sorted({speed.day for speed in speeds.values()})
    days = " to ".join(dict.fromkeys((days[0], days[-1])))
    devices = ", ".join(sorted({speed.device for speed in speeds.values()}))
    return f"random actions, one core, measured {days} on {devices}; - is not measured."


# --- one task ------------------------------------------------------------------------------
def show_task(spec) -> None:
    from crlscale.bench.speeds import known_speeds

    print(spec.name)
    for key, text in _facts(spec, known_speeds()):
        indent = " " * 18
        print(textwrap.fill(f"  {key:<16}{text}", WIDTH, subsequent_indent=indent))
    if spec.maze:
        legend = "# pit (border: wall)" if spec.maze.pits else "# wall"
        print(f"  {'layout':<16}{legend}, R start, F far goal, . other goal")
        print(textwrap.indent("\n".join(spec.maze.rows), " " * 18))
    say(f"next: crlscale envs {spec.name} --draw, or crlscale sweep depth --env {spec.name}")


def _facts(spec, speeds: dict) -> list[tuple[str, str]]:
    """What is known of one task, as (key, text)."""
    facts = [
        ("goal", f"{spec.goal}; {spec.goal_size} numbers"),
        ("success", f"within {_radii(spec)} of the commanded goal"),
        ("state", f"{spec.state_size} numbers, {_goal_in_state(spec)}"),
        ("action", f"{spec.action_size} numbers in [-1, 1]"),
        ("episode", f"{spec.episode_length} steps; discount {spec.discount} by default"),
        ("physics", _engine(spec)),
        ("failure", _failure(spec)),
        ("goal sets", f"{', '.join(spec.goal_sets)}; {spec.goal_sets[0]} scores by default"),
    ]
    if spec.cases is not None:
        far = sum(case.far for case in spec.cases)
        facts.append(("goal cells", f"{len(spec.cases)}, of them {far} far"))
    if spec.legacy_time_step:
        facts.append(("published", "ran with another time step: --set time_step=published"))
    rates = ", ".join(f"{_rate(spec, speeds, n)} with {n} envs" for n in SIZES)
    known = speeds.get(spec.name)
    where = f"measured {known.day} on {known.device}" if known else "`crlscale envs --speed` measures"
    return [*facts, ("options", _options(spec)), ("steps/s", f"{rates} ({where})"),
            ("source", spec.source)]  # fmt: skip


def _failure(spec) -> str:
    """What ends an episode early."""
    failures = list(FAILURES.get(spec.family.split("_")[0], ()))
    if spec.maze and spec.maze.pits:
        failures.append("over a pit")
    return ", ".join(failures) or "never"


def _radii(spec) -> str:
    """ "0.5" or "0.5 (easy 2, hard 0.1)"."""
    others = [f"{name} {radius:g}" for name, radius in spec.radii if radius != spec.success_radius]
    return f"{spec.success_radius:g}" + (f" ({', '.join(others)})" if others else "")


def _backends(spec) -> str:
    """The backend in force, and the others that run the task."""
    if spec.engine is None:
        return "pure JAX"
    others = [name for name in spec.engine.backends if name != spec.engine.backend]
    return spec.engine.backend + (f" (also {', '.join(others)})" if others else "")


def _engine(spec) -> str:
    if spec.engine is None:
        return _backends(spec)
    steps = f"{spec.engine.sub_steps} x {spec.engine.time_step:g} s"
    return f"{_backends(spec)}, env step {spec.env_step_seconds:g} s = {steps}"


def _goal_in_state(spec) -> str:
    if spec.options.goal_in_state:
        return "the commanded goal among them"
    legacy = "; the published one holds it: --set goal_in_state=true" if spec.legacy_in_state else ""
    return f"without the commanded goal{legacy}"


def _options(spec) -> str:
    """How each option that the task has is typed."""
    from crlscale.envs.registry import family_of

    engine, radii = spec.engine, [name for name, _ in spec.radii]
    options = family_of(spec).options
    typed = {
        "backend": f"--backend {'|'.join(engine.backends)}" if engine else "",
        "success": f"--set success={'|'.join(radii)}" if len(radii) > 1 else "",
        "goals": "--set goals=single",
        "goal_in_state": "--set goal_in_state=true",
        "time_step": "--set time_step=published" if spec.legacy_time_step else "",
        "friction": "--set friction=NUMBER",
        "maze": f"--env {spec.family}_maze --maze FILE",
        "stitch": "--set stitch=K",
    }
    found = [typed[name] for name in typed if name in options and typed[name]]
    return "; ".join(found) or "none"
