"""The runs of one process: one program after the other, each claimed, run, recorded by itself.

Exit codes: 0 finished (complete or diverged), 1 failed, 2 refused, 75 stopped and resumable, 130
Ctrl-C; of several programs the highest.
"""

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from crlscale import __version__, device, hosts
from crlscale.claim import claim, release
from crlscale.errors import CrlscaleError
from crlscale.files import Unwritable
from crlscale.record import FINISHED, Heartbeat, RunRecord, read_status
from crlscale.stop import StopRequest
from crlscale.store import write_json
from crlscale.study import Study, load_study
from crlscale.trackers import CLOSE_SECONDS, STOPPED_SECONDS, Trackers

EXIT_FAILED, EXIT_REFUSED = 1, 2


def run_group(folder: Path, run_ids: list[str], launcher: int | None = None) -> int:
    """Train `run_ids` of the study in `folder`, program by program; returns the exit code.

    Seeds of a cell share a program as the study's plan says. Finished runs are left alone; a program
    that fails does not keep the next from running. `launcher`: stop when this process, the parent,
    dies (None or 0: nobody watches). Where the environment names several processes (crlscale.hosts),
    they train each program together."""
    study, folder = load_study(folder), Path(folder)
    hosts.join(study.execution.threads)
    try:
        hosts.check_same([study.name, *run_ids])
        return _run_all(study, folder, run_ids, launcher)
    finally:
        hosts.leave()


def _run_all(study: Study, folder: Path, run_ids: list[str], launcher: int | None) -> int:
    folders = {
        run_id: folder / "runs" / run_id for program in partition(study, run_ids) for run_id in program
    }
    todo = hosts.on_first(lambda: _unfinished(folders))
    _tell_finished([run_id for run_id in folders if run_id not in todo])
    if todo:
        _tell_other_version(study)
    worst, refused = 0, None
    with StopRequest() as stop:  # from before the claims until all is recorded
        process = _Process(study, folder, stop, launcher)
        for program in partition(study, todo):
            wanted = hosts.agreed(stop.wanted)
            if wanted is not None:
                stop.wanted = wanted
                return stop.exit_code
            try:
                code = process.run(program)
            except CrlscaleError as error:
                if refused is not None:
                    hosts.say(f"error: {refused}")
                code, refused = EXIT_REFUSED, error
            worst = max(worst, code)
            if stop.wanted is not None and code >= stop.exit_code:
                return code
    if refused is not None:
        raise refused
    return worst


def partition(study: Study, run_ids: list[str]) -> list[list[str]]:
    """`run_ids` by program, in the order of the plan: the seeds of a cell, `seeds_per_program` of the
    planned ones at a time. An id that is not planned is a CrlscaleError."""
    for run_id in run_ids:
        _require_planned(study, run_id)
    wanted, size = set(run_ids), study.execution.seeds_per_program
    chunks = [
        of_cell[start : start + size]
        for of_cell in study.cells.values()
        for start in range(0, len(of_cell), size)
    ]
    programs = [[run_id for run_id in chunk if run_id in wanted] for chunk in chunks]
    return [program for program in programs if program]


