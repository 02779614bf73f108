"""Kill a study at random until it is finished, and show what is left: `python tests/fault_injection.py`.

A study of short runs is run twice: once undisturbed, once while kill -9 strikes its workers, its
launcher, or the launcher with all its workers, each time in a random phase of a random worker. Who
is dead is started again by the same command. At the end every run must be complete exactly once and
equal the undisturbed one in all that is not a time. The same command goes on where it was interrupted,
and ends without further kills once there were `--kills`. Evidence is each run's history.jsonl, to which
every process only adds: a start that found its run complete, or a second completion, would stand there.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
from fault_report import (
    PHASES,
    RUNS_PER_PROCESS,
    STARTING,
    TARGETS,
    Report,
    as_line,
    as_markdown,
    problems,
)

from crlscale.claim import held
from crlscale.plan import plan_study
from crlscale.record import FINISHED, read_status
from crlscale.study import Execution, load_study, register_study

# One shape, so that the compiled programs are found in the cache.
SETTINGS = {
    **{"env": "chain_4", "depth": 2, "width": 16, "batch_size": 32, "num_envs": 16},
    **{"unroll_length": 20, "prefill_steps": 40, "replay_capacity": 100, "eval_episodes": 16},
    **{"evaluations": 6, "env_steps": 5760},
}
SEEDS = 3
ENVIRONMENT = {"CRLSCALE_TRACE": "1", "CRLSCALE_CHECKPOINT_SECONDS": "0"}
PATIENCE = 120.0  # seconds to wait for a phase before a kill strikes wherever the worker is


def make_study(folder: Path, runs: int, runs_per_process: int) -> Path:
    """Register the study of `runs` runs: seeds of cells that differ in their discount."""
    discounts = [round(0.9 + 0.01 * cell, 2) for cell in range(-(-runs // SEEDS))]
    study = plan_study(
        {"discount": discounts},
        seeds=SEEDS,
        preset="smoke",
        settings=SETTINGS,
        name="faults",
        execution=Execution(runs_per_process=runs_per_process),
    )
    return register_study(folder, study)[0]


def launch(folder: Path, log: Path) -> subprocess.Popen:
    """The launcher of the study, in a process group of its own."""
    program = (
        "import sys; from pathlib import Path; from crlscale.launch.local import LocalLauncher;"
        "from crlscale.launch.watch import Watch; from crlscale.study import load_study;"
        "folder = Path(sys.argv[1]); study = load_study(folder);"
        "sys.exit(Watch(folder, study, LocalLauncher(folder, study, 2), lambda p: None).run())"
    )
    with open(log, "ab") as out:
        return subprocess.Popen(
            [sys.executable, "-c", program, str(folder)],
            stdout=out,
            stderr=out,
            start_new_session=True,
            env={**os.environ, **ENVIRONMENT},
        )


class Disturbed:
    """Runs the study in `folder` to its end under `kills` kills drawn from `seed`."""

    def __init__(self, folder: Path, runs: int, kills: int, seed: int):
        self.folder, self.kills = folder, kills
        self.report = Report.found(folder.parent, runs, seed)
        self.chance = random.Random(f"{seed}, {len(self.report.kills)}")
        self.run_ids = list(load_study(folder).configs)
        self.launcher: subprocess.Popen | None = None
        self._read = dict.fromkeys(self.run_ids, 0)  # bytes of each history that were read
        self._last: dict[int, dict] = {}  # the last line of each process

    def run(self) -> Report:
        while not self._finished():
            began = time.monotonic()
            if self.launcher is None or self.launcher.poll() is not None:
                self._wait_for_orphans()
                if self._finished():
                    break
                self.launcher = launch(self.folder, self.folder.parent / "launcher.log")
                self.report.launchers += 1
            if len(self.report.kills) < self.kills:
                self._strike()
            else:
                time.sleep(0.2)
            self.report.seconds += time.monotonic() - began
            self.report.keep(self.folder.parent)
        if self.launcher is not None:
            self.launcher.wait()
        return self.report

    def _finished(self) -> bool:
        return all(read_status(self._run(i))["status"] in FINISHED for i in self.run_ids)

    def _run(self, run_id: str) -> Path:
        return self.folder / "runs" / run_id

    def _workers(self) -> list[psutil.Process]:
        """Processes that the launcher has started, none if it is dead."""
        try:
            found = psutil.Process(self.launcher.pid).children()
            found = [child for child in found if "crlscale" in " ".join(child.cmdline())]
        except psutil.Error:
            return []
        return found

    def _strike(self) -> None:
        """Wait until a worker is in a phase drawn at random, and kill what was drawn."""
        target = self.chance.choices(list(TARGETS), list(TARGETS.values()))[0]
        wanted = self.chance.choices(list(PHASES), list(PHASES.values()))[0]
        later = self.chance.uniform(0.0, 0.02 if wanted in ("write", "checkpoint", "end") else 0.5)
        until = time.monotonic() + PATIENCE
        while self.launcher.poll() is None and time.monotonic() < until:
            workers = self._workers()
            phases = [self._phase(worker.pid) for worker in workers]
            if wanted in phases:
                time.sleep(later)
                return self._kill(target, workers[phases.index(wanted)])
            if workers and wanted in STARTING and not any(phase in STARTING for phase in phases):
                break  # all are past it: any of them, wherever it is
            time.sleep(0.02)
        workers = self._workers()
        if workers:
            self._kill(target, self.chance.choice(workers))

    def _kill(self, target: str, worker: psutil.Process) -> None:
        victims = [worker] if target == "worker" else [self.launcher]
        if target == "group":
            victims += self._workers()
        killed = 0
        for victim in victims:
            try:
                os.kill(victim.pid, signal.SIGKILL)
                killed += 1
            except ProcessLookupError:
                continue  # it had just ended by itself
        if killed:
            self.report.kills.append((target, self._phase(worker.pid)))
            self.report.processes += killed
            done = sum(read_status(self._run(i))["status"] in FINISHED for i in self.run_ids)
            said = f"kill {len(self.report.kills)}: {target} in {self.report.kills[-1][1]}"
            print(f"{said}; {done} of {len(self.run_ids)} runs done", flush=True)
        if target != "worker":
            self.launcher.wait()

    def _phase(self, pid: int) -> str:
        """Where a worker stands, by the last line that it added to a history."""
        for run_id in self.run_ids:
            self._read_on(run_id)
        last = self._last.get(pid)
        if last is None:
            return "import"
        if last["event"] == "started":
            return "start"
        if last["event"] in FINISHED:
            return "between"
        return last.get("phase", "train")

    def _read_on(self, run_id: str) -> None:
        """What was added to a history since the last look; the last line of each process is kept."""
        try:
            with open(self._run(run_id) / "history.jsonl") as file:
                file.seek(self._read[run_id])
                added = file.read()
        except FileNotFoundError:
            return
        for text in added.splitlines(keepends=True):
            if text.endswith("\n"):
                self._read[run_id] += len(text)
                line = as_line(text)
                if line and line["time"] >= self._last.get(line["pid"], line)["time"]:
                    self._last[line["pid"]] = line

    def _wait_for_orphans(self) -> None:
        """Workers whose launcher is dead save and stop by themselves."""
        until = time.monotonic() + 300.0
        while any(held(self._run(i)) for i in self.run_ids):
            if time.monotonic() > until:
                raise SystemExit("a worker whose launcher is dead goes on for five minutes")
            time.sleep(0.2)


def run(folder: Path, runs: int, kills: int, seed: int) -> tuple[Report, Path, Path]:
    """Both studies; the report, the folder of the disturbed one and of the other."""
    plain = make_study(folder / "undisturbed", runs, runs)
    process = launch(plain, folder / "undisturbed" / "launcher.log")
    disturbed = make_study(folder / "disturbed", runs, RUNS_PER_PROCESS)
    report = Disturbed(disturbed, runs, kills, seed).run()
    if process.wait():
        raise SystemExit(f"the undisturbed study failed; see {folder}/undisturbed/launcher.log")
    return report, disturbed, plain


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=24)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True, help="Where both studies are made.")
    parser.add_argument("--out", type=Path, help="The report, as Markdown.")
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    report, folder, plain = run(asked.folder, asked.runs, asked.kills, asked.seed)
    found = problems(folder, plain)
    page = as_markdown(report, folder, found)
    if asked.out:
        asked.out.write_text(page)
    print(page)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
