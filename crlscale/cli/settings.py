"""Settings and levels from the command line: `--set key=value`, `--levels 4,8`, `--min 2 --max 64`."""

import tomllib
from pathlib import Path

from crlscale.conditions import parse_condition
from crlscale.envs.mazes import check_layout
from crlscale.errors import CrlscaleError
from crlscale.settings import as_field, check_key


def parse_settings(texts: list[str]) -> dict:
    """{"width": 64} from ["width=64"]; values are TOML, bare words are strings, null is None."""
    return _pairs("--set", texts)


def parse_cell(flag: str, text: str) -> dict:
    """{"depth": 4, "env": "ant"} from "depth=4,env=ant"."""
    return _pairs(flag, text.split(","))


def parse_axes(texts: list[str]) -> dict[str, list]:
    """{"depth": [4, 8]} from ["depth=4,8"]; an axis that is given twice is refused."""
    axes = {}
    for text in texts:
        ((key, levels),) = _split("--axis", [text], "--axis depth=4,8")
        if key in axes:
            raise CrlscaleError(
                f"--axis {key} is given twice", value=text, remedy=f"--axis {key}=A,B with all levels"
            )
        axes[key] = [_value(key, level.strip()) for level in levels.split(",")]
    return axes


def parse_when(texts: list[str]) -> list[dict]:
    """[{"where": "env == 'ant'", "set": {"discount": 0.9}}] from ["env == 'ant' => discount=0.9"]."""
    rules = []
    for text in texts:
        where, arrow, settings = text.partition("=>")
        if not arrow:
            raise CrlscaleError(
                f"--when {text!r} has no '=>'",
                value=text,
                remedy="--when \"env == 'ant' => env_steps=200000000\"",
            )
        rules.append({"where": parse_condition(where).text, "set": parse_cell("--when", settings)})
    return rules


def parse_levels(flag: str, text: str) -> list[int]:
    """[4, 8, 12] from "4,8,12"."""
    try:
        return [int(level) for level in text.split(",")]
    except ValueError:
        raise CrlscaleError(
            f"{flag} {text!r} is not a list of whole numbers", value=text, remedy=f"{flag} 4,8,12"
        ) from None


def parse_jobs(text: str) -> int | None:
    """A number of processes; None for `auto`, by cores and memory."""
    if text == "auto":
        return None
    try:
        return int(text)
    except ValueError:
        raise CrlscaleError(
            f"--jobs {text!r} is neither auto nor a whole number", value=text, remedy="--jobs auto"
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


def _pairs(flag: str, texts: list[str]) -> dict:
    pairs = _split(flag, texts, f"{flag} width=64")
    return {key: _value(key, value.strip()) for key, value in pairs}


def _split(flag: str, texts: list[str], remedy: str) -> list[tuple[str, str]]:
    """("key", "value") of each "key=value"; the key must be a config field."""
    pairs = []
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise CrlscaleError(f"{flag} {text!r} has no '='", value=text, remedy=remedy)
        check_key(key.strip())
        pairs.append((key.strip(), value))
    return pairs


def _value(key: str, text: str):
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    return as_field(key, value)
