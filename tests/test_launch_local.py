"""The local launcher with real runs: deaths, stops and rivals; no run is lost, none is repeated."""

import json
import os
import signal
import time
from pathlib import Path

import psutil
import pytest
from real_runs import (
    crlscale,
    finish,
    read_only,
    snapshot,
    start,
    start_python,
    status,
    statuses,
    tiny_study,
    tiny_sweep,
    wait_for,
)

from crlscale import cost
from crlscale.device import usable_cores
from crlscale.errors import CrlscaleError
from crlscale.launch import child
from crlscale.launch.child import memory_kills, record_death, start_child
from crlscale.launch.contract import LaunchOptions
from crlscale.launch.launchers import launch
from crlscale.launch.local import LocalLauncher, choose_jobs
from crlscale.launch.watch import Watch
from crlscale.study import Execution, load_study

SWEEP = tiny_sweep("--levels", "4", "--study", "tiny")


def running(folder: Path) -> list[dict]:
    """status.json of the runs whose process is at work."""
    if not (folder / "study.json").exists():
        return []
    found = [status(folder, run_id) for run_id in statuses(folder)]
    return [s for s in found if s.get("status") == "running" and psutil.pid_exists(s["pid"])]


def files_of(folder: Path, word: str) -> dict:
    """What the runs of that status measured and reported, with the times of change."""
    runs = [run_id for run_id, found in statuses(folder).items() if found == word]
    files = {path: file for i in runs for path, file in snapshot(folder / "runs" / i).items()}
    return {path: file for path, file in files.items() if path.name != "log.txt"}


def result(out: str) -> dict:
    """What a sweep prints with --json."""
    data = json.loads(out)
    assert data["schema"] == 1
    return data


@pytest.mark.slow
def test_killed_worker_is_recorded_and_done_again_by_the_same_command(results):
    folder = results / "tiny"
    process = start(*SWEEP, "--seeds", "2", "--jobs", "2", "--retries", "0", "--json")
    wait_for(lambda: len(running(folder)) == 2)
    victim = running(folder)[0]
    os.kill(victim["pid"], signal.SIGKILL)
    code, out, err = finish(process)
    assert code == 1
    assert sorted(statuses(folder).values()) == ["complete", "failed"]
    failed = status(folder, victim["run_id"])
    assert failed["cause"].startswith("killed by signal 9") and failed["kind"] == "killed"
    assert (failed["launcher"], failed["attempts"]) == ("local", 1)
    assert "failed: depth 4, seed" in err and failed["cause"] in err
    assert "crlscale status tiny" in err and "tries them again" in err
    data = result(out)
    assert data["exit_code"] == 1
    assert (data["rows"][0]["seeds_scored"], data["rows"][0]["seeds_planned"]) == (1, 2)

    done = files_of(folder, "complete")
    code, out, err = crlscale(*SWEEP, "--seeds", "2", "--jobs", "2", "--json")
    assert code == 0
    assert "1 of 2 runs have finished already" in err
    assert result(out)["rows"][0]["statuses"] == ["complete", "complete"]
    assert done.items() <= files_of(folder, "complete").items()
    again = status(folder, victim["run_id"])
    assert (again["status"], again["cause"], again["kind"]) == ("complete", None, None)
    assert again["attempts"] == 2


@pytest.mark.slow
def test_killed_and_preempted_workers_are_tried_again_by_the_launcher(results):
    """One worker is killed, one told to stop by another than its launcher: both runs end well."""
    folder = results / "tiny"
    process = start(*SWEEP, "--seeds", "2", "--jobs", "2", "--json")
    wait_for(lambda: len(running(folder)) == 2)
    killed, preempted = running(folder)
    os.kill(killed["pid"], signal.SIGKILL)
    os.kill(preempted["pid"], signal.SIGTERM)
    code, out, err = finish(process)
    assert code == 0, err
    assert f"failed: depth 4, seed {killed['run_id'][-10]}" in err and "killed by signal 9" in err
    assert result(out)["rows"][0]["statuses"] == ["complete", "complete"]
    for run_id in statuses(folder):
        assert status(folder, run_id)["attempts"] == 2


