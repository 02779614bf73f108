"""Env steps a second that this machine remembers, by task. No jax."""

import contextlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from crlscale import device
from crlscale.bench.env_steps import EnvBench
from crlscale.errors import CrlscaleError
from crlscale.files import replace_file


@dataclass(frozen=True)
class Speed:
    """What this machine reached on one task: env steps a second by number of parallel envs, the day
    (ISO) of the last figure and the device."""

    rates: dict[int, float]
    day: str
    device: str


def known_speeds() -> dict[str, Speed]:
    """The figures that this machine remembers, by task; empty if there are none. No jax."""
    try:
        kept = json.loads(_speeds_file().read_text())
        return {
            task: Speed({int(n): float(r) for n, r in row["rates"].items()}, row["day"], row["device"])
            for task, row in kept.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # none, or a damaged file: measured again when wanted


def remember_speed(row: EnvBench) -> None:
    """Keep one figure for `known_speeds`; an older one of another device is forgotten."""
    known, here = known_speeds(), device.description()
    old = known.get(row.env)
    rates = {} if old is None or old.device != here else old.rates
    rates = {**rates, row.num_envs: row.env_steps_per_second}
    known[row.env] = Speed(rates, time.strftime("%Y-%m-%d"), here)
    with contextlib.suppress(CrlscaleError):  # a folder that refuses: measured again when wanted
        content = {task: asdict(speed) for task, speed in sorted(known.items())}
        replace_file(_speeds_file(), json.dumps(content, indent=1).encode())


def _speeds_file() -> Path:
    return device.cache_folder() / "env_speeds.json"
