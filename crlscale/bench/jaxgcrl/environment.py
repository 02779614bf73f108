"""The environment that jaxgcrl needs, made at first use in the cache folder: an older Python and its pins."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from crlscale import device
from crlscale.errors import CrlscaleError
from crlscale.files import replace_file

PACKAGE = (
    "jaxgcrl==0.2.8"  # without its own requirements, which name CUDA wheels that no plain index has
)
PINS = (
    "jax==0.4.25",
    "jaxlib==0.4.25",
    "flax<0.9",
    "brax==0.12.1",
    "mujoco==3.2.7",
    "mujoco-mjx==3.2.7",
    "numpy<2",
    "scipy<1.14",
    "tyro<1.0",
    "wandb",
    "wandb-osh",
    "matplotlib==3.8.4",
)
PYTHONS = ((3, 11), (3, 10))
AGAIN = "then the same command"


def peer_python() -> Path:
    """The Python of the environment, which takes minutes and a package index the first time."""
    folder = device.cache_folder() / "peers" / "jaxgcrl"
    python, wanted = folder / "bin" / "python", "\n".join((PACKAGE, *PINS))
    made = folder / "made_of.txt"
    if made.exists() and made.read_text() == wanted:
        return python
    base = _base_python()
    shutil.rmtree(folder, ignore_errors=True)
    install = [str(python), "-m", "pip", "install", "--quiet"]
    _run([base, "-m", "venv", str(folder)])
    _run([*install, "--no-deps", PACKAGE])
    _run([*install, *PINS])
    replace_file(made, wanted.encode())
    return python


def clean_environment() -> dict[str, str]:
    """The variables of this process without what sets up its jax, which is another one, or its Python."""
    ours = ("JAX_", "XLA_", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def _base_python() -> str:
    """A Python that the pins have wheels for: this one, or one by name on the path."""
    for version in PYTHONS:
        name = shutil.which("python{}.{}".format(*version))
        for python in (sys.executable, name):
            if python is not None and _version(python) == version:
                return python
    raise CrlscaleError(
        "jaxgcrl needs Python 3.10 or 3.11, and neither is on the path",
        value="jaxgcrl",
        remedy=f"install one that is called python3.11, {AGAIN}; or --against naive",
    )


def _version(python: str) -> tuple[int, ...] | None:
    """(major, minor) of an interpreter; None if it does not run."""
    ask = [python, "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        told = subprocess.run(ask, capture_output=True, text=True, check=True, env=clean_environment())
    except (OSError, subprocess.CalledProcessError):
        return None
    return tuple(map(int, told.stdout.split()))


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env=clean_environment())
    if done.returncode == 0:
        return
    words = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
    raise CrlscaleError(
        f"jaxgcrl's environment cannot be made: {words[-1]}",
        value="jaxgcrl",
        remedy=f"a package index that pip reaches, {AGAIN}; or --against naive",
    )
