"""Ray launcher: each group is a Ray task with the resources of the plan, on this machine or a
cluster whose nodes see the results folder under the same path and have crlscale installed.

A task runs in a fresh worker (max_calls=1) and starts the same command line as every launcher.
Ray itself retries nothing: watch.py decides, as for a local process.
"""

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from crlscale.cost import memory_bytes
from crlscale.errors import CrlscaleError
from crlscale.launch.contract import Job, LaunchOptions
from crlscale.launch.extras import need
from crlscale.launch.ray_task import run_group
from crlscale.record import read_status
from crlscale.study import Study

NO_LIMIT = 1_000_000
KNOCK_SECONDS = 10.0


class RayLauncher:
    """Tasks on the Ray at `options.ray_address`, or on one that lives as long as this launcher."""

    leaves_jobs = False

    def __init__(self, folder: Path, study: Study, options: LaunchOptions):
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self.ray = need("ray", "ray")
        self.folder, self.study, self.options = Path(folder).resolve(), study, options
        self.tasks: dict = {}  # reference -> Job
        # Ray prints to stdout when a node is lost; that is for data
        self._messages = contextlib.redirect_stdout(sys.stderr)

    def __enter__(self):
        address = self.options.ray_address
        own = {} if address else {"include_dashboard": False}
        try:
            _knock(address)
            self.ray.init(address or "local", log_to_driver=False, logging_level="ERROR", **own)
        except (OSError, RuntimeError, ValueError) as refused:
            raise CrlscaleError(
                f"no Ray answers at {address or 'this machine'}: {str(refused).splitlines()[0][:200]}",
                value=address,
                remedy="`ray status`, or leave --ray-address out to use this machine",
            ) from None
        self._messages.__enter__()
        try:
            self._check_resources()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.ray.shutdown()
        self._messages.__exit__(None, None, None)

    def adopt(self) -> list[Job]:
        return []  # tasks end with the driver that started them

    def free(self) -> int:
        return (self.options.jobs or NO_LIMIT) - len(self.tasks)

    def start(self, groups: list[list[str]]) -> Iterator[Job]:
        remote = self.ray.remote(max_calls=1, max_retries=0)(run_group)
        # what the user has set for the runs; a node of a cluster has an environment of its own
        settings = {k: v for k, v in os.environ.items() if k.startswith(("CRLSCALE_", "WANDB_"))}
        for group in groups:
            task = remote.options(name=group[0], **self._resources(group))
            reference = task.remote(str(self.folder), group, settings)
            self.tasks[reference] = Job(group, id=reference.task_id().hex(), waiting=True)
            yield self.tasks[reference]

    def ended(self) -> list[Job]:
        for job in self.tasks.values():
            if job.waiting and self._status(job).get("job") == job.id:
                job.waiting = False
        if not self.tasks:
            return []
        ready, _ = self.ray.wait(list(self.tasks), num_returns=len(self.tasks), timeout=0)
        return [self._result(reference) for reference in ready]

    def stop(self, number: int) -> None:
        for reference in self.tasks:
            self.ray.cancel(reference)

    def kill(self) -> None:
        for reference in self.tasks:
            self.ray.cancel(reference, force=True)

    # --- one task -----------------------------------------------------------------------------
    def _result(self, reference) -> Job:
        errors = self.ray.exceptions
        job = self.tasks.pop(reference)
        try:
            self.ray.get(reference)
        except errors.TaskCancelledError:
            pass  # by us
        except errors.OutOfMemoryError as error:
            job.lost, job.lost_kind = _first_line(error), "out_of_memory"
        except errors.RayTaskError as error:
            job.lost, job.lost_kind = _first_line(error.cause or error), "exception"
        except errors.RayError as error:
            job.lost = f"Ray lost its worker or node: {_first_line(error)}"
        return job

    def _status(self, job: Job) -> dict:
        return read_status(self.folder / "runs" / job.group[0])

    def _resources(self, group: list[str]) -> dict:
        execution = self.study.execution
        seeds = execution.seeds_per_program
        predicted = max(memory_bytes(self.study.configs[run_id], seeds) for run_id in group)
        return {
            "num_cpus": execution.threads,
            "num_gpus": self.options.gpus,
            "memory": int(self.options.memory or predicted),
        }

    def _check_resources(self) -> None:
        """Refuse what no node can give: Ray would let it wait for ever."""
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        for group in self.study.groups:
            need = self._resources(group)
            wanted = {"CPU": need["num_cpus"], "GPU": need["num_gpus"], "memory": need["memory"]}
            if any(all(node.get(k, 0) >= v for k, v in wanted.items()) for node in nodes):
                continue
            words = f"{need['num_cpus']} cores, {need['num_gpus']} GPUs, {need['memory'] / 1e9:.1f} GB"
            raise CrlscaleError(
                f"no node of Ray has what {group[0]} needs: {words}",
                value=group[0],
                remedy="--mem 2G if the plan asks for too much, fewer --threads or --gpus, or a smaller"
                " depth, width or batch size",
            )


def _knock(address: str | None) -> None:
    """An OSError if nothing listens at host:port. Ray would try for many minutes."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), KNOCK_SECONDS).close()


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:300]}"