class _Process:
    """What the programs of one process share: the study, the signals, what is compiled."""

    def __init__(self, study: Study, folder: Path, stop: StopRequest, launcher: int | None):
        self.study, self.folder, self.stop, self.launcher = study, folder, stop, launcher
        self.compile: Callable | None = None  # of crlscale.programs, once jax is needed

    def run(self, run_ids: list[str]) -> int:
        """One program: claim its runs, train them, record how it ended."""
        folders = {run_id: self.folder / "runs" / run_id for run_id in run_ids}
        todo = hosts.on_first(lambda: _claim_unfinished(folders, lambda: self.stop.wanted is not None))
        if not todo:
            _tell_finished(run_ids)
            return 0
        records: list[RunRecord] = []  # of the first process only, like all that is written
        trackers = Trackers(self.study, self.folder)
        try:
            hosts.on_first(lambda: self._begin(todo, records))
            return self._train(todo, records, trackers)
        except KeyboardInterrupt:
            return self._stopped(records)
        except CrlscaleError as error:
            kind = "unwritable" if isinstance(error, Unwritable) else "illegal"
            _fail(records, str(error), kind)
            raise
        except BaseException as error:
            kind = "out_of_memory" if _is_out_of_memory(error) else "exception"
            _fail(records, f"{type(error).__name__}: {error}"[:500], kind)
            traceback.print_exc()
            if hosts.several():
                os._exit(EXIT_FAILED)  # the others wait for this process; without it they end, too
            return EXIT_FAILED
        finally:
            for run_id in todo if hosts.first() else ():
                release(folders[run_id])
            trackers.close(CLOSE_SECONDS if self.stop.wanted is None else STOPPED_SECONDS)

    def _begin(self, todo: list[str], records: list[RunRecord]) -> None:
        for run_id in todo:
            config = self.study.configs[run_id]
            run_folder = self.folder / "runs" / run_id
            totals = {"total_env_steps": config.total_env_steps, "total_updates": config.total_updates}
            records.append(RunRecord(run_folder, run_id, env_steps=0, gradient_steps=0, **totals))
            write_json(run_folder / "config.json", config.model_dump())
            records[-1].begin()

    def _train(self, todo: list[str], records: list[RunRecord], trackers: Trackers) -> int:
        with Heartbeat(records, self.launcher, self.stop.orphaned):
            if self.compile is None:
                device.prepare(self.study.execution.threads)
                from crlscale.programs import CompileOnce  # jax starts here

                self.compile = CompileOnce()
            from crlscale.loop import ProgramLoop, Stopped

            loop = ProgramLoop(
                self.study, self.folder, todo, records, self.stop, self.compile, trackers
            )
            try:
                loop.run()
            except Stopped:
                return self._stopped(records)
        for record, cause in zip(records, loop.divergence, strict=hosts.first()):
            record.end("diverged" if cause else "complete", cause)
        return 0

    def _stopped(self, records: list[RunRecord]) -> int:
        for record in records:
            record.end("stopped", f"stopped by signal {self.stop.wanted}")
        return self.stop.exit_code


def _fail(records: list[RunRecord], cause: str, kind: str) -> None:
    for record in records:
        try:
            record.end("failed", cause, kind)
        except CrlscaleError as unwritable:  # a full disk: the launcher records it when it can
            print(unwritable, file=sys.stderr)


def _is_out_of_memory(error: BaseException) -> bool:
    """Python's own error, or XLA's, which has only its text."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


def _tell_finished(run_ids: list[str]) -> None:
    if run_ids:
        hosts.say(f"nothing to do: {', '.join(run_ids)} finished already")


def _tell_other_version(study: Study) -> None:
    if study.code_version != __version__:
        hosts.say(
            f"study {study.name} was planned with crlscale {study.code_version}, this is {__version__};"
            " every run records which one ran it"
        )


def _require_planned(study: Study, run_id: str) -> None:
    if run_id not in study.configs:
        near = [i for i in study.configs if i.startswith(run_id[:8])][:3] or list(study.configs)[:3]
        raise CrlscaleError(
            f"study {study.name} has no run {run_id!r}; there are {', '.join(near)}, ...",
            value=run_id,
            remedy=f"crlscale status {study.name}",
        )


def _claim_unfinished(folders: dict[str, Path], give_up: Callable[[], bool]) -> list[str]:
    """Claim all runs that have not finished, or none of them; returns their ids."""
    todo = _unfinished(folders)
    for run_id in todo:
        holder = claim(folders[run_id], give_up)
        if holder is not None:
            for other in todo:
                release(folders[other])  # but those that are not ours
            raise CrlscaleError(
                f"{run_id} is being run by {holder}", value=run_id, remedy="crlscale status"
            )
    unfinished = _unfinished(folders)  # another process may have ended one before we had its claim
    for run_id in set(todo) - set(unfinished):
        release(folders[run_id])
    return unfinished


def _unfinished(folders: dict[str, Path]) -> list[str]:
    return [i for i, folder in folders.items() if read_status(folder)["status"] not in FINISHED]
