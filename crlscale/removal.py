"""Taking runs out of a study: what would be deleted, by name, and deleting exactly that.

Nothing that a process works on is touched: each run is claimed first, as a launcher does it, so
none can start in between. study.json stays, so a run that was removed is planned again."""

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from crlscale.claim import claim, held, release
from crlscale.errors import CrlscaleError
from crlscale.files import unwritable
from crlscale.overview import STATES, Overview
from crlscale.record import FINISHED
from crlscale.run import partition

LOGS = (".txt", ".jsonl", ".log", ".out", ".err")


@dataclass(frozen=True)
class Removal:
    """The files of one run that would be deleted, and their bytes."""

    run_id: str
    state: str
    folder: Path
    files: tuple[Path, ...]
    size: int


def choose_runs(overview: Overview, patterns: list[str], states: Iterable[str]) -> list[str]:
    """Run ids that one of `patterns` names (exact, or with * and ?), or whose state is one of
    `states`; in the order of the plan. A pattern that names nothing is a CrlscaleError."""
    states = check_states(states)
    chosen = set(overview.named(*states)) if states else set()
    for pattern in patterns:
        found = fnmatch.filter(overview.runs, pattern)
        if not found:
            near = [run_id for run_id in overview.runs if run_id.startswith(pattern[:8])]
            listed = ", ".join((near or list(overview.runs))[:3])
            raise CrlscaleError(
                f"study {overview.study.name} has no run {pattern!r}; there are {listed}, ...",
                value=pattern,
                remedy=f"crlscale runs list {overview.study.name}",
            )
        chosen.update(found)
    return [run_id for run_id in overview.runs if run_id in chosen]


def check_states(states: Iterable[str]) -> list[str]:
    """`states` as a list; a word that is no state is a CrlscaleError."""
    states = list(states)
    for word in states:
        if word not in STATES:
            raise CrlscaleError(
                f"no state {word!r}; there are: {', '.join(STATES)}",
                value=word,
                remedy="--state failed",
            )
    return states


def plan_removal(overview: Overview, run_ids: list[str], keep_logs: bool) -> list[Removal]:
    """What deleting `run_ids` would delete; runs without a file are left out. A run that is being
    run, or that others need, is a CrlscaleError."""
    for run_id in run_ids:
        _refuse_held(overview, run_id)
    for program in partition(overview.study, list(overview.runs)):
        _refuse_shared(overview, program, run_ids)
    removals = []
    for run_id in run_ids:
        folder = overview.folder / "runs" / run_id
        files = sorted(path for path in folder.rglob("*") if path.is_file() or path.is_symlink())
        files = [path for path in files if path != folder / "claim.json"]
        if keep_logs:
            files = [path for path in files if path.parent != folder or path.suffix not in LOGS]
        if files:
            size = sum(path.lstat().st_size for path in files)
            state = overview.runs[run_id]["status"]
            removals.append(Removal(run_id, state, folder, tuple(files), size))
    return removals


def remove(removals: list[Removal]) -> None:
    """Delete the files of `removals` and the folders that this leaves empty. All runs are claimed
    before the first file goes: if one is taken, nothing is deleted."""
    claimed: list[Removal] = []
    try:
        for removal in removals:
            holder = claim(removal.folder)
            if holder is not None:
                raise _taken(removal.run_id, holder)
            claimed.append(removal)
        for removal in removals:
            _delete(removal)
    finally:
        for removal in claimed:
            release(removal.folder)
            _prune(removal.folder)


def _delete(removal: Removal) -> None:
    # the status goes last: a run that is half deleted still says that it was there
    for path in sorted(removal.files, key=lambda path: path == removal.folder / "status.json"):
        try:
            path.unlink(missing_ok=True)
        except OSError as refused:
            raise unwritable(path, refused) from None


def _prune(folder: Path) -> None:
    """Remove the empty folders below `folder`, and it if nothing is left."""
    below = [path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink()]
    for path in [*sorted(below, key=lambda path: -len(path.parts)), folder]:
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _refuse_held(overview: Overview, run_id: str) -> None:
    holder = held(overview.folder / "runs" / run_id)
    status = overview.runs[run_id]
    if holder is None and status["status"] == "running":
        holder = f"process {status.get('pid')} on {status.get('host')}"
    if holder is not None:
        raise _taken(run_id, holder)


def _refuse_shared(overview: Overview, program: list[str], run_ids: list[str]) -> None:
    """Runs of a program go on together from one checkpoint: without the rows of one, none can."""
    left = [i for i in program if overview.runs[i]["status"] not in (*FINISHED, "planned")]
    named = [i for i in left if i in run_ids]
    if not named or not any((overview.folder / "runs" / i / "checkpoints").exists() for i in program):
        return
    for other in left:
        if other not in named:
            raise CrlscaleError(
                f"{named[0]} shares its checkpoints with {other}, which has not finished",
                value=named[0],
                remedy=f"name {other} as well, or run the study to its end first",
            )


def _taken(run_id: str, holder: str) -> CrlscaleError:
    return CrlscaleError(
        f"{run_id} is being run by {holder}; nothing was deleted",
        value=run_id,
        remedy="stop it first (Ctrl-C in its sweep), then the same command",
    )
