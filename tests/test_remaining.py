"""Time left: the live table of a sweep and `crlscale status` say the same of the same runs."""

import pytest

from crlscale.cli.progress import _headline, _Remaining
from crlscale.cli.words import span
from crlscale.cost import run_seconds
from crlscale.launch.contract import Progress
from crlscale.overview import Overview
from crlscale.plan import plan_study
from crlscale.remaining import Remaining
from crlscale.store import write_json
from crlscale.study import register_study

NOW = 1e9


def study_of(seeds=3):
    return plan_study({"depth": [2, 8]}, seeds=seeds, preset="smoke")


def statuses_of(study):
    """Depth 2 has ended after 100 s a run; of depth 8 one run is halfway with 200 s to go."""
    shallow, deep = study.cells.values()
    total = study.configs[deep[0]].total_env_steps
    ended = {"status": "complete", "started": NOW - 500, "ended": NOW - 400}
    statuses = {run_id: ended for run_id in shallow} | {
        run_id: {"status": "planned"} for run_id in deep
    }
    statuses[deep[0]] = {
        "status": "running",
        "heartbeat": NOW,
        "total_env_steps": total,
        "env_steps": total / 2,
        "seconds_left": 200.0,
    }
    return statuses


def test_a_sweep_and_status_say_the_same(results):
    folder, study = register_study(results, study_of())
    statuses = statuses_of(study)
    for run_id, status in statuses.items():
        if status["status"] != "planned":
            status = {**status, "env_steps": int(status.get("env_steps", 0)), "schema_version": 1}
            write_json(folder / "runs" / run_id / "status.json", status)
    overview = Overview(folder)
    overview.look(NOW)
    running = overview.named("running")
    assert overview.seconds_left == pytest.approx(200 + 400 + 400)
    progress = Progress(statuses, running=running)
    assert f"about {span(1000)} left" in _headline(progress, _Remaining(study, jobs=1))


def test_processes_that_are_idle_for_a_moment_count_as_many_as_there_is_work_for():
    study = study_of()
    statuses = statuses_of(study)
    (running,) = [run_id for run_id, status in statuses.items() if status["status"] == "running"]
    progress = Progress(statuses, running=[running])
    assert _Remaining(study, jobs=2).seconds(progress) == pytest.approx(500)
    assert _Remaining(study, jobs=9).seconds(progress) == pytest.approx(400)  # the longest run
    leaving = Progress(statuses, running=[running], leaves_jobs=True)
    assert _Remaining(study, jobs=9).seconds(leaving) == pytest.approx(1000)


def test_runs_that_wait_for_their_turn_in_a_process_are_not_at_work():
    """A process of `runs_per_process` has six runs in hand: three have ended, one is at work."""
    study = study_of()
    statuses = statuses_of(study)
    in_hand = Progress(statuses, running=list(study.configs))
    assert _Remaining(study, jobs=1).seconds(in_hand) == pytest.approx(200 + 400 + 400)


def test_runs_at_work_in_another_crlscale_count():
    study = study_of()
    statuses = statuses_of(study)
    first, second, _ = list(study.cells.values())[1]
    statuses[second] = statuses[first]
    shared = Progress(statuses, running=[first], elsewhere=[second])
    assert _Remaining(study, jobs=1).seconds(shared) == pytest.approx((200 + 200 + 400) / 2)


def test_before_any_run_can_tell_its_pace_it_is_predicted_or_unknown():
    study = study_of()
    planned = {run_id: {"status": "planned"} for run_id in study.configs}
    predicted = sum(map(run_seconds, study.configs.values()))
    assert _Remaining(study, jobs=1).seconds(Progress(planned)) == pytest.approx(predicted)
    assert Remaining(study, run_seconds).seconds(planned, 1) is None


def test_failed_and_finished_runs_are_no_work():
    study = study_of(seeds=1)
    ended = {
        run_id: {"status": word}
        for run_id, word in zip(study.configs, ("failed", "diverged"), strict=True)
    }
    assert Remaining(study, run_seconds).seconds(ended, 1, guess=1.0) == 0
