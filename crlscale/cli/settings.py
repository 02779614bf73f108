"""Settings and levels from the command line: `--set key=value`, `--levels 4,8`, `--min 2 --max 64`."""

import tomllib
from pathlib import Path

from crlscale.config import RunConfig
from crlscale.envs.mazes import check_layout
from crlscale.errors import CrlscaleError
from crlscale.settings import check_key


def parse_settings(texts: list[str]) -> dict:
    """{"width": 64} from ["width=64"]; values are TOML, bare words are strings, null is None."""
    settings = {}
    for text in texts:
        key, equals, value = text.partition("=")
        key = key.strip()
        if not equals:
            raise CrlscaleError(f"--set {text!r} has no '='", value=text, remedy="--set width=64")
        check_key(key)
        settings[key] = _value(key, value.strip())
    return settings


def parse_levels(flag: str, text: str) -> list[int]:
    """[4, 8, 12] from "4,8,12"."""
    try:
        return [int(level) for level in text.split(",")]
    except ValueError:
        raise CrlscaleError(
            f"{flag} {text!r} is not a list of whole numbers", value=text, remedy=f"{flag} 4,8,12"
        ) from None


def powers_of_two(low: int, high: int) -> list[int]:
    """low, 2 low, ... up to high; both must be powers of two."""
    for flag, value in (("--min", low), ("--max", high)):
        if value < 1 or value & (value - 1):
            above = 1 << max(0, value).bit_length()
            raise CrlscaleError(
                f"{flag} {value} is not a power of two",
                value=value,
                remedy=f"{flag} {above}, or --levels for other levels",
            )
    if low > high:
        raise CrlscaleError(
            f"--min {low} is above --max {high}", value=low, remedy=f"--min {high} --max {low}"
        )
    levels = [low]
    while levels[-1] < high:
        levels.append(2 * levels[-1])
    return levels


def read_maze(path: Path) -> str:
    """The layout in a text file as the config field `maze` holds it: its rows, separated by blanks."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as refused:
        raise CrlscaleError(
            f"cannot read the maze {path}: {refused}", value=str(path), remedy="--maze path.txt"
        ) from None
    return " ".join(check_layout(text.split(), str(path)))


def _value(key: str, text: str):
    if text in ("null", "none", "None"):
        return None
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    whole = RunConfig.model_fields[key].annotation in (int, int | None)
    return int(value) if whole and isinstance(value, float) and value.is_integer() else value
