"""One program on the host: claim its runs, evaluate and train, write rows, record how it ended.

Exit codes: 0 finished (complete or diverged), 1 failed, 75 stopped and resumable, 130 Ctrl-C.
"""

import sys
import traceback
from pathlib import Path

from crlscale import device
from crlscale.errors import CrlscaleError
from crlscale.record import FINISHED, Heartbeat, RunRecord, claim, read_status, release
from crlscale.stop import StopRequest
from crlscale.store import write_json
from crlscale.study import Study, load_study

EXIT_FAILED = 1


def run_group(folder: Path, run_ids: list[str], launcher: int | None = None) -> int:
    """Train `run_ids` of the study in `folder` in one program; returns the exit code.

    Finished runs are left alone. `launcher`: stop when this process, the parent, dies."""
    study, run_ids = load_study(folder), list(dict.fromkeys(run_ids))
    configs = [_config(study, run_id) for run_id in run_ids]
    _check_one_program(configs)
    folders = {run_id: folder / "runs" / run_id for run_id in run_ids}
    with StopRequest() as stop:  # from before the claims until all is recorded
        todo = _claim_unfinished(folders)
        if not todo:
            print(f"nothing to do: {', '.join(run_ids)} finished already", file=sys.stderr)
            return 0
        return _recorded(study, folder, todo, stop, launcher)


def _recorded(
    study: Study, folder: Path, todo: list[str], stop: StopRequest, launcher: int | None
) -> int:
    """Run the claimed runs and record whatever happens to them."""
    records = []
    try:
        for run_id in todo:
            config = study.configs[run_id]
            run_folder = folder / "runs" / run_id
            write_json(run_folder / "config.json", config.model_dump())
            totals = {"total_env_steps": config.total_env_steps, "total_updates": config.total_updates}
            records.append(RunRecord(run_folder, run_id, env_steps=0, gradient_steps=0, **totals))
            records[-1].update()
        with Heartbeat(records, launcher, stop.orphaned):
            device.prepare(study.execution.threads)
            from crlscale.loop import ProgramLoop, Stopped  # jax starts here

            loop = ProgramLoop(study, folder, todo, records, stop)
            try:
                loop.run()
            except Stopped:
                return _stopped(records, stop)
        for record, cause in zip(records, loop.divergence, strict=True):
            record.end("diverged" if cause else "complete", cause)
        return 0
    except KeyboardInterrupt:
        return _stopped(records, stop)
    except CrlscaleError as error:
        _fail(records, folder, todo, str(error))
        raise
    except BaseException as error:
        _fail(records, folder, todo, f"{type(error).__name__}: {error}"[:500])
        traceback.print_exc()
        return EXIT_FAILED


def _stopped(records: list[RunRecord], stop: StopRequest) -> int:
    for record in records:
        record.end("stopped", f"stopped by signal {stop.wanted}")
    return stop.exit_code


def _fail(records: list[RunRecord], folder: Path, todo: list[str], cause: str) -> None:
    for record in records:
        try:
            record.end("failed", cause)
        except CrlscaleError as unwritable:  # a full disk: the launcher records it when it can
            print(unwritable, file=sys.stderr)
    for run_id in todo:
        release(folder / "runs" / run_id)


def _config(study: Study, run_id: str):
    if run_id not in study.configs:
        near = [i for i in study.configs if i.startswith(run_id[:8])][:3] or list(study.configs)[:3]
        raise CrlscaleError(
            f"study {study.name} has no run {run_id!r}; there are {', '.join(near)}, ...",
            value=run_id,
            remedy=f"crlscale status {study.name}",
        )
    return study.configs[run_id]


def _check_one_program(configs: list) -> None:
    first = configs[0].model_dump()
    for config in configs[1:]:
        for key, value in config.model_dump().items():
            if key != "seed" and value != first[key]:
                raise CrlscaleError(
                    f"runs of one program may differ in their seed only, not in {key}"
                    f" ({first[key]} and {value})",
                    value=value,
                    remedy="one `crlscale run` for each",
                )


def _claim_unfinished(folders: dict[str, Path]) -> list[str]:
    """Claim all runs that have not finished, or none of them; returns their ids."""
    todo = _unfinished(folders)
    for run_id in todo:
        holder = claim(folders[run_id])
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
