"""One program of a study by hand: what is refused, what is left alone, what is recorded."""

import json
import multiprocessing
import os
import signal
import socket
import subprocess

import pytest
from fault_report import NOT_COMPARED
from real_runs import crlscale, read_only, run_signalled, snapshot, status, statuses, tiny_study
from simulated import flat, write_study

from crlscale import __version__ as crlscale_version
from crlscale import claim, record, store
from crlscale.errors import CrlscaleError
from crlscale.run import partition, run_group
from crlscale.study import Execution, load_study


def refusal(*arguments) -> CrlscaleError:
    with pytest.raises(CrlscaleError) as refused:
        run_group(*arguments)
    assert "\n" not in str(refused.value) and refused.value.remedy
    return refused.value


@pytest.fixture
def planned(tmp_path):
    """Folder and run ids of a study of four runs: depth 4 and 8, seeds 0 and 1."""
    folder, study = tiny_study(tmp_path, axes={"depth": [4, 8]}, seeds=2)
    return folder, list(study.configs)


def test_unknown_run_names_near_ones_and_writes_nothing(planned):
    folder, ids = planned
    before = snapshot(folder)
    error = refusal(folder, [ids[0][:-1] + "x"])
    assert "has no run" in error.message and ids[0] in error.message
    assert error.remedy == "crlscale status tiny"
    assert "has no run 'nothing'" in refusal(folder, [ids[0], "nothing"]).message
    assert snapshot(folder) == before


def test_runs_are_put_into_programs_as_planned(tmp_path):
    """Two seeds of a cell share a program, in the order of the plan, whatever the order asked for."""
    execution = Execution(seeds_per_program=2)
    _, study = tiny_study(tmp_path, axes={"depth": [4, 8]}, seeds=3, execution=execution)
    ids = list(study.configs)
    assert partition(study, ids[::-1]) == [ids[:2], [ids[2]], ids[3:5], [ids[5]]]
    assert partition(study, [ids[4], ids[1], ids[2]]) == [[ids[1]], [ids[2]], [ids[4]]]


def test_run_of_another_process_is_refused_and_all_claims_are_given_back(tmp_path):
    execution = Execution(seeds_per_program=2)
    folder, study = tiny_study(tmp_path, seeds=2, execution=execution)
    ids = list(study.configs)
    holder = {"pid": 7, "host": "another-host", "born": 1.0}
    run = folder / "runs" / ids[1]
    run.mkdir(parents=True)
    (run / "claim.json").write_text(json.dumps(holder))
    error = refusal(folder, ids)
    assert error.message == f"{ids[1]} is being run by process 7 on another-host"
    assert json.loads((run / "claim.json").read_text()) == holder
    assert claim.held(folder / "runs" / ids[0]) is None
    assert record.read_status(folder / "runs" / ids[0]) == {"status": "planned"}


def test_finished_runs_are_left_alone(tmp_path, capsys):
    folder = write_study(tmp_path, {"depth": [4]}, flat, seeds=2, outcome={(4, 1): "diverged"})
    ids = list(load_study(folder).configs)
    before = snapshot(folder)
    assert run_group(folder, ids) == 0
    assert capsys.readouterr().err == f"nothing to do: {', '.join(ids)} finished already\n"
    assert snapshot(folder) == before


def claim_late(folder, run_id, finished):
    """Has the claim while another process looks, and ends the run before it gives the claim back."""
    claim.claim(folder / "runs" / run_id)
    entry = record.RunRecord(folder / "runs" / run_id, run_id)
    entry.update()
    finished.wait()
    entry.end("complete")


