"""What runs inside a Slurm job: the command line of one group as a child, and another start of
the same job where that can help.

submitit pickles the name of `run_group` and its arguments, which are strings and a number; nothing
else of crlscale. Its handlers are replaced: they ignore SIGTERM, which is all that a preemption
sends, and count jobs of ten minutes or less as timed out.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from crlscale.launch.child import record_death, start_child
from crlscale.launch.squeue import state_of
from crlscale.launch.tries import Tries
from crlscale.record import FINISHED, read_status
from crlscale.stop import StopRequest
from crlscale.store import read_json, write_json

LOOK_SECONDS = 0.5
UNTIL_KILLED_SECONDS = 600.0  # after a requeue Slurm ends this process within KillWait


def run_group(folder: str, group: list[str], retries: int) -> None:
    """Run the group; exits 0 if it has finished, at once if that was so before (a requeued job
    starts again whatever it did), else with the code of its process.

    SIGTERM (preemption) and SIGUSR2 (the time is nearly up) are passed on. What stopped or was
    killed is requeued under the same job id by the rule of tries.py."""
    job, runs = job_id(), Path(folder) / "runs"
    with StopRequest(patient=True) as stop:
        left = [i for i in group if read_status(runs / i)["status"] not in FINISHED]
        if not left:
            sys.exit(0)
        tries = Tries(retries, read_count(runs / group[0], job).get("deaths"))
        for run_id in left:
            tries.started(run_id, read_status(runs / run_id))
        child = start_child(Path(folder), left, "slurm", job)
        while child.process.poll() is None:
            time.sleep(LOOK_SECONDS)
            if stop.wanted is not None and child.asked is None:
                child.ask(signal.SIGTERM if stop.wanted == signal.SIGINT else stop.wanted)
        record_death(child)
        again = bool(tries.again({run_id: read_status(runs / run_id) for run_id in left}))
        again = again and state_of(os.environ["SLURM_JOB_ID"]) != "CANCELLED"
        count = {"job": job, "deaths": dict(tries.deaths), "again": again}
        write_json(runs / group[0] / "slurm.json", count)
        if again:
            _requeue()
    sys.exit(child.process.returncode if child.process.returncode >= 0 else 1)


def read_count(run_folder: Path, job: str) -> dict:
    """What job `job` has noted beside the first run of its group: `deaths` by run id, and whether
    it wants to be started `again`; {} if it has not."""
    path = run_folder / "slurm.json"
    known = read_json(path) if path.exists() else {}
    return known if known.get("job") == job else {}


def job_id() -> str:
    """This job as `squeue -r` and the logs name it: 12, or 12_3 in an array."""
    environment = os.environ
    if "SLURM_ARRAY_JOB_ID" in environment:
        return f"{environment['SLURM_ARRAY_JOB_ID']}_{environment['SLURM_ARRAY_TASK_ID']}"
    return environment["SLURM_JOB_ID"]


def _requeue() -> None:
    """Put this job back into the queue and wait for the end of this process. Slurm may have done so
    first ("pending execution"); where it refuses, the launcher that watches submits anew."""
    command = ["scontrol", "requeue", os.environ["SLURM_JOB_ID"]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    print(f"requeue: exit code {done.returncode} {done.stderr.strip()}", flush=True)
    if done.returncode == 0 or "pending execution" in done.stderr:
        time.sleep(UNTIL_KILLED_SECONDS)
