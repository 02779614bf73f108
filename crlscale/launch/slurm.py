"""Slurm launcher: each group is a task of a job array, submitted through submitit.

The queue has the jobs and the jobs requeue themselves (slurm_job.py), so a launcher that goes away
ends nothing. launch.json in the study's folder names the jobs: the next launcher takes over those
that wait or run and submits only the rest. Whether a run has finished is told by its status.json,
whether a job is alive by squeue; accounting is not needed.
"""

import math
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from crlscale.cost import memory_bytes, run_seconds
from crlscale.errors import CrlscaleError
from crlscale.launch.contract import Job, LaunchOptions
from crlscale.launch.extras import need
from crlscale.launch.slurm_job import read_count, run_group
from crlscale.launch.squeue import need_slurm, queue, state_of
from crlscale.record import FINISHED, read_status
from crlscale.store import read_json, write_json
from crlscale.study import Study

ARRAY_TASKS = 1000  # MaxArraySize is 1001 unless a cluster says otherwise
LOOK_SECONDS = 5.0
GONE_SECONDS = 15.0  # a job must be missing from the queue for so long before it has ended
SIGNAL_SECONDS = 120  # before the time is up; a third of a short time is left for the work


class SlurmLauncher:
    """Jobs in the queue of the cluster that this machine submits to."""

    leaves_jobs = True

    def __init__(self, folder: Path, study: Study, options: LaunchOptions):
        self.submitit = need("submitit", "slurm")
        self.folder, self.study, self.options = Path(folder).resolve(), study, options
        self.jobs: list[Job] = []
        self._seen: dict[str, float] = {}  # job id -> when it was last in the queue
        self._looked = 0.0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def adopt(self) -> list[Job]:
        path = self.folder / "launch.json"
        known = read_json(path)["slurm"] if path.exists() else []
        alive = need_slurm()
        self.jobs = [Job(entry["runs"], entry["job"]) for entry in known if entry["job"] in alive]
        self._look(alive)
        return list(self.jobs)

    def free(self) -> int:
        return len(self.study.configs)  # the cluster decides

    def start(self, groups: list[list[str]]) -> Iterator[Job]:
        for first in range(0, len(groups), ARRAY_TASKS):
            some = groups[first : first + ARRAY_TASKS]
            count = len(some)
            arguments = ([str(self.folder)] * count, some, [self.options.retries] * count)
            try:
                submitted = self._executor(some).map_array(run_group, *arguments)
            except (subprocess.SubprocessError, RuntimeError, OSError) as refused:
                raise _refused(refused) from None
            jobs = [
                Job(group, job.job_id, waiting=True) for group, job in zip(some, submitted, strict=True)
            ]
            self.jobs += jobs
            self._seen |= {job.id: time.monotonic() for job in jobs}
            self._save()
            yield from jobs

    def ended(self) -> list[Job]:
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return []
        alive = queue()
        if alive is None:
            return []  # a controller that restarts; its jobs go on
        self._look(alive)
        gone = [job for job in self.jobs if job.id not in alive and self._has_ended(job)]
        for job in gone:
            self.jobs.remove(job)
            self._explain(job)
        if gone:
            self._save()
        return gone

    def stop(self, number: int) -> None:
        """The jobs stay where they are."""

    def kill(self) -> None:
        """The jobs stay where they are."""

    # --- parts --------------------------------------------------------------------------------
    def _look(self, alive: dict[str, str]) -> None:
        self._looked = time.monotonic()
        for job in self.jobs:
            if job.id in alive:
                self._seen[job.id] = self._looked
                job.waiting = alive[job.id] not in ("RUNNING", "COMPLETING")

    def _has_ended(self, job: Job) -> bool:
        """Whether a job that is not in the queue has ended: one just submitted or requeued may not
        be there yet, and a shared file system shows what a job wrote a little later."""
        folders = [self.folder / "runs" / run_id for run_id in job.group]
        finished = all(read_status(folder)["status"] in FINISHED for folder in folders)
        return finished or self._looked - self._seen[job.id] > GONE_SECONDS

    def _explain(self, job: Job) -> None:
        """What is known of a job that is gone: by Slurm for some minutes, by the job itself if it
        could tell (slurm_job.py). One that wanted to be requeued and was not is tried anew."""
        state = state_of(job.id)
        told = read_count(self.folder / "runs" / job.group[0], job.id)
        job.final = state == "CANCELLED" or told.get("again") is False
        if state != "CANCELLED":
            job.lost = f"Slurm job {job.id} ended" + (f" as {state}" if state else "")
            job.lost += f"; see {self.folder.name}/slurm/{job.id}_0_log.out"

    def _save(self) -> None:
        entries = [{"job": job.id, "runs": job.group} for job in self.jobs]
        write_json(self.folder / "launch.json", {"slurm": entries})

    def _executor(self, groups: list[list[str]]):
        """An executor for these groups, with the resources of the largest of them."""
        options, execution = self.options, self.study.execution
        seeds = execution.seeds_per_program
        configs = self.study.configs
        memory = max(memory_bytes(configs[run_id], seeds) for group in groups for run_id in group)
        seconds = max(sum(run_seconds(configs[run_id]) for run_id in group) for group in groups)
        minutes = options.minutes or math.ceil(3 * seconds / 60) + 10
        flags = {key: True if value == "true" else value for key, value in options.slurm.items()}
        flags = {"requeue": True, "mem": f"{math.ceil((options.memory or memory) / 1e6)}M", **flags}
        executor = self.submitit.SlurmExecutor(self.folder / "slurm")
        executor.update_parameters(
            job_name=self.study.name,
            time=minutes,
            cpus_per_task=execution.threads,
            gpus_per_node=options.gpus or None,
            partition=options.partition,
            array_parallelism=options.jobs or ARRAY_TASKS,
            signal_delay_s=min(SIGNAL_SECONDS, 60 * minutes * 2 // 3),
            stderr_to_stdout=True,
            additional_parameters=flags,
        )
        return executor


def _refused(error: Exception) -> CrlscaleError:
    said = " ".join(str(getattr(error, "stderr", "") or error).split())[-300:]
    return CrlscaleError(
        f"sbatch refused: {said}",
        value="slurm",
        remedy="other --partition, --time, --mem, --gpus or --slurm key=value",
    )
