"""The loop of all launchers, with jobs of a host that this machine cannot look into.

The launcher here starts nothing: it leaves what a job on another node leaves when it dies."""

import time

import pytest
from real_runs import status, statuses, tiny_study
from test_claim import ELSEWHERE, leave_claim

from crlscale import claim
from crlscale.launch.contract import Job
from crlscale.launch.watch import Watch
from crlscale.store import STATUS_SCHEMA, write_json


class FarAway:
    """Each job claims its runs, reports once and is gone without a word."""

    leaves_jobs = True

    def __init__(self, folder, left=(), **ending):
        self.folder, self.left, self.ending = folder, left, ending
        self.alive, self.submitted = [], []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def adopt(self):
        self.alive = [Job(list(self.left), "0")] if self.left else []
        return list(self.alive)

    def free(self):
        return 9

    def start(self, groups):
        for group in groups:
            self.submitted.append(group)
            assert len(self.submitted) < 9
            job = Job(group, str(len(self.submitted)))
            self.alive.append(job)
            yield job

    def ended(self):
        gone, self.alive = self.alive, []
        for job in gone:
            for run_id in job.group:
                run = self.folder / "runs" / run_id
                leave_claim(run, ELSEWHERE)
                begun = {"attempts": len(self.submitted), "started": time.time(), "env_steps": 0}
                beat = {"schema_version": STATUS_SCHEMA, "heartbeat": time.time()}
                write_json(run / "status.json", {"status": "running", **beat, **begun})
            for name, value in self.ending.items():
                setattr(job, name, value)
        return gone

    def stop(self, number):
        pass

    def kill(self):
        pass


@pytest.fixture
def planned(tmp_path, monkeypatch):
    monkeypatch.setattr(claim, "LOST_AFTER_SECONDS", 1.0)  # 60 in truth
    return tiny_study(tmp_path, seeds=2)


def test_a_job_lost_on_another_host_is_counted_and_not_submitted_for_ever(planned):
    folder, study = planned
    launcher = FarAway(folder, lost="its node went away")
    only = [next(iter(study.configs))]
    assert Watch(folder, study, launcher, lambda progress: None, only, retries=2).run() == 1
    assert launcher.submitted == [only] * 3
    assert status(folder, only[0])["kind"] == "lost"


def test_a_job_cancelled_on_another_host_stays_away(planned):
    folder, study = planned
    launcher = FarAway(folder, final=True)
    only = [next(iter(study.configs))]
    Watch(folder, study, launcher, lambda progress: None, only).run()
    assert launcher.submitted == [only]


def test_what_an_adopted_job_leaves_of_a_group_is_started(planned):
    folder, study = planned
    first, second = study.configs
    study = study.model_copy(update={"groups": [[first, second]]})
    launcher = FarAway(folder, left=[first], final=True)
    Watch(folder, study, launcher, lambda progress: None).run()
    assert launcher.submitted == [[second]]
    assert set(statuses(folder)) == {first, second}
