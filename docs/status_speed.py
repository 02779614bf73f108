"""How long `crlscale status` takes over 10,000 runs: `python docs/status_speed.py [FOLDER]`.

Writes a study of 2,000 cells x 5 seeds in every state into FOLDER (default: a temporary one), then
times the command line, a first look and later ones. docs/performance.md has the figures."""

import io
import random
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from crlscale.cli.board import Screen, board
from crlscale.overview import Overview
from crlscale.plan import plan_study
from crlscale.store import write_json
from crlscale.study import register_study

SHARES = {"complete": 60, "running": 10, "planned": 15, "stopped": 5, "failed": 3, "diverged": 3}
SHARES |= {"lost": 2, "damaged": 2}


def write_study(results: Path) -> Path:
    axes = {
        "depth": [2**i for i in range(1, 11)],
        "width": [16 * i for i in range(1, 26)],
        "batch_size": [64 * i for i in range(1, 9)],
    }
    folder, study = register_study(results, plan_study(axes, seeds=5, preset="smoke", name="big"))
    rng = random.Random(0)
    for config in study.configs.values():
        word = rng.choices(list(SHARES), SHARES.values())[0]
        if word != "planned":
            write_run(folder / "runs" / config.run_id, config, word, rng.random())
    return folder


def write_run(folder: Path, config, word: str, share: float) -> None:
    now = time.time()
    share = 1.0 if word in ("complete", "diverged") else share
    if word == "damaged":
        folder.mkdir(parents=True)
        (folder / "status.json").write_text('{"schema_ver')
        return
    status = {
        "schema_version": 1,
        "run_id": config.run_id,
        "status": "running" if word == "lost" else word,
        "cause": "killed by signal 9" if word == "failed" else None,
        "kind": "killed" if word == "failed" else None,
        "attempts": 1,
        "launcher": "slurm",
        "job": "1234_7",
        "started": now - 900,
        "ended": now - 300 if word in ("complete", "diverged", "failed") else None,
        "host": "node7",
        "pid": 1234,
        "heartbeat": now - 600 if word == "lost" else now + 3600,  # so that none gets lost meanwhile
        "env_steps": int(share * config.total_env_steps),
        "gradient_steps": int(share * config.total_updates),
        "total_env_steps": config.total_env_steps,
        "total_updates": config.total_updates,
        "time_at_goal": 20 * share,
        "updates_per_second": 100.0,
        "seconds_left": 600 * (1 - share),
        "peak_memory_bytes": 10**9,
    }
    write_json(folder / "status.json", status)


@contextmanager
def timed(what: str, whose: int = resource.RUSAGE_SELF):
    """Prints wall and CPU seconds of what stands below."""
    cpu = resource.getrusage(whose)
    began = time.perf_counter()
    yield
    wall, after = time.perf_counter() - began, resource.getrusage(whose)
    cpu = after.ru_utime + after.ru_stime - cpu.ru_utime - cpu.ru_stime
    print(f"{what}: {wall:.2f} s of wall time, {cpu:.2f} s of CPU", flush=True)


def main(results: Path) -> None:
    folder = results / "big"
    if not folder.exists():
        write_study(results)
    for more in ([], ["--json"]):
        for _ in range(3):
            command = [
                sys.executable,
                "-m",
                "crlscale",
                "status",
                "big",
                "--results",
                str(results),
                *more,
            ]
            with timed(" ".join(["crlscale status big", *more]), resource.RUSAGE_CHILDREN):
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    overview = Overview(folder)
    for which in ("first", "second"):
        with timed(f"{which} look"):
            overview.look()
        with timed("board"):
            Console(width=80, height=50, file=io.StringIO()).print(board(overview, Screen(80, 50)))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else scratch))
