"""Plain settings to a RunConfig; what is refused becomes one sentence that names what to type."""

import difflib

from pydantic import ValidationError

from crlscale.config import RunConfig
from crlscale.errors import CrlscaleError


def make_config(settings: dict) -> RunConfig:
    """RunConfig from plain settings; what pydantic refuses becomes a one-line CrlscaleError."""
    try:
        return RunConfig(**settings)
    except ValidationError as refused:
        raise _explain(refused) from None


def check_key(key: str) -> None:
    """Refuse a key that is no config field, naming the nearest ones."""
    if key not in RunConfig.model_fields:
        near = difflib.get_close_matches(key, RunConfig.model_fields, n=3, cutoff=0.4)
        words = f"; near keys: {', '.join(near)}" if near else ""
        raise CrlscaleError(
            f"unknown config key {key!r}{words}; docs/settings.md lists all",
            value=key,
            remedy=f"--set {near[0] if near else 'width'}=VALUE",
        )


def as_field(key: str, value: object) -> object:
    """`value` as field `key` wants it: "null" is None, "True" is true where true or false is asked
    for, and 1e8 is whole where whole numbers are."""
    if value in ("null", "none", "None"):
        return None
    kind = RunConfig.model_fields[key].annotation
    if kind in (bool, bool | None) and value in ("True", "False"):
        return value == "True"
    whole = kind in (int, int | None)
    return int(value) if whole and isinstance(value, float) and value.is_integer() else value


def _explain(refused: ValidationError) -> CrlscaleError:
    first = refused.errors()[0]
    key, value = str(first["loc"][0]), first["input"]
    try:
        check_key(key)
    except CrlscaleError as unknown:
        return unknown
    default = RunConfig.model_fields[key].default
    return CrlscaleError(
        f"{key} = {value!r} is not legal: {first['msg'][0].lower()}{first['msg'][1:]}",
        value=value,
        remedy=f"--set {key}={'null' if default is None else default}",
    )
