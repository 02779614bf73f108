"""Trackers: what arrives in real event files and real offline runs, and that none can end a run."""

import contextlib
import json
import math
import os
import socket
import struct

import pytest
from reading_cli import run
from real_runs import crlscale, finish, start, start_python, status, tiny_study, wait_for

from crlscale import trackers
from crlscale.errors import CrlscaleError
from crlscale.store import read_run_metrics
from crlscale.trackers import Trackers, check_trackers, choose_trackers


def events(run_folder) -> list:
    """All events below runs/<id>/tensorboard, file by file in order of their time."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted((run_folder / "tensorboard").glob("events.*"), key=os.path.getctime):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            found.append(Event.FromString(data[12 : 12 + length]))
            data = data[16 + length :]
    return found


def scalars(run_folder) -> dict:
    """(tag, step) -> value of every scalar."""
    return {
        (value.tag, event.step): value.simple_value
        for event in events(run_folder)
        for value in event.summary.value
        if value.HasField("simple_value")
    }


def wandb_records(path) -> list[bytes]:
    """The records of a .wandb file: a header of 7 bytes, then LevelDB's log format, blocks of
    32 KiB of chunks (checksum 4, length 2, type 1: whole, first, middle, last)."""
    data, found, part, at = path.read_bytes(), [], b"", 7
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:  # the rest of a block that holds no chunk
            at += 32768 - at % 32768
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        part += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            found.append(part)
            part = b""
    return found


def offline_run(run_folder) -> tuple[list[dict], object]:
    """History and header of the one Weights & Biases run of a run folder."""
    from wandb.proto.wandb_internal_pb2 import Record

    history, header = [], None
    for path in sorted((run_folder / "wandb").glob("offline-run-*/run-*.wandb"), key=os.path.getctime):
        for record in map(Record.FromString, wandb_records(path)):
            if record.WhichOneof("record_type") == "history":
                items = record.history.item
                history.append({(i.key or i.nested_key[0]): json.loads(i.value_json) for i in items})
            elif record.WhichOneof("record_type") == "run":
                header = record.run
    return history, header


@pytest.fixture
def use(monkeypatch):
    """use("a", "b") chooses trackers, for this test alone."""
    monkeypatch.setenv(trackers.VARIABLE, "")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    return lambda *names: monkeypatch.setenv(trackers.VARIABLE, ",".join(names))


def row(evaluation: int, **more) -> dict:
    return {
        "run_id": "r", "depth": 4, "evaluation": evaluation, "env_steps": 100 * evaluation + 40,
        "gradient_steps": 10 * evaluation, "time_at_goal_all": evaluation + 0.5, "critic_loss": None,
        "resumed": False, **more,
    }  # fmt: skip


def log(study, folder, run_id, rows, known=0) -> None:
    """`rows` as a process hands them over; the first `known` are restored by it."""
    tracked = Trackers(study, folder)
    for end in range(known + 1, len(rows) + 1):
        tracked.log(run_id, rows[:end])
    tracked.close(120.0)


LOG = """
import json, os, sys, time
from crlscale.study import load_study
from crlscale.trackers import Trackers
study, folder, rows, seconds = load_study(sys.argv[1]), sys.argv[1], json.loads(sys.argv[2]), float(sys.argv[3])
tracked, began = Trackers(study, folder), time.monotonic()
for run_id, known in rows:
    tracked.log(run_id, known)
