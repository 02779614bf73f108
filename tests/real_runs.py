"""Real processes of the command line, and studies small enough to train in tests.

What several tests need is made once, also under pytest-xdist."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crlscale.plan import plan_study
from crlscale.study import register_study

# Three phases an epoch, so that a run can stop between two evaluations.
TINY = {
    "env": "chain_4",
    "env_steps": 1920,
    "evaluations": 2,
    "num_envs": 16,
    "unroll_length": 20,
    "prefill_steps": 40,
    "replay_capacity": 100,
    "batch_size": 32,
    "width": 16,
    "eval_episodes": 16,
    "depth": 4,
}


def tiny_study(results: Path, *, axes=None, seeds=1, name="tiny", execution=None, **settings):
    """Register a study of tiny runs; returns its folder and the study."""
    plan = {**TINY, **settings}
    axes = axes or {"depth": [plan["depth"]]}
    plan = {key: value for key, value in plan.items() if key not in axes}
    study = plan_study(axes, seeds=seeds, preset="smoke", settings=plan, name=name, execution=execution)
    return register_study(results, study)


def tiny_sweep(*more: str) -> list[str]:
    """Arguments of a sweep over tiny runs, `crlscale sweep depth` and `more`."""
    settings = [f"--set={key}={value}" for key, value in TINY.items() if key != "depth"]
    return ["sweep", "depth", "--preset", "smoke", *settings, *more]


def start(*arguments, **options) -> subprocess.Popen:
    """`crlscale ARGUMENTS` in a process of its own, with what it says as text."""
    return start_python("-m", "crlscale", *map(str, arguments), **options)


def start_python(*arguments: str, **options) -> subprocess.Popen:
    """A Python with these arguments, which tells where it stands if it has to be aborted."""
    command = [sys.executable, "-X", "faulthandler", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, **options)


SIGNALLED = """
import json, os, sys
from crlscale import record
number, at, arguments = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
update, add_history = record.RunRecord.update, record.add_history

def signal_once(here):
    global at
    if at is not None and here == at:
        at = None
        os.kill(os.getpid(), number)

def updated(self, **changes):
    update(self, **changes)
    if changes.get("gradient_steps"):
        signal_once("chunk")

def noted(folder, event, **facts):
    add_history(folder, event, **facts)
    signal_once(facts.get("phase"))

record.RunRecord.update, record.add_history = updated, noted
from crlscale.cli.app import main
main(["run", *arguments])
"""


def run_signalled(folder: Path, run_ids: list[str], number: int, at: str, **options) -> tuple:
    """`crlscale run` that gets signal `number` once: after its first chunk (`at` = "chunk"), or when it
    begins a phase (compile, prefill, evaluate, write, train, checkpoint). Exit code, stdout, stderr."""
    environment = {**os.environ, "CRLSCALE_TRACE": "1", **options}
    arguments = (str(int(number)), at, str(folder), *run_ids)
    return finish(start_python("-c", SIGNALLED, *arguments, env=environment))


def finish(process: subprocess.Popen, seconds: float = 300.0) -> tuple[int, str, str]:
    """Exit code, stdout, stderr of a process, once it has ended; one that hangs is aborted."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        out, err = process.communicate(timeout=30)
        pytest.fail(f"{process.args} hung for {seconds:.0f} s; it said\n{out}\n{err}")
    return process.returncode, out, err


def crlscale(*arguments, **options) -> tuple[int, str, str]:
    """Exit code, stdout, stderr of `crlscale ARGUMENTS`."""
    return finish(start(*arguments, **options))


def wait_for(condition, seconds: float = 300.0):
    """What `condition()` returns once that is true; gives up only long after it must have come."""
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return found


def status(folder: Path, run_id: str) -> dict:
    """status.json of a run, {} without one."""
    path = folder / "runs" / run_id / "status.json"
    return json.loads(path.read_text()) if path.exists() else {}


def statuses(folder: Path) -> dict[str, str]:
    """Run id -> status of every planned run."""
    runs = json.loads((folder / "study.json").read_text())["configs"]
    return {run_id: status(folder, run_id).get("status", "planned") for run_id in runs}


def snapshot(folder: Path) -> dict[Path, tuple[bytes, int]]:
    """Path -> (content, time of change) of every file below `folder` but the cache of tables."""
    files = [path for path in folder.rglob("*") if path.is_file() and ".cache" not in path.parts]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def once(tmp_path_factory, name: str, make) -> dict:
    """What `make(folder)` returns (plain JSON), made by the first process that asks for `name`."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    folder = root / f"once-{name}"
    folder.mkdir(exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = folder / "made.json"
        if not made.exists():
            made.write_text(json.dumps(make(folder)))
        return {"folder": folder, **json.loads(made.read_text())}


@contextlib.contextmanager
def read_only(folder: Path):
    """While it is open, `folder` refuses every write, root's too."""
    if os.geteuid() != 0:
        folders = [folder, *filter(Path.is_dir, folder.rglob("*"))]
        for each in folders:
            each.chmod(0o555)
        yield
        for each in folders:
            each.chmod(0o755)
        return
    for command in (["mount", "--bind", folder, folder], ["mount", "-o", "remount,ro,bind", folder]):
        if subprocess.run(command, capture_output=True).returncode != 0:
            pytest.skip("root needs the right to mount a folder read-only")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)