def test_run_that_another_process_just_ended_is_not_repeated(planned, monkeypatch):
    """Between a look at the status and the claim, the other one ends the run."""
    folder, ids = planned
    spawn = multiprocessing.get_context("spawn")
    finished = spawn.Event()
    other = spawn.Process(target=claim_late, args=(folder, ids[0], finished))
    other.start()
    while record.read_status(folder / "runs" / ids[0])["status"] != "running":
        pass

    def claim_later(*arguments):
        finished.set()
        other.join()
        return claim.claim(*arguments)

    monkeypatch.setattr("crlscale.run.claim", claim_later)
    before = status(folder, ids[0])
    assert run_group(folder, [ids[0]]) == 0
    after = status(folder, ids[0])
    assert (after["status"], after["pid"]) == ("complete", before["pid"])
    assert claim.held(folder / "runs" / ids[0]) is None


def test_study_that_refuses_writing_is_one_line(planned):
    folder, ids = planned
    before = snapshot(folder)
    with read_only(folder):
        code, out, err = crlscale("run", folder, ids[0])
    assert (code, out) == (2, "")
    assert err.startswith("error: cannot write ") and err.count("\n") == 1 and "try: --results" in err
    assert snapshot(folder) == before


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no cores")
def test_exception_is_recorded_with_its_cause_and_the_claim_given_back(planned):
    """A core that is not there: nothing that a check before the run would see."""
    folder, ids = planned
    command = ("run", folder, ids[0], "--json")
    code, out, err = crlscale(*command, env={**os.environ, "CRLSCALE_CPUS": "99999"})
    assert code == 1
    assert "Traceback" in err  # for the log
    found = status(folder, ids[0])
    assert found["status"] == "failed" and found["ended"] >= found["started"]
    assert (found["cause"], found["kind"]) == ("OSError: [Errno 22] Invalid argument", "exception")
    assert f"failed: {ids[0]} (OSError" in err
    assert not (folder / "runs" / ids[0] / "claim.json").exists()
    printed = json.loads(out)
    assert (printed["schema"], printed["exit_code"]) == (1, 1)
    assert [row["status"] for row in printed["rows"]] == ["failed"]


def test_the_host_is_in_the_record_of_who_runs(planned):
    folder, ids = planned
    claim.claim(folder / "runs" / ids[0])
    assert socket.gethostname() in refusal(folder, [ids[0]]).message


# --- several programs ------------------------------------------------------------------------
def measured(folder, run_id) -> list[dict]:
    """The rows of a run, without its times and what the process had done before."""
    rows = store.read_run_metrics(folder / "runs" / run_id)
    return [{key: value for key, value in row.items() if key not in NOT_COMPARED} for row in rows]


@pytest.mark.slow
def test_programs_of_one_process_are_compiled_once_and_fail_each_for_itself(tmp_path):
    """Of five runs of equal shape the second cannot be written, the third diverges, the fourth is
    somebody else's; the others are as they would be alone."""
    axes = {"discount": [0.9, 0.95], "critic_learning_rate": [3e-4, 1e30]}
    folder, study = tiny_study(tmp_path, axes=axes, seeds=2, execution=Execution(runs_per_process=8))
    (group,) = study.groups
    cells = [ids for ids in study.cells.values()]
    first, second, diverging, taken, last = (
        cells[0][0],
        cells[0][1],
        cells[1][0],
        cells[2][0],
        cells[2][1],
    )
    (folder / "runs" / second / "config.json").mkdir(parents=True)
    claim.claim(folder / "runs" / taken)
    asked = (last, taken, diverging, second, first)  # the order is that of the plan all the same
    code, _, err = crlscale("run", folder, *asked)
    assert code == 2, err
    assert f"{taken} is being run by process {os.getpid()} on {socket.gethostname()}" in err
    assert "cannot write" in err and second in err
    found = {run_id: status(folder, run_id) for run_id in asked}
    told = [found[run_id].get("status") for run_id in (first, second, diverging, taken, last)]
    assert told == ["complete", "failed", "diverged", None, "complete"]
    assert found[second]["kind"] == "unwritable"
    assert found[first]["ended"] <= found[diverging]["started"] < found[last]["started"]
    assert {found[run_id]["attempts"] for run_id in (first, second, diverging, last)} == {1}
    seconds = [
        store.read_run_metrics(folder / "runs" / i)[0]["compile_seconds"]
        for i in (first, diverging, last)
    ]
    assert seconds[0] > 0 and seconds[1:] == [0.0, 0.0]
    assert len(group) == 8 and statuses(folder)[group[-1]] == "planned"

    alone, _ = tiny_study(tmp_path / "alone", axes=axes, seeds=2)
    assert crlscale("run", alone, last)[0] == 0
    assert measured(folder, last) == measured(alone, last)


