"""Study: a planned set of runs, fixed and written down before anything runs; found again by name."""

import json
import os
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crlscale.config import RunConfig
from crlscale.errors import CrlscaleError
from crlscale.files import damaged
from crlscale.parquet import refuse_newer
from crlscale.store import read_json, write_json

STUDY_SCHEMA = 2  # 2: runs_per_process, checkpoint_replay_gb, where, equal


class Execution(BaseModel):
    """How the runs are put into processes; fixed by the plan, since it can move results by rounding."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    seeds_per_program: int = Field(1, ge=1, description="seeds of a cell that train in one program")
    threads: int = Field(1, ge=1, description="cores that one program may use")
    runs_per_process: int = Field(
        1, ge=1, description="runs that one process trains, program after program; at least a program"
    )
    checkpoint_replay_gb: float = Field(
        2.0, ge=0, description="largest replay of a program that its checkpoints hold [GB]"
    )

    def identity(self) -> dict:
        """What tells studies apart by name; a field that came later counts where it was asked for."""
        values = self.model_dump()
        for later, default in (("runs_per_process", 1), ("checkpoint_replay_gb", 2.0)):
            if values[later] == default:
                del values[later]
        return values


class Study(BaseModel):
    """A planned set of runs that answers one question. `axes` maps config fields to levels, which
    tell the cells apart (not every combination need be there: `where` says what was left out);
    `groups` lists the run ids that share a process; `configs` maps run ids to complete configs.
    `equal`: what was solved for, {"what", "solve", "reference", "ratios": run id of the first seed of
    a cell -> share of what its reference has}."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = STUDY_SCHEMA
    name: str
    question: str
    axes: dict[str, list[Any]]
    where: list[str] = []
    equal: dict[str, Any] | None = None
    seeds: int
    preset: str
    created: str
    code_version: str
    execution: Execution
    groups: list[list[str]]
    configs: dict[str, RunConfig]

    @cached_property
    def cells(self) -> dict[tuple, list[str]]:
        """Levels of the axes -> run ids of the seeds."""
        cells: dict[tuple, list[str]] = {}
        for run_id, config in self.configs.items():
            levels = tuple(getattr(config, axis) for axis in self.axes)
            cells.setdefault(levels, []).append(run_id)
        return cells

    def same_plan(self, other: "Study") -> bool:
        """Whether both ask for the same runs, in the same processes, for the same question."""
        parts = ("axes", "execution", "groups", "configs")
        return all(getattr(self, part) == getattr(other, part) for part in parts)


def register_study(results: Path, study: Study) -> tuple[Path, Study]:
    """Write study.json, or find the same study there already; returns its folder and the study
    as it is on disk. Another study of that name is an error and stays as it is."""
    folder = Path(results) / study.name
    if (folder / "study.json").exists():
        found = load_study(folder)
        if not found.same_plan(study):
            raise CrlscaleError(
                f"study {study.name!r} exists in {results} with another plan"
                f" ({_first_difference(found, study)})",
                value=study.name,
                remedy="another --study NAME, or the settings it was planned with",
            )
        return folder, found
    write_json(folder / "study.json", study.model_dump(mode="json"))
    return folder, study


def find_planned(results: Path, study: Study) -> Study:
    """The same study as it is on disk, if it is there under its name; else `study` as it is."""
    path = Path(results) / study.name / "study.json"
    return register_study(results, study)[1] if path.exists() else study


def load_study(folder: Path) -> Study:
    """The study written in `folder`; unreadable or newer ones are a CrlscaleError."""
    path = Path(folder) / "study.json"
    data = read_json(path)
    refuse_newer(path, data.get("schema_version"), STUDY_SCHEMA)
    try:
        return Study.model_validate_json(json.dumps(data))
    except ValidationError as refused:
        first = refused.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise damaged(path, f"damaged at {where}: {first['msg'].lower()}") from None
    except CrlscaleError as refused:  # a config that is not legal
        raise damaged(path, f"damaged: {refused.message}") from None


def find_study(
    results: Path,
    name: str | None = None,
    axis: str | None = None,
    prefer: Callable[[Study], bool] = lambda study: True,
) -> Path:
    """Folder of the named study, else of the newest one (by `created`) that has `axis`; one that
    `prefer` holds for goes before all others."""
    results = Path(results)
    folders = sorted(path.parent for path in results.glob("*/study.json"))
    if name is not None:
        folder = results / name
        if folder in folders:
            return folder
        if os.path.exists(Path(name, "study.json")):
            return Path(name)
        listed = ", ".join(f.name for f in folders) or "none"
        raise CrlscaleError(
            f"no study {name!r} in {results}; there are: {listed}", value=name, remedy="crlscale status"
        )
    loaded = [(load_study(folder), folder) for folder in folders]
    fitting = [
        (prefer(study), study.created, folder)
        for study, folder in loaded
        if axis is None or axis in study.axes
    ]
    if not fitting:
        wanted = f"a study with axis {axis!r}" if axis else "a study"
        verb = "grid --axis agent=crl,sac" if axis == "agent" else axis_word(axis or "depth")
        remedy = f"crlscale sweep {verb} --preset smoke"
        raise CrlscaleError(f"{results} does not hold {wanted}", value=str(results), remedy=remedy)
    return max(fitting)[-1]


def axis_word(axis: str) -> str:
    """An axis as names of studies and `crlscale sweep` call it."""
    return {"batch_size": "batch"}.get(axis, axis)


def tasks_of(configs: Iterable[RunConfig]) -> str:
    """The task of these runs, or how many there are: "3 tasks"."""
    tasks = {config.env for config in configs}
    return tasks.pop() if len(tasks) == 1 else f"{len(tasks)} tasks"


def _first_difference(found: Study, wanted: Study) -> str:
    if found.axes != wanted.axes:
        return f"axes {found.axes} there, {wanted.axes} asked for"
    if found.seeds != wanted.seeds:
        return f"seeds {found.seeds} there, {wanted.seeds} asked for"
    for key in Execution.model_fields:
        old, new = getattr(found.execution, key), getattr(wanted.execution, key)
        if old != new:
            return f"{key} {old} there, {new} asked for"
    for old, new in zip(found.configs.values(), wanted.configs.values(), strict=False):
        for key in RunConfig.model_fields:
            if getattr(old, key) != getattr(new, key):
                return f"{key} = {getattr(old, key)!r} there, {getattr(new, key)!r} asked for"
    return "other runs"