@pytest.mark.slow
def test_launcher_stopped_killed_and_started_again(results):
    """Ctrl-C in the middle, then kill -9 of the launcher, then to the end."""
    folder = results / "tiny"
    process = start(*SWEEP, "--seeds", "3", "--jobs", "1")
    wait_for(lambda: running(folder))
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert code == 130
    assert "The same command again goes on from there" in err and "Traceback" not in err
    assert "tiny: time at goal" in out  # the table as far as it is
    assert sorted(statuses(folder).values()) == ["planned", "planned", "stopped"]
    assert not running(folder)

    process = start(*SWEEP, "--seeds", "3", "--jobs", "2")
    wait_for(lambda: "complete" in statuses(folder).values() and running(folder))
    process.kill()
    finish(process)
    done = files_of(folder, "complete")
    wait_for(lambda: not running(folder))  # the workers stop by themselves
    assert set(statuses(folder).values()) <= {"complete", "stopped", "planned"}

    code, out, err = crlscale(*SWEEP, "--seeds", "3", "--jobs", "2", "--json")
    assert code == 0
    assert "of 3 runs have finished already" in err
    (row,) = result(out)["rows"]
    assert row["statuses"] == ["complete"] * 3 and row["seeds_scored"] == 3
    assert done.items() <= files_of(folder, "complete").items()  # not repeated
    for run_id in statuses(folder):
        left = {path.name for path in (folder / "runs" / run_id).iterdir()}
        tables = {"metrics.parquet", "blocks.parquet"}
        assert left == {"config.json", "status.json", "history.jsonl", "log.txt"} | tables


@pytest.mark.slow
def test_two_launchers_share_a_study(results):
    folder = results / "tiny"
    both = [start(*SWEEP, "--seeds", "2", "--jobs", "2", "--json") for _ in range(2)]
    for code, out, _ in map(finish, both):
        assert code == 0
        assert result(out)["rows"][0]["statuses"] == ["complete", "complete"]
    for run_id in statuses(folder):
        log = (folder / "runs" / run_id / "log.txt").read_text()
        assert log.count(f"complete: {run_id}") - log.count("nothing to do") == 1, log


# --- without a run -------------------------------------------------------------------------
@pytest.fixture
def planned(tmp_path):
    return tiny_study(tmp_path, seeds=2)


def launched(folder, jobs=1, run_ids=None):
    seen = []
    code = launch(folder, load_study(folder), LaunchOptions(jobs=jobs), seen.append, run_ids)
    return code, seen


def test_worker_that_dies_before_it_can_tell_is_recorded(planned):
    """status.json cannot be written: the launcher finds out from the exit code and the log."""
    folder, study = planned
    for run_id in study.configs:
        (folder / "runs" / run_id / "config.json").mkdir(parents=True)
    code, seen = launched(folder, jobs=2)
    assert code == 1
    for run_id in study.configs:
        found = status(folder, run_id)
        assert found["status"] == "failed"
        assert "cannot write" in found["cause"] and "config.json" in found["cause"]
    assert seen[-1].count("failed") == 2 and seen[-1].running == []


def test_only_the_runs_asked_for_are_started(planned):
    """A refused run is not tried again: a second attempt would end alike."""
    folder, study = planned
    first, second = study.configs
    (folder / "runs" / second / "config.json").mkdir(parents=True)
    code, seen = launched(folder, run_ids=[second])
    assert code == 1
    assert list(seen[-1].statuses) == [second] and not (folder / "runs" / first).exists()
    log = (folder / "runs" / second / "log.txt").read_text()
    assert log.count("cannot write") == 1, log


def test_kernel_tells_how_many_were_killed_for_want_of_memory(tmp_path):
    """A process that the kernel kills so is told from one that somebody killed."""
    kills = memory_kills()
    assert kills is None or kills >= 0
    folder, study = tiny_study(tmp_path)
    for before, kind in ((kills, "killed"), (-1, "out_of_memory")):
        child = start_child(folder, list(study.configs), "local")
        child.process.kill()
        child.process.wait()
        child.memory_kills = before
        record_death(child)
        (run_id,) = study.configs
        assert status(folder, run_id)["kind"] == (kind if kills is not None else "killed")


def test_folder_that_refuses_is_one_line_in_the_middle_of_a_study(planned):
    folder, _ = planned
    before = snapshot(folder)
    with read_only(folder), pytest.raises(CrlscaleError, match=r"cannot write .*log\.txt"):
        launched(folder)
    assert snapshot(folder) == before


