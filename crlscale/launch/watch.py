"""The loop that all launchers share: what is left to do, who is at work, who is tried again.

A job that dies takes no other with it. Runs that another crlscale is working on are waited for,
not repeated. Ctrl-C and SIGTERM reach the runs as a request to save and stop at their next chunk
and a second Ctrl-C kills them; where a cluster has the jobs, they end the watching only.
"""

import signal
import time
from collections.abc import Callable
from pathlib import Path

from crlscale.claim import held
from crlscale.cost import run_seconds
from crlscale.launch.contract import Job, Launcher, Progress
from crlscale.launch.tries import Tries
from crlscale.record import FINISHED, read_status, record_failure
from crlscale.stop import EXIT_STOPPED, StopRequest
from crlscale.study import Study

POLL_SECONDS = 0.5
LOOK_AT_ALL_SECONDS = 5.0


class Watch:
    """Runs the groups of `study` (of `run_ids` only, if given) by `launcher`. `report` is called
    with the Progress before anything is started and then twice a second."""

    def __init__(
        self,
        folder: Path,
        study: Study,
        launcher: Launcher,
        report: Callable[[Progress], None],
        run_ids: list[str] | None = None,
        retries: int = 2,
    ):
        self.folder, self.study, self.launcher, self.report = Path(folder), study, launcher, report
        self.tries = Tries(retries)
        wanted = set(study.configs if run_ids is None else run_ids)
        groups = [[i for i in group if i in wanted] for group in study.groups]
        statuses = {i: self._read(i) for group in groups for i in group}
        self.progress = Progress(statuses, leaves_jobs=launcher.leaves_jobs)
        groups = [g for g in map(self._unfinished, groups) if g]
        # The longest first: a short run at the end leaves no core idle for long.
        self.queue = sorted(groups, key=lambda g: -sum(run_seconds(study.configs[i]) for i in g))
        self.jobs: list[Job] = []
        self._fading: list[Job] = []  # ended, but a claim on another host still looks alive
        self._looked = 0.0

    def run(self, wait: bool = True) -> int:
        """Until every run has ended: 0 if all finished, 1 if some failed, 75 or 130 if stopped.
        Without `wait` 0 as soon as all are started."""
        self.report(self.progress)
        with self.launcher, StopRequest(patient=True) as stop:  # Ray sets handlers of its own
            try:
                self._adopt()
                while self.queue or self.jobs or self._fading:
                    if stop.wanted is not None:
                        return self._stop(stop)
                    self._start_some()
                    if not wait:
                        self._refresh()
                        return 0
                    self._wait()
            except BaseException:
                stop.wanted = stop.wanted or signal.SIGTERM
                self._stop(stop)
                raise
        if self.progress.count("failed"):
            return 1
        return EXIT_STOPPED if self._unfinished(list(self.progress.statuses)) else 0

    # --- one turn ---------------------------------------------------------------------------
    def _adopt(self) -> None:
        """Take over what an earlier launcher of this study left in the queue of a cluster."""
        for job in self.launcher.adopt():
            if self._runs(job):
                self.jobs.append(job)
                left = [[i for i in group if i not in job.group] for group in self.queue]
                self.queue = [group for group in left if group]

    def _start_some(self) -> None:
        free = self.launcher.free()
        if free <= 0 and time.monotonic() - self._looked < LOOK_AT_ALL_SECONDS:
            return
        self._looked = time.monotonic()
        waiting, self.queue, self.progress.elsewhere, ready = self.queue, [], [], []
        for group in waiting:
            group = self._unfinished(group)
            if any(held(self._run_folder(run_id)) for run_id in group):
                self.progress.elsewhere += group
                self.queue.append(group)
            elif group and len(ready) < free:
                ready.append(group)
            elif group:
                self.queue.append(group)
        for job in self.launcher.start(ready) if ready else ():
            for run_id in job.group:
                self.tries.started(run_id, self.progress.statuses[run_id])
            self.jobs.append(job)

    def _wait(self) -> None:
        time.sleep(POLL_SECONDS)
        ended, self._fading = self._fading + self._take_ended(), []
        for job in ended:
            self._ended(job)
        self._refresh()

    def _take_ended(self) -> list[Job]:
        ended = [job for job in self.launcher.ended() if job in self.jobs]
        self.jobs = [job for job in self.jobs if job not in ended]
        return ended

    def _ended(self, job: Job) -> None:
        """What becomes of the runs of a job that has ended; those worth it are tried again."""
        group = self._unfinished(self._runs(job))
        if any(held(self._run_folder(run_id)) for run_id in group):
            if job.lost or job.final:
                self._fading.append(job)  # likely its own claim, which falls within a minute
            else:
                self.queue.append(group)  # another crlscale was first: wait for it
            return
        if job.lost:
            self._record_lost(job)
        runs = self._runs(job)
        again = self.tries.again({run_id: self.progress.statuses[run_id] for run_id in runs})
        if again and not job.final:
            self.queue.append(again)

    def _record_lost(self, job: Job) -> None:
        """For runs that could not tell how they ended: the one at work, or all if none was."""
        words = {run_id: self.progress.statuses[run_id]["status"] for run_id in self._runs(job)}
        at_work = [run_id for run_id, word in words.items() if word == "running"]
        if set(words.values()) == {"planned"}:
            at_work = list(words)
        for run_id in at_work:
            record_failure(self._run_folder(run_id), job.lost, kind=job.lost_kind)
        self._unfinished(at_work)

    def _refresh(self) -> None:
        progress = self.progress
        progress.running = [i for job in self.jobs if not job.waiting for i in self._runs(job)]
        progress.queued = [i for job in self.jobs if job.waiting for i in self._runs(job)]
        self._unfinished([*progress.running, *progress.elsewhere])
        self.report(progress)

    # --- stopping -----------------------------------------------------------------------------
    def _stop(self, stop: StopRequest) -> int:
        """Ask every job to save and stop, wait for them; on a second Ctrl-C kill them."""
        self.progress.stopping = True
        if not self.launcher.leaves_jobs:
            self.launcher.stop(stop.wanted)
            while self.jobs and not stop.insisted:
                time.sleep(POLL_SECONDS)
                for job in self._take_ended():
                    self._unfinished(job.group)
                self._refresh()
            self.launcher.kill()
        return stop.exit_code

    # --- the folder -----------------------------------------------------------------------------
    def _run_folder(self, run_id: str) -> Path:
        return self.folder / "runs" / run_id

    def _read(self, run_id: str) -> dict:
        return read_status(self._run_folder(run_id))

    def _runs(self, job: Job) -> list[str]:
        """Its runs that were asked for; an earlier launcher may have started others with them."""
        return [run_id for run_id in job.group if run_id in self.progress.statuses]

    def _unfinished(self, group: list[str]) -> list[str]:
        """Those of the group that have not finished, as their status.json says now."""
        statuses = self.progress.statuses
        for run_id in group:
            if statuses[run_id]["status"] not in FINISHED:
                statuses[run_id] = self._read(run_id)
        return [run_id for run_id in group if statuses[run_id]["status"] not in FINISHED]