handed_over = time.monotonic() - began
tracked.close(seconds)
print(handed_over, flush=True)
os._exit(0)  # as a launched run ends
"""


def log_alone(folder, rows, seconds=120.0) -> tuple[float, list[str]]:
    """`rows` of (run id, its rows so far) in a process of its own, for wandb keeps its failures for a process:
    seconds until they were handed over, and what the trackers said."""
    code, out, err = finish(start_python("-c", LOG, str(folder), json.dumps(rows), str(seconds)))
    assert code == 0, err
    return float(out), [line for line in err.splitlines() if line.strip()]


def test_off_by_default(results, use, capfd):
    folder, study = tiny_study(results)
    log(study, folder, next(iter(study.configs)), [row(0)])
    assert not (folder / "runs").exists() and capfd.readouterr().err == ""


def test_tensorboard_has_the_numbers_by_env_steps(results, use, capfd):
    use("tensorboard")
    folder, study = tiny_study(results)
    run_id = next(iter(study.configs))
    log(study, folder, run_id, [row(0), row(1, critic_loss=2.5), row(2, critic_loss=math.nan)])
    found = scalars(folder / "runs" / run_id)
    assert math.isnan(found.pop(("critic_loss", 240)))
    assert {key: value for key, value in found.items() if key[0] != "resumed"} == {
        ("time_at_goal_all", 40): 0.5,
        ("time_at_goal_all", 140): 1.5,
        ("time_at_goal_all", 240): 2.5,
        ("critic_loss", 140): 2.5,
    }
    assert capfd.readouterr().err == ""


def test_resumed_tensorboard_run_drops_what_lies_past_the_checkpoint(results, use):
    from tensorboardX.proto.event_pb2 import SessionLog

    use("tensorboard")
    folder, study = tiny_study(results)
    run_id = next(iter(study.configs))
    log(study, folder, run_id, [row(0), row(1), row(2)])
    log(study, folder, run_id, [row(0), row(1), row(2, time_at_goal_all=9.0), row(3)], known=2)
    starts = [
        e.step for e in events(folder / "runs" / run_id) if e.session_log.status == SessionLog.START
    ]
    assert starts[-1] == 240  # TensorBoard forgets the steps from here on that came before
    found = scalars(folder / "runs" / run_id)
    assert (found["time_at_goal_all", 240], found["time_at_goal_all", 340]) == (9.0, 3.5)


def test_rows_that_a_tracker_lacks_are_made_up_for(results, use):
    """A process that was killed had measured more than its tracker knew; known rows stay single."""
    use("tensorboard")
    folder, study = tiny_study(results)
    run_id = next(iter(study.configs))
    log(study, folder, run_id, [row(0)])
    log(study, folder, run_id, [row(0), row(1), row(2), row(3)], known=3)
    steps = [e.step for e in events(folder / "runs" / run_id) for v in e.summary.value
             if v.tag == "time_at_goal_all"]  # fmt: skip
    assert steps == [40, 140, 240, 340]
    (folder / "runs" / run_id / "trackers" / "tensorboard.json").write_text("{")
    log(study, folder, run_id, [row(0), row(1)], known=1)  # of nothing known, all is sent
    assert len(scalars(folder / "runs" / run_id)) >= 4


def test_wandb_offline_run_has_the_rows_and_goes_on_when_resumed(results, use):
    use("wandb")
    folder, study = tiny_study(results, seeds=2)
    first, second = study.configs
    for run_id in (first, second):
        (folder / "runs" / run_id).mkdir(parents=True)
    measured = [row(i, critic_loss=1.25) for i in (0, 1)]
    rows = [(run_id, measured[: i + 1]) for i in (0, 1) for run_id in (first, second)]
    assert log_alone(folder, rows)[1] == []
    ids = []
    for run_id in (first, second):
        history, header = offline_run(folder / "runs" / run_id)
        assert [line["time_at_goal_all"] for line in history] == [0.5, 1.5]
        assert [line["env_steps"] for line in history] == [40, 140]
        assert (header.project, header.run_group, header.display_name) == ("crlscale", "tiny", run_id)
        ids.append(header.run_id)
    assert len(set(ids)) == 2
    log_alone(folder, [(first, [*measured, row(2)])])
    history, header = offline_run(folder / "runs" / first)
    assert header.run_id == ids[0] and [line["evaluation"] for line in history] == [0, 1, 2]


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_tracker_that_fails_says_so_once(results, use, monkeypatch, name):
    use(name)
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_API_KEY", "too short")
    folder, study = tiny_study(results)
    run_id = next(iter(study.configs))
    (folder / "runs" / run_id).mkdir(parents=True)
    (folder / "runs" / run_id / "tensorboard").write_text("in the way")
    _, said = log_alone(folder, [(run_id, [row(i) for i in range(n)]) for n in (1, 2, 3)])
    assert [line.startswith(f"tracker {name} failed") for line in said] == [True]
    assert "metrics.parquet" in said[0]


def test_tracker_that_hangs_is_not_waited_for(results, use, monkeypatch):
    """A network that never answers: wandb asks a server that accepts and says nothing."""
    use("wandb")
    folder, study = tiny_study(results)
    run_id = next(iter(study.configs))
    (folder / "runs" / run_id).mkdir(parents=True)
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as silent:
        monkeypatch.setenv("WANDB_MODE", "online")
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        handed_over, said = log_alone(folder, [(run_id, [row(0)])], seconds=2.0)
    assert handed_over < 10.0  # wandb itself waits for 60 s and more
    assert any("tracker wandb has not sent everything after 2 s" in line for line in said)


def test_unknown_and_absent_trackers_are_refused_before_anything_runs(
    results, use, capsys, monkeypatch
):
    code, out, err = run(capsys, "sweep", "depth", "--preset", "smoke", "--tracker", "mlflow")
    assert (code, out) == (2, "") and "no tracker 'mlflow'" in err
    assert list(results.iterdir()) == []
    monkeypatch.setitem(trackers.PACKAGES, "trackio", "a_package_that_is_not_there")
    with pytest.raises(CrlscaleError, match="not installed") as refused:
        check_trackers(["trackio"])
    assert refused.value.remedy == "pip install 'crlscale[trackio]'"


def test_chosen_trackers_reach_the_processes_that_are_started(use):
    use("wandb")
    choose_trackers(["tensorboard", "wandb"])
    assert os.environ[trackers.VARIABLE] == "wandb,tensorboard"
    choose_trackers([])
    assert os.environ[trackers.VARIABLE] == "wandb,tensorboard"


@pytest.mark.slow
def test_real_run_is_tracked_and_its_identity_stays(results, use):
    """A run with both trackers, stopped in the middle and resumed, tells them what it stored."""
    folder, study = tiny_study(results, env_steps=19200, evaluations=4)
    run_id = next(iter(study.configs))
    use("tensorboard", "wandb")
    process = start("run", "tiny", run_id)
    wait_for(lambda: status(folder, run_id).get("time_at_goal") is not None)
    process.terminate()
    assert finish(process)[0] in (75, 0)
    code, _, err = crlscale("run", "tiny", run_id)
    assert code == 0 and "tracker" not in err
    run_folder = folder / "runs" / run_id
    rows = read_run_metrics(run_folder)
    found = scalars(run_folder)
    for each in rows:
        for name in ("time_at_goal_all", "critic_loss"):
            if each[name] is None:
                assert (name, each["env_steps"]) not in found
            else:
                assert found[name, each["env_steps"]] == pytest.approx(each[name], rel=1e-6)
    history, _ = offline_run(run_folder)
    last = {line["evaluation"]: line["time_at_goal_all"] for line in history}
    assert last == {each["evaluation"]: pytest.approx(each["time_at_goal_all"]) for each in rows}
    assert tiny_study(results, env_steps=19200, evaluations=4)[1] == study
