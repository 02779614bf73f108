"""What Slurm says of jobs. Without accounting it forgets a job minutes after its end; then the
status files of the runs are all there is."""

import os
import re
import subprocess

from crlscale.errors import CrlscaleError

ANSWER_SECONDS = 60.0
NO_TASK = "ArrayTaskId=4294967294"  # in the record that an array leaves of tasks that never began


def queue() -> dict[str, str] | None:
    """Job id -> state (PENDING, RUNNING, COMPLETING, ...) of this user's jobs in the queue, an
    array task as 12_3; None while Slurm does not answer."""
    said = _ask(["squeue", "-h", "-r", "-u", str(os.getuid()), "-o", "%i %T"])
    return None if said is None else dict(line.split(maxsplit=1) for line in said.splitlines())


def state_of(job: str) -> str | None:
    """State of one job, also for some minutes after its end; None if Slurm does not know it. Tasks
    of an array that were cancelled before they began have one record between them."""
    said = _show(job)
    if not said and "_" in job:
        said = [line for line in _show(job.partition("_")[0]) if NO_TASK in line]
    found = re.search(r"\bJobState=(\w+)", said[0]) if said else None
    return found[1] if found else None


def _show(job: str) -> list[str]:
    """A line for each record of a job."""
    return (_ask(["scontrol", "show", "job", "-o", job]) or "").splitlines()


def need_slurm() -> dict[str, str]:
    """What `queue` says; a CrlscaleError unless Slurm's commands are here and its controller answers."""
    if (jobs := queue()) is None:
        raise CrlscaleError(
            "no Slurm answers here: `squeue` is missing or failed",
            value="slurm",
            remedy="a login node of the cluster, or --launcher local",
        )
    return jobs


def _ask(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
