"""`crlscale runs`: listing by name; removal that names everything and touches nothing else."""

import json
import os
import pty
import subprocess
import sys
import time

import pytest
from reading_cli import run, run_json
from real_runs import crlscale, finish, read_only, snapshot, start, status, tiny_study, wait_for
from simulated import flat, write_study

from crlscale.claim import claim, release
from crlscale.store import read_metrics, write_json

OUTCOME = {(4, 1): "diverged", (4, 2): "failed", (8, 0): "stopped", (8, 1): "planned"}


@pytest.fixture
def mixed(results):
    """A study with a complete, a diverged, a failed, a stopped and a planned run; run ids by word."""
    folder = write_study(
        results, {"depth": [4, 8]}, flat, outcome=OUTCOME, name="mixed", settings={"env": "chain_4"}
    )
    configs = json.loads((folder / "study.json").read_text())["configs"]
    ids = {(c["depth"], c["seed"]): i for i, c in configs.items()}
    for run_id in {ids[place] for place, word in OUTCOME.items() if word != "planned"}:
        (folder / "runs" / run_id / "log.txt").write_text("why\n")
    (folder / "runs" / ids[4, 2] / "checkpoints" / "7").mkdir(parents=True)
    (folder / "runs" / ids[4, 2] / "checkpoints" / "7" / "carry").write_bytes(b"x" * 1000)
    return folder, {"complete": ids[4, 0], **{word: ids[place] for place, word in OUTCOME.items()}}


def files(folder, run_id) -> set[str]:
    run_folder = folder / "runs" / run_id
    return {str(p.relative_to(run_folder)) for p in run_folder.rglob("*") if p.is_file()}


def refused(capsys, *arguments) -> str:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    line = err.splitlines()[-1]
    assert line.startswith("error: ") and "; try: " in line
    return line


def test_list_names_every_run_and_why_it_failed(mixed, capsys):
    folder, ids = mixed
    write_json(
        folder / "runs" / ids["failed"] / "status.json",
        {"schema_version": 1, "status": "failed", "cause": "exit code 1", "attempts": 2, "job": "17_4",
         "launcher": "slurm", "kind": "exception"},
    )  # fmt: skip
    code, out, err = run(capsys, "runs", "list", "mixed")
    lines = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.split()}
    assert code == 0 and set(ids.values()) <= lines.keys()
    assert lines[ids["failed"]] == ["failed", "0%", "-", "2", "slurm", "17_4"]
    assert f"failed: {ids['failed']}: exit code 1 [exception]" in err
    rows = run_json(capsys, "runs", "list", "mixed", "--state", "failed,planned")["rows"]
    assert [(row["run_id"], row["status"]) for row in rows] == [
        (ids["failed"], "failed"),
        (ids["planned"], "planned"),
    ]
    assert rows[0]["attempts"] == 2 and rows[1]["attempts"] is None


def test_redo_takes_what_failed_or_diverged_and_keeps_logs(mixed, capsys):
    folder, ids = mixed
    before = snapshot(folder)
    code, out, err = run(capsys, "runs", "redo", "mixed", "--yes")
    assert (code, out) == (0, "")
    touched = {ids["failed"], ids["diverged"]}
    assert all(any(f": {run_id}: " in line for line in err.splitlines()) for run_id in touched)
    after = snapshot(folder)
    gone = before.keys() - after.keys()
    assert {path.relative_to(folder / "runs").parts[0] for path in gone} == touched
    assert {path: after[path] for path in after} == {path: before[path] for path in after}
    assert files(folder, ids["failed"]) == files(folder, ids["diverged"]) == {"log.txt"}
    rows = {row["run_id"]: row["status"] for row in run_json(capsys, "status", "mixed")["rows"]}
    assert {rows[run_id] for run_id in touched} == {"planned"}
    assert set(read_metrics(folder)["run_id"]) == set(before_ids(before)) - touched
    code, _, err = run(capsys, "runs", "redo", "mixed", "--yes")
    assert code == 0 and "nothing to delete" in err


def before_ids(before) -> list[str]:
    return [path.parent.name for path in before if path.name == "metrics.parquet"]


def test_rm_takes_everything_of_the_named_runs_only(mixed, capsys):
    folder, ids = mixed
    before = snapshot(folder)
    data = run_json_said(capsys, "runs", "rm", "mixed", ids["failed"], "chain_4-d8-*-s0-*", "--yes")
    named = {path for row in data["rows"] for path in row["files"]}
    assert {row["run_id"] for row in data["rows"]} == {ids["failed"], ids["stopped"]}
    after = snapshot(folder)
    assert {str(path.relative_to(folder)) for path in before.keys() - after.keys()} == named
    assert not (folder / "runs" / ids["failed"]).exists()
    assert (folder / "runs" / ids["complete"]).exists()


def run_json_said(capsys, *arguments) -> dict:
    code, out, _ = run(capsys, *arguments, "--json")
    assert code == 0
    return json.loads(out)


