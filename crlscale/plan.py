"""A grid and seeds -> a Study: complete configs, and which runs share a program and a process."""

import re
from collections import defaultdict
from datetime import UTC, datetime

import crlscale
from crlscale.cells import Cell, Grid
from crlscale.config import RunConfig, short_hash
from crlscale.errors import CrlscaleError
from crlscale.presets import preset_settings
from crlscale.settings import make_config
from crlscale.shape import shape
from crlscale.study import Execution, Study, axis_word, tasks_of

MOST_RUNS = 100_000  # planning them takes 17 s of CPU and 0.6 GB; more is likelier a slip


def plan_study(
    axes: dict[str, list],
    *,
    cells: list[dict] | None = None,
    when: list[dict] | None = None,
    equal: dict | None = None,
    where: list[str] | None = None,
    seeds: int = 3,
    preset: str = "quick",
    settings: dict | None = None,
    name: str | None = None,
    question: str = "",
    execution: Execution | None = None,
) -> Study:
    """The study of every cell of a `Grid` with seeds 0..seeds-1.

    Settings of the preset are overridden by `settings`, those by axes and cells, those by `when`.
    An illegal level is a CrlscaleError before anything is written, and so are more than MOST_RUNS."""
    execution = execution or Execution()
    grid = Grid(axes, cells or [], when or [], equal, where or [])
    if not isinstance(seeds, int) or seeds < 1:
        raise CrlscaleError(
            f"seeds = {seeds!r}: a study needs at least one seed", value=seeds, remedy="--seeds 3"
        )
    settings = dict(settings or {})
    grid.check(settings)
    found = grid.expand(preset_settings(preset) | settings, MOST_RUNS)
    _refuse_too_many(len(found), seeds)
    runs = [[make_config({**cell.values, "seed": seed}) for seed in range(seeds)] for cell in found]
    configs = {config.run_id: config for of_cell in runs for config in of_cell}
    if len(configs) < seeds * len(found):
        raise _same_run(runs)
    identity = {"configs": sorted(configs), "execution": execution.identity()}
    fields = grid.fields
    return Study(
        name=_default_name(fields, configs, preset, identity) if name is None else _check_name(name),
        question=question or _default_question(fields, configs),
        axes={field: _levels(field, runs) for field in fields},
        where=grid.where,
        equal=_record_equal(equal, found, runs),
        seeds=seeds,
        preset=preset,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        code_version=crlscale.__version__,
        execution=execution,
        groups=group_runs(runs, execution),
        configs=configs,
    )


def group_runs(cells: list[list[RunConfig]], execution: Execution) -> list[list[str]]:
    """Run ids by process. Neighbouring seeds of a cell make a program, `seeds_per_program` at a time;
    programs of equal shape and number of seeds share a process up to `runs_per_process` runs."""
    per_program = execution.seeds_per_program
    shapes = defaultdict(list)  # in the order of the plan
    for of_cell in cells:
        for start in range(0, len(of_cell), per_program):
            program = of_cell[start : start + per_program]
            key = (shape(program[0]), len(program)) if execution.runs_per_process > 1 else None
            shapes[key].append([config.run_id for config in program])
    groups = []
    for programs in shapes.values():
        at_a_time = max(1, execution.runs_per_process // len(programs[0]))
        for start in range(0, len(programs), at_a_time):
            groups.append(
                [run_id for program in programs[start : start + at_a_time] for run_id in program]
            )
    return groups


def _refuse_too_many(cells: int, seeds: int) -> None:
    if cells * seeds > MOST_RUNS:
        raise CrlscaleError(
            f"{cells:,} cell{'s' * (cells != 1)} x {seeds:,} seeds = {cells * seeds:,} runs; a study has"
            f" at most {MOST_RUNS:,}",
            value=seeds,
            remedy=f"--seeds {min(5, MOST_RUNS // cells)}",
        )


# --- what a study says of itself ---------------------------------------------------------------
def _levels(field: str, runs: list[list[RunConfig]]) -> list:
    """The levels of a field that are there, in the order of the plan."""
    levels = []
    for of_cell in runs:
        level = getattr(of_cell[0], field)
        if level not in levels:
            levels.append(level)
    return levels


def _record_equal(equal: dict | None, found: list[Cell], runs: list[list[RunConfig]]) -> dict | None:
    """What was made equal, and how nearly: run id of a cell's first seed -> share of the reference."""
    if equal is None:
        return None
    ratios = {of_cell[0].run_id: cell.ratio for cell, of_cell in zip(found, runs, strict=True)}
    return {**equal, "ratios": ratios}


def _same_run(runs: list[list[RunConfig]]) -> CrlscaleError:
    seen = set()
    for first, *_ in runs:
        if first.run_id in seen:
            break
        seen.add(first.run_id)
    return CrlscaleError(
        f"two cells have the same settings ({first.run_id}): an axis names a level twice, or one level"
        " is what another stands for",
        value=first.run_id,
        remedy="name each level once",
    )


def _default_name(fields: list[str], configs: dict, preset: str, identity: dict) -> str:
    words = [axis_word(field) for field in fields if field != "env"] or ["env"]
    tasks = tasks_of(configs.values()).replace(" ", "_")
    tail = f"-{tasks}-{preset}-{short_hash(identity)}"
    return "-".join(words)[: 100 - len(tail)] + tail


def _default_question(fields: list[str], configs: dict) -> str:
    varied = " and ".join(field for field in fields if field != "env") or "the task"
    return f"How does time at goal on {tasks_of(configs.values())} change with {varied}?"


def _check_name(name: str) -> str:
    if not re.fullmatch(r"\w[\w.-]{0,99}", name):
        raise CrlscaleError(
            f"study name {name!r}: at most 100 letters, digits, '-', '_' and '.', the first no sign",
            value=name,
            remedy="--study my-study",
        )
    return name
