"""A study written as TOML -> the arguments of `plan_study`; docs/studies.md has the form.

`[reduced]` holds keys that take the place of the file's own, whole, for the short version.
"""

import difflib
import tomllib
from pathlib import Path

from pydantic import ValidationError

from crlscale.conditions import parse_condition
from crlscale.errors import CrlscaleError
from crlscale.settings import as_field, check_key
from crlscale.study import Execution

_TABLE, _TEXT = (dict, "a table"), (str, "a text in quotes")
_TABLES = (list, "a list of tables")
KEYS = {
    "question": _TEXT,
    "name": _TEXT,
    "preset": _TEXT,
    "seeds": (int, "a whole number"),
    "set": _TABLE,
    "axes": _TABLE,
    "cells": _TABLES,
    "when": _TABLES,
    "equal": _TABLE,
    "where": (list, "a list of texts"),
    "execution": _TABLE,
    "reduced": _TABLE,
}
EQUAL_KEYS = {"what", "solve", "reference"}


def read_study_file(path: Path, reduced: bool = False) -> dict:
    """The arguments of `plan_study` from a TOML file, without `name` if the file has none; with
    `reduced` those of its short version. What is wrong is told with file, key and value."""
    path = Path(path)
    data = _read_toml(path)
    _check_keys(path, data)
    short = data.pop("reduced", None)
    if short is not None:
        _check_keys(path, short, "[reduced] ")
    if reduced:
        if short is None:
            raise CrlscaleError(
                f"{path} has no [reduced] table", value=str(path), remedy="without --reduced"
            )
        data |= short
    if not data.get("axes") and not data.get("cells"):
        raise CrlscaleError(
            f"{path}: no [axes] table and no [[cells]]",
            value=str(path),
            remedy="[axes] depth = [4, 8, 16]",
        )
    try:
        return _arguments(data)
    except CrlscaleError as wrong:
        raise naming(path, wrong) from None


def naming(path: Path, error: CrlscaleError) -> CrlscaleError:
    """The same error, which says the file."""
    return CrlscaleError(f"{path}: {error.message}", value=error.value, remedy=error.remedy)


def _arguments(data: dict) -> dict:
    plan = {key: data[key] for key in data.keys() & {"name", "preset", "question", "seeds"}}
    plan["axes"] = {key: _levels(key, levels) for key, levels in data.get("axes", {}).items()}
    plan["settings"] = _settings(data.get("set", {}), "[set]")
    plan["cells"] = [_settings(cell, "[[cells]]") for cell in data.get("cells", [])]
    plan["when"] = [_rule(rule) for rule in data.get("when", [])]
    plan["where"] = [parse_condition(text).text for text in data.get("where", [])]
    plan["equal"] = _equal(data["equal"]) if data.get("equal") else None
    plan["execution"] = _execution(data.get("execution", {}))
    return plan


# --- parts of a file ---------------------------------------------------------------------------
def _settings(table: object, place: str) -> dict:
    if not isinstance(table, dict):
        raise CrlscaleError(f"{place} {table!r} is not a table", value=table, remedy="{ depth = 4 }")
    for key, value in table.items():
        check_key(key)
        if isinstance(value, list | dict):
            raise CrlscaleError(
                f"{place} {key} = {value!r} is not one value",
                value=value,
                remedy=f"[axes] {key} = [...]",
            )
    return {key: as_field(key, value) for key, value in table.items()}


def _levels(key: str, levels: object) -> object:
    check_key(key)
    return [as_field(key, level) for level in levels] if isinstance(levels, list) else levels


def _rule(rule: object) -> dict:
    if not isinstance(rule, dict) or set(rule) != {"where", "set"}:
        raise CrlscaleError(
            f"[[when]] {rule!r} is not a condition `where` and a table `set`",
            value=rule,
            remedy="[[when]] where = \"env == 'ant'\" and set = { env_steps = 200_000_000 }",
        )
    return {"where": parse_condition(rule["where"]).text, "set": _settings(rule["set"], "[[when]] set")}


def _equal(table: dict) -> dict:
    if set(table) != EQUAL_KEYS:
        raise CrlscaleError(
            f"[equal] has {', '.join(table) or 'nothing'}; it needs {', '.join(sorted(EQUAL_KEYS))}",
            value=table,
            remedy='[equal] what = "parameters", solve = "width", reference = { depth = 4, width = 256 }',
        )
    return {**table, "reference": _settings(table["reference"], "[equal] reference")}


def _execution(table: dict) -> Execution:
    try:
        return Execution(**table)
    except ValidationError as refused:
        first = refused.errors()[0]
        raise CrlscaleError(
            f"[execution] {first['loc'][0]} = {first['input']!r}: {first['msg'].lower()}",
            value=first["input"],
            remedy="[execution] seeds_per_program = 1",
        ) from None


# --- the file itself -----------------------------------------------------------------------------
def _read_toml(path: Path) -> dict:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        near = ", ".join(sorted(str(p) for p in Path("sweeps").glob("*.toml"))) or "none in sweeps/"
        raise CrlscaleError(
            f"no study file {path}; there are: {near}", value=str(path), remedy="name one of these"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError, RecursionError) as broken:
        reason = " ".join(str(broken).split())
        words = f"{path} is not a readable TOML file: {reason}"
        raise CrlscaleError(words, value=str(path), remedy="a file as those in sweeps/") from None


def _check_keys(path: Path, data: dict, place: str = "") -> None:
    legal = [key for key in KEYS if not (place and key in ("reduced", "name"))]
    for key, value in data.items():
        if key not in legal:
            near = difflib.get_close_matches(key, legal, n=1)
            words = f"{path}: {place}unknown key {key!r}; legal: {', '.join(legal)}"
            remedy = near[0] if near else "config fields belong into [set]"
            raise CrlscaleError(words, value=key, remedy=remedy)
        kind, words = KEYS[key]
        if type(value) is not kind:
            raise CrlscaleError(
                f"{path}: {place}{key} = {value!r} is not {words}",
                value=value,
                remedy=f"{key} as {words}",
            )
