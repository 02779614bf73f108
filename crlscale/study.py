"""Study: axes x seeds -> RunConfigs, fixed and written down before anything runs."""

import itertools
import json
import os
import re
import tomllib
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

import crlscale
from crlscale.config import RunConfig, short_hash
from crlscale.errors import CrlscaleError
from crlscale.files import damaged
from crlscale.parquet import refuse_newer
from crlscale.presets import preset_settings
from crlscale.settings import check_key, make_config
from crlscale.store import read_json, write_json

STUDY_SCHEMA = 1


class Execution(BaseModel):
    """How the runs are put into processes; fixed by the plan, since it can move results by rounding."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    seeds_per_program: int = Field(1, ge=1, description="seeds of a cell that train in one program")
    threads: int = Field(1, ge=1, description="cores that one program may use")


class Study(BaseModel):
    """A planned set of runs that answers one question. `axes` maps config fields to levels;
    `groups` lists the run ids that share a program; `configs` maps run ids to complete configs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = STUDY_SCHEMA
    name: str
    question: str
    axes: dict[str, list[Any]]
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


def plan_study(
    axes: dict[str, list],
    *,
    seeds: int = 3,
    preset: str = "quick",
    settings: dict | None = None,
    name: str | None = None,
    question: str = "",
    execution: Execution | None = None,
) -> Study:
    """The study of every combination of `axes` with seeds 0..seeds-1.

    Settings of the preset are overridden by `settings`, those by the axes. An illegal level is a
    CrlscaleError before anything is written."""
    settings = dict(settings or {})
    execution = execution or Execution()
    _check_plan(axes, seeds, settings)
    configs = {}
    for levels in itertools.product(*axes.values()):
        for seed in range(seeds):
            values = {
                **preset_settings(preset),
                **settings,
                **dict(zip(axes, levels, strict=True)),
                "seed": seed,
            }
            config = make_config(values)
            configs[config.run_id] = config
    if len(configs) < seeds * _product(len(levels) for levels in axes.values()):
        raise CrlscaleError("an axis names a level twice", value=axes, remedy="name each level once")
    env = next(iter(configs.values())).env
    identity = {"configs": sorted(configs), "execution": execution.model_dump()}
    title = "-".join(_axis_word(axis) for axis in axes)
    return Study(
        name=f"{title}-{env}-{preset}-{short_hash(identity)}" if name is None else _check_name(name),
        question=question or f"How does time at goal on {env} change with {' and '.join(axes)}?",
        axes=axes,
        seeds=seeds,
        preset=preset,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        code_version=crlscale.__version__,
        execution=execution,
        groups=_group(configs, seeds, execution.seeds_per_program),
        configs=configs,
    )


def read_study_file(path: Path) -> dict:
    """The arguments of `plan_study` from a TOML file, without `name` if the file has none."""
    data = _read_toml(Path(path))
    for key, value in data.items():
        _check_file_key(path, key, value)
    if not data.get("axes"):
        raise CrlscaleError(
            f"{path}: no [axes] table", value=str(path), remedy="[axes] depth = [4, 8, 16]"
        )
    plan = {key: data[key] for key in data.keys() - {"set", "execution"}}
    plan["settings"] = data.get("set", {})
    try:
        plan["execution"] = Execution(**data.get("execution", {}))
    except ValidationError as refused:
        first = refused.errors()[0]
        raise CrlscaleError(
            f"{path}: [execution] {first['loc'][0]} = {first['input']!r}: {first['msg'].lower()}",
            value=first["input"],
            remedy="[execution] seeds_per_program = 1",
        ) from None
    return plan


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


def find_study(results: Path, name: str | None = None, axis: str | None = None) -> Path:
    """Folder of the named study, else of the newest one (by `created`) that has `axis`."""
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
        (study.created, folder) for study, folder in loaded if axis is None or axis in study.axes
    ]
    if not fitting:
        wanted = f"a study with axis {axis!r}" if axis else "a study"
        remedy = f"crlscale sweep {_axis_word(axis or 'depth')} --preset smoke"
        raise CrlscaleError(f"{results} does not hold {wanted}", value=str(results), remedy=remedy)
    return max(fitting)[1]


# --- parts of the plan -------------------------------------------------------------------
_FILE_KEYS = {
    **dict.fromkeys(("axes", "set", "execution"), (dict, "a table")),
    **dict.fromkeys(("name", "preset", "question"), (str, "a text in quotes")),
    "seeds": (int, "a whole number"),
}


def _read_toml(path: Path) -> dict:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        near = ", ".join(sorted(str(p) for p in Path("sweeps").glob("*.toml"))) or "none in sweeps/"
        raise CrlscaleError(
            f"no study file {path}; there are: {near}", value=str(path), remedy="name one of these"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as broken:
        reason = " ".join(str(broken).split())
        words = f"{path} is not a readable TOML file: {reason}"
        raise CrlscaleError(words, value=str(path), remedy="a file as those in sweeps/") from None


def _check_file_key(path: Path, key: str, value: object) -> None:
    if key not in _FILE_KEYS:
        words = f"{path}: unknown key {key!r}; legal: {', '.join(sorted(_FILE_KEYS))}"
        raise CrlscaleError(words, value=key, remedy="config fields belong into [set]")
    kind, words = _FILE_KEYS[key]
    if type(value) is not kind:
        raise CrlscaleError(
            f"{path}: {key} = {value!r} is not {words}", value=value, remedy=f"{key} as {words}"
        )


def _check_plan(axes: dict[str, list], seeds: int, settings: dict) -> None:
    if not isinstance(seeds, int) or seeds < 1:
        raise CrlscaleError(
            f"seeds = {seeds!r}: a study needs at least one seed", value=seeds, remedy="--seeds 3"
        )
    for key in [*axes, *settings]:
        check_key(key)
    if "seed" in {*axes, *settings}:
        raise CrlscaleError("`seed` is set by --seeds N (0..N-1)", value="seed", remedy="--seeds 3")
    for axis, levels in axes.items():
        if not isinstance(levels, list) or not levels:
            raise CrlscaleError(f"axis {axis!r} has no levels", value=levels, remedy=f"{axis} = [4, 8]")
        if axis in settings:
            raise CrlscaleError(
                f"{axis!r} is an axis of this study and also set to {settings[axis]!r}",
                value=axis,
                remedy=f"leave --set {axis} out",
            )


def _check_name(name: str) -> str:
    if not re.fullmatch(r"\w[\w.-]{0,99}", name):
        raise CrlscaleError(
            f"study name {name!r}: at most 100 letters, digits, '-', '_' and '.', the first no sign",
            value=name,
            remedy="--study my-study",
        )
    return name


def _axis_word(axis: str) -> str:
    return {"batch_size": "batch"}.get(axis, axis)


def _product(numbers) -> int:
    total = 1
    for number in numbers:
        total *= number
    return total


def _group(configs: dict[str, RunConfig], seeds: int, per_program: int) -> list[list[str]]:
    """Run ids by program: neighbouring seeds of one cell, `per_program` at a time."""
    ids = list(configs)
    groups = []
    for cell in range(0, len(ids), seeds):
        of_cell = ids[cell : cell + seeds]
        groups += [of_cell[i : i + per_program] for i in range(0, seeds, per_program)]
    return groups


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
