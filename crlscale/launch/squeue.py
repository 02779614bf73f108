"""What Slurm says of jobs. Without accounting it forgets a job minutes after its end; then the
status files of the runs are all there is."""

import os
import re
import subprocess

from crlscale.errors import CrlscaleError

ANSWER_SECONDS = 60.0


def queue() -> dict[str, str] | None:
    """Job id -> state (PENDING, RUNNING, COMPLETING, ...) of this user's jobs in the queue, an
    array task as 12_3; None while Slurm does not answer."""
    said = _ask(["squeue", "-h", "-r", "-u", str(os.getuid()), "-o", "%i %T"])
    return None if said is None else dict(line.split(maxsplit=1) for line in said.splitlines())


def state_of(job: str) -> str | None:
    """State of one job, also for some minutes after its end; None if Slurm does not know it."""
    found = re.search(r"\bJobState=(\w+)", _ask(["scontrol", "show", "job", "-o", job]) or "")
    return found[1] if found else None


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