def test_sigterm_is_passed_on_and_stops_the_launcher(planned):
    """It exits with 75; workers that had not begun leave nothing behind."""
    folder, _ = planned
    program = (
        "import sys; from crlscale.launch.contract import LaunchOptions as Options;"
        "from crlscale.launch.launchers import launch; from crlscale.study import load_study;"
        f"f = {str(folder)!r}; s = load_study(f);"
        "sys.exit(launch(f, s, Options(jobs=1), lambda p: print(p.running, flush=True)))"
    )
    process = start_python("-c", program)
    while "[]" in process.stdout.readline():  # until a run has been started
        pass
    process.send_signal(signal.SIGTERM)
    code, _, err = finish(process)
    assert code == 75, err
    assert set(statuses(folder).values()) <= {"planned", "stopped"}
    assert not running(folder)


def test_jobs_by_cores_and_memory(planned):
    _, study = planned
    cores = len(usable_cores())
    fit = int(cost.free_memory() // max(cost.memory_bytes(c) for c in study.configs.values()))
    assert choose_jobs(study, None) == max(1, min(cores, fit))
    assert choose_jobs(study, 7) == 7
    wide = study.model_copy(update={"execution": Execution(threads=64)})
    assert choose_jobs(wide, None) == 1


@pytest.mark.parametrize("jobs", [0, -1])
def test_no_process_at_all_is_refused(planned, jobs):
    with pytest.raises(CrlscaleError, match="at least one process"):
        choose_jobs(planned[1], jobs)


def test_program_that_cannot_fit_is_refused_and_named(tmp_path):
    _, study = tiny_study(tmp_path, axes={"width": [16, 2**17]})
    with pytest.raises(CrlscaleError) as refused:
        choose_jobs(study, None)
    assert "w131072" in refused.value.message and "GB are free" in refused.value.message
    assert "width" in refused.value.remedy


def test_the_longest_program_is_first(tmp_path):
    folder, study = tiny_study(tmp_path, axes={"depth": [4, 64, 16]})
    watch = Watch(folder, study, LocalLauncher(folder, study, 1), print)
    assert [study.configs[group[0]].depth for group in watch.queue] == [64, 16, 4]


# --- GPUs ------------------------------------------------------------------------------------
def environment(pid: int) -> dict[str, str]:
    """Of a process that was just started; the system shows none for the moment in which it is loaded."""
    until = time.monotonic() + 30
    while not (found := psutil.Process(pid).environ()) and time.monotonic() < until:
        time.sleep(0.01)
    return found


def test_processes_get_gpus_of_their_own(planned, monkeypatch):
    """What the environment of real processes says; there is no GPU here."""
    folder, study = planned
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,6,7")
    groups = [[run_id] for run_id in list(study.configs)[:2]]
    with LocalLauncher(folder, study, 2, gpus=2) as launcher:
        assert len(list(launcher.start(groups))) == 2
        pids = [worker.child.process.pid for worker in launcher.workers]
        seen = [environment(pid)["CUDA_VISIBLE_DEVICES"] for pid in pids]
    assert seen == ["3,5", "6,7"]


def test_no_more_processes_than_gpus(planned, monkeypatch):
    _, study = planned
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    assert choose_jobs(study, None, gpus=2) == 1 and choose_jobs(study, 3, gpus=1) == 3
    with pytest.raises(
        CrlscaleError, match="2 processes of 2 GPUs each: this process sees 3"
    ) as refused:
        choose_jobs(study, 2, gpus=2)
    assert refused.value.remedy == "--gpus 2 --jobs 1"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(CrlscaleError, match="sees 0; try: no --gpus"):
        choose_jobs(study, None, gpus=1)


def test_child_is_not_taken_for_one_of_several_processes(tmp_path, monkeypatch):
    """A sweep typed in a shell of `srun -n 4`: each run trains alone."""
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    given = {}

    def popen(command, env, **more):
        given.update(env)
        raise OSError("enough")

    monkeypatch.setattr(child.subprocess, "Popen", popen)
    (tmp_path / "runs" / "a").mkdir(parents=True)
    for asked, wanted in ((None, "0"), ("1", "1")):
        if asked:
            monkeypatch.setenv("CRLSCALE_DISTRIBUTED", asked)
        with pytest.raises(OSError, match="enough"):
            child.start_child(tmp_path, ["a"], "local")
        assert given["CRLSCALE_DISTRIBUTED"] == wanted
