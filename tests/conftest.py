"""What holds for every test: strict arrays, a private compilation cache, repeatable examples.

Warnings are errors; the expected ones of third parties are named in pyproject.toml.
This file does not import jax, so tests that do not need it stay quick.
"""

import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile

import hypothesis
import pytest

# read by jax when a test first imports it, and by the processes that a test starts
STRICT = {"JAX_NUMPY_DTYPE_PROMOTION": "strict", "JAX_NUMPY_RANK_PROMOTION": "raise"}
os.environ.update(STRICT)
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # two workers may share one GPU
for variable in ("CRLSCALE_RESULTS", "FORCE_COLOR"):
    os.environ.pop(variable, None)

# A shell's background job ignores Ctrl-C and hands that on to the processes that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ
if not IS_WORKER:  # workers inherit the folder, so one compiles for all
    os.environ["CRLSCALE_CACHE"] = tempfile.mkdtemp(prefix="crlscale-tests-")

hypothesis.settings.register_profile("crlscale", deadline=None)
hypothesis.settings.register_profile("crlscale-ci", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("crlscale-ci" if os.environ.get("CI") else "crlscale")


def pytest_unconfigure(config):
    if not IS_WORKER:
        shutil.rmtree(os.environ["CRLSCALE_CACHE"], ignore_errors=True)


MANY_MAPS = 20_000  # Linux allows a process 65,530 by default, and a program of physics takes hundreds


@pytest.fixture(autouse=True)
def room_for_programs():
    """Drop compiled programs before they have used up the memory maps of this process: past the limit
    XLA crashes in the middle of a compilation."""
    yield
    if "jax" in sys.modules and memory_maps() > MANY_MAPS:
        sys.modules["jax"].clear_caches()
        gc.collect()


def memory_maps() -> int:
    """How many memory maps this process has; 0 where the system does not tell."""
    try:
        with open("/proc/self/maps", "rb") as maps:
            return maps.read().count(b"\n")
    except OSError:
        return 0


@pytest.fixture
def results(tmp_path, monkeypatch):
    """An empty results folder, which the command line uses here and in processes started here."""
    folder = tmp_path / "results"
    folder.mkdir()
    monkeypatch.setenv("CRLSCALE_RESULTS", str(folder))
    return folder


@pytest.fixture
def relaxed_arrays(monkeypatch):
    """Lets dtypes and ranks promote, in this process and those started from it. Only for brax's
    own physics (ant, humanoid), which adds a bool to a float when it builds a body."""
    import jax

    for variable in STRICT:
        monkeypatch.delenv(variable)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture
def full_disk(tmp_path):
    """A folder on a file system of 256 KiB of its own."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount a small tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
