"""What is recorded of the machine, and what is set before jax starts."""

import json
import os
import subprocess
import sys

import pytest

from crlscale import device

EXPRESSION = """{
    "cores": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
    "flags": os.environ.get("XLA_FLAGS"),
    "cache": jax.config.jax_compilation_cache_dir,
}"""


def prepared(threads: int, **environment) -> dict:
    """What holds in a fresh process after `device.prepare(threads)`."""
    program = "import json, os; from crlscale import device;"
    program += f"device.prepare({threads}); import jax; print(json.dumps({EXPRESSION}))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""  # third parties' chatter would end in every run's log
    return json.loads(done.stdout)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system binds no cores")
def test_a_program_keeps_to_the_cores_that_the_launcher_gives_it(tmp_path):
    core = max(os.sched_getaffinity(0))
    mine = "--xla_cpu_prefer_vector_width=128"
    found = prepared(2, CRLSCALE_CPUS=str(core), CRLSCALE_CACHE=str(tmp_path), XLA_FLAGS=mine)
    assert found["cores"] == [core]
    assert found["cache"] == str(tmp_path / "xla")  # compiled programs are kept
    assert found["flags"] == mine  # what a user sets wins


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system binds no cores")
def test_a_program_by_hand_keeps_to_as_many_cores_as_it_may_use(monkeypatch):
    monkeypatch.delenv("CRLSCALE_CPUS", raising=False)
    assert len(prepared(1)["cores"]) == 1


def test_cache_folder_by_default_is_the_users(monkeypatch):
    monkeypatch.delenv("CRLSCALE_CACHE")
    assert device.cache_folder().name == "crlscale"
    monkeypatch.setenv("CRLSCALE_CACHE", "/elsewhere")
    assert str(device.cache_folder()) == "/elsewhere"


def test_what_is_recorded_of_the_machine():
    versions = device.versions()
    assert versions["python"].startswith(f"{sys.version_info[0]}.{sys.version_info[1]}.")
    assert {
        "jax",
        "jaxlib",
        "flax",
        "optax",
        "brax",
        "mujoco",
        "mujoco-mjx",
        "numpy",
    } <= versions.keys()
    assert all(versions.values())
    assert device.description()


def test_peak_memory_is_that_of_the_process():
    program = (
        "from crlscale.device import peak_memory; before = peak_memory(); held = b'x' * 400_000_000;"
        "held = None; print(before, peak_memory())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert before < after
    assert 4e8 < after < 4e9  # bytes


def test_cpu_time_goes_on_while_the_process_computes():
    began = device.cpu_seconds()
    while device.cpu_seconds() < began + 0.05:
        sum(range(1000))
    assert device.cpu_seconds() < 1e6