def test_without_a_terminal_or_yes_nothing_goes(mixed, capsys):
    folder, ids = mixed
    before = snapshot(folder)
    for verb in ("rm", "redo"):
        code, out, err = run(capsys, "runs", verb, "mixed", ids["failed"])
        assert (code, out) == (2, "")
        assert f"failed: {ids['failed']}: " in err and "--yes" in err
    assert snapshot(folder) == before


def test_mistakes(mixed, capsys):
    folder, _ = mixed
    before = snapshot(folder)
    assert "which runs?" in refused(capsys, "runs", "rm", "mixed", "--yes")
    assert "has no run 'chain_4-d9'" in refused(capsys, "runs", "rm", "mixed", "chain_4-d9", "--yes")
    assert "no state 'broken'" in refused(capsys, "runs", "redo", "mixed", "--state", "broken", "--yes")
    assert "no study" in refused(capsys, "runs", "redo", "mixde", "--yes")
    assert snapshot(folder) == before


def test_held_run_is_refused_and_the_others_stay_too(mixed, capsys):
    folder, ids = mixed
    assert claim(folder / "runs" / ids["diverged"]) is None  # this process, which is alive
    before = snapshot(folder)
    words = refused(capsys, "runs", "redo", "mixed", "--yes")
    assert ids["diverged"] in words and f"process {os.getpid()}" in words
    assert snapshot(folder) == before
    release(folder / "runs" / ids["diverged"])
    assert run(capsys, "runs", "redo", "mixed", "--yes")[0] == 0


def test_run_of_another_host_with_a_heartbeat_is_refused(mixed, capsys):
    folder, ids = mixed
    path = folder / "runs" / ids["stopped"] / "status.json"
    running = {"schema_version": 1, "status": "running", "pid": 7, "host": "elsewhere"}
    write_json(path, {**running, "heartbeat": time.time()})
    assert "process 7 on elsewhere" in refused(capsys, "runs", "rm", "mixed", ids["stopped"], "--yes")
    write_json(path, {**running, "heartbeat": time.time() - 100})  # lost
    assert run(capsys, "runs", "rm", "mixed", ids["stopped"], "--yes")[0] == 0


def test_checkpoint_of_a_shared_program_is_not_taken_from_the_others(results, capsys):
    from crlscale.study import Execution

    folder, study = tiny_study(results, seeds=2, execution=Execution(seeds_per_program=2))
    first, second = study.configs
    (folder / "runs" / first / "checkpoints").mkdir(parents=True)
    for run_id in (first, second):
        write_json(folder / "runs" / run_id / "status.json", {"schema_version": 1, "status": "stopped"})
    assert second in refused(capsys, "runs", "redo", "tiny", first, "--yes")
    assert run(capsys, "runs", "redo", "tiny", first, second, "--yes")[0] == 0


def test_read_only_folder_is_said(mixed, capsys):
    folder, ids = mixed
    with read_only(folder):
        assert "cannot write" in refused(capsys, "runs", "rm", "mixed", ids["complete"], "--yes")
    assert files(folder, ids["complete"]) >= {"status.json", "metrics.parquet"}


@pytest.mark.parametrize(("answer", "deleted"), [("y", True), ("n", False), ("", False)])
def test_a_person_is_asked(mixed, answer, deleted):
    folder, ids = mixed
    terminal, theirs = pty.openpty()
    command = [sys.executable, "-m", "crlscale", "runs", "rm", "mixed", ids["failed"]]
    process = subprocess.Popen(command, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, text=True)
    os.close(theirs)
    os.write(terminal, f"{answer}\n".encode())
    process.communicate(timeout=120)
    said = os.read(terminal, 10_000).decode()
    os.close(terminal)
    assert process.returncode == 0
    assert f"failed: {ids['failed']}: " in said and "? [y/N]" in said
    assert (folder / "runs" / ids["failed"]).exists() != deleted


@pytest.mark.slow
def test_redone_run_is_run_again_and_measures_the_same(results, capsys):
    folder, study = tiny_study(results, axes={"depth": [1, 2]})
    first, second = study.configs
    for run_id in (first, second):
        assert crlscale("run", "tiny", run_id)[0] == 0
    scores = ["run_id", "evaluation", "time_at_goal_all", "critic_loss"]
    measured, kept = read_metrics(folder)[scores], snapshot(folder / "runs" / second)
    assert run(capsys, "runs", "redo", "tiny", first, "--yes")[0] == 0
    assert set(read_metrics(folder)["run_id"]) == {second}
    process = start("run", "tiny", first)
    wait_for(lambda: status(folder, first).get("status") == "running")
    assert first in refused(capsys, "runs", "rm", "tiny", first, "--yes")
    assert finish(process)[0] == 0
    assert read_metrics(folder)[scores].equals(measured)
    assert snapshot(folder / "runs" / second) == kept