@pytest.mark.slow
def test_signal_between_programs_leaves_the_next_one_planned(tmp_path):
    folder, study = tiny_study(tmp_path, seeds=2)
    first, second = study.configs
    code, _, err = run_signalled(folder, [first, second], signal.SIGTERM, "end")
    assert code == 75, err
    assert statuses(folder) == {first: "complete", second: "planned"}
    assert not (folder / "runs" / second / "claim.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "number, at, rows", [(signal.SIGUSR2, "compile", 0), (signal.SIGINT, "evaluate", 1)]
)
def test_signal_while_it_compiles_or_evaluates_stops_a_run_before_it_trains(tmp_path, number, at, rows):
    folder, study = tiny_study(tmp_path)
    (run_id,) = study.configs
    code, _, err = run_signalled(folder, [run_id], number, at)
    assert code == (130 if number == signal.SIGINT else 75), err
    found = status(folder, run_id)
    assert (found["status"], found["gradient_steps"]) == ("stopped", 0)
    assert len(store.read_run_metrics(folder / "runs" / run_id)) == rows
    assert (folder / "runs" / run_id / "checkpoints").exists() == (rows > 0)
    assert crlscale("run", folder, run_id)[0] == 0
    assert status(folder, run_id)["attempts"] == 2


@pytest.mark.slow
def test_full_disk_is_told_and_the_same_command_goes_on_once_there_is_room(full_disk):
    folder, study = tiny_study(full_disk)
    (run_id,) = study.configs
    code, _, err = run_signalled(folder, [run_id], signal.SIGTERM, "chunk")
    assert code == 2 and "No space left on device" in err and "make room" in err
    assert len(store.read_run_metrics(folder / "runs" / run_id)) == 1
    found = status(folder, run_id)
    assert found["status"] in ("failed", "running")  # as far as it could be told
    subprocess.run(["mount", "-o", "remount,size=64m", full_disk], check=True)
    assert crlscale("run", folder, run_id)[0] == 0
    assert (status(folder, run_id)["status"], status(folder, run_id)["attempts"]) == ("complete", 2)
    assert not (folder / "runs" / run_id / "checkpoints").exists()


@pytest.mark.parametrize("text", ["RESOURCE_EXHAUSTED: Out of memory allocating 10 bytes", ""])
def test_want_of_memory_is_a_kind_of_its_own(planned, monkeypatch, capsys, text):
    """XLA's has only its text to be known by."""
    folder, ids = planned

    def fail(threads):
        raise RuntimeError(text) if text else MemoryError

    monkeypatch.setattr("crlscale.run.device.prepare", fail)
    assert run_group(folder, [ids[0]]) == 1
    found = status(folder, ids[0])
    assert (found["status"], found["kind"]) == ("failed", "out_of_memory")
    assert "Traceback" in capsys.readouterr().err


def test_another_version_than_that_of_the_plan_is_told(planned, monkeypatch, capsys):
    folder, ids = planned
    monkeypatch.setattr("crlscale.run.__version__", "99.0")
    monkeypatch.setattr("crlscale.run.device.prepare", lambda threads: 1 / 0)
    run_group(folder, [ids[0]])
    assert "was planned with crlscale 0.1.0, this is 99.0" in capsys.readouterr().err
    assert status(folder, ids[0])["code_version"] == crlscale_version
