"""Several devices: who gets what, that it is really so, and that the results are the same.

Devices are simulated ones of the host (XLA_FLAGS); a process has as many as it began with, so what has
several runs in a process of its own.
"""

import json
import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import jax
import pytest
from real_runs import crlscale, finish, once, run_signalled, start_python, status, tiny_study

from crlscale import claim, hosts, store
from crlscale.errors import CrlscaleError
from crlscale.mesh import choose_mesh, describe, shares
from crlscale.study import Execution

# Of the same sums in another order each differs by some 1e-7 of itself, and 48 updates pass that on;
# measured: 8e-6 at most. Another batch, env or key moves metrics by 1e-2 and more.
TOLERANCE = 1e-4
# a ring much larger than anything of a batch; 18 episodes do not divide by 4 or 2
SETTINGS = {"replay_capacity": 1000, "eval_episodes": 18}
EXACT = ("env", "agent", "seed", "evaluation", "env_steps", "gradient_steps", "eval_episodes")


@pytest.mark.parametrize(
    ("devices", "seeds", "envs", "batch", "expected"),
    [
        (1, 8, 512, 512, (1, 1)),
        (4, 1, 16, 32, (1, 4)),
        (4, 2, 16, 32, (2, 2)),
        (4, 4, 16, 32, (4, 1)),
        (4, 8, 16, 32, (4, 1)),
        (4, 3, 16, 32, (3, 1)),  # one idle
        (8, 3, 16, 32, (3, 2)),  # two idle
        (4, 1, 6, 32, (1, 2)),  # 6 envs
        (4, 1, 16, 6, (1, 2)),  # a batch of 6
        (4, 1, 7, 32, (1, 1)),
        (4, 1, 9, 33, (1, 3)),
    ],
)
def test_seeds_come_first_then_envs_and_batch_and_all_shares_are_equal(
    devices, seeds, envs, batch, expected
):
    assert shares(devices, seeds, envs, batch) == expected


def test_one_device_is_no_mesh_and_nothing_is_said():
    assert choose_mesh(jax.devices()[:1], 4, 16, 32, pytest.fail) is None
    assert describe(None) == {"count": 1, "hosts": 1, "mesh": {"seed": 1, "data": 1}}


def with_devices(count: int) -> dict:
    flag = f"--xla_force_host_platform_device_count={count}"
    return {**os.environ, "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()}


def study_of(folder, seeds: int, together: int):
    execution = Execution(seeds_per_program=together, threads=2)
    return tiny_study(folder, seeds=seeds, execution=execution, **SETTINGS)


# --- what lies where -----------------------------------------------------------------------
@pytest.fixture(scope="module")
def inspected(tmp_path_factory):
    def make(_):
        script = str(Path(__file__).with_name("mesh_inspection.py"))
        _, study = study_of(tmp_path_factory.mktemp("inspected"), 1, 1)
        (config,) = study.configs.values()
        arguments = (script, "1", json.dumps(config.model_dump()))
        code, out, err = finish(start_python(*arguments, env=with_devices(4)), 800)
        assert code == 0, err
        return {**json.loads(out), "said": err}

    return once(tmp_path_factory, "inspected", make)


def test_use_of_the_devices_is_said(inspected):
    line = "computes on 4 of 4 devices: 1 seeds over 1, of each seed 16 envs and batches of 32 over 4\n"
    assert line in inspected["said"]
    assert inspected["devices"] == {"count": 4, "hosts": 1, "mesh": {"seed": 1, "data": 4}}


def test_what_belongs_to_envs_is_split_and_the_rest_is_whole(inspected):
    for name, found in inspected["arrays"].items():
        of_envs = name.startswith(("state/episodes/", "state/replay/"))
        axis = 2 if name.startswith("state/replay/rows/") else 1
        part = [size // 4 if of_envs and i == axis else size for i, size in enumerate(found["whole"])]
        assert found["part"] == part and found["parts"] == (4 if of_envs else 1), name
        assert not of_envs or found["whole"][axis] == 16
    kinds = {name.split("/")[1] for name in inspected["arrays"]}
    assert kinds == {
        *("agent", "episodes", "replay", "key", "unrolls", "watch"),
        *("sums", "updates", "first_nonfinite"),
    }


def test_parts_are_written_in_place(inspected):
    assert inspected["donated"] and inspected["aliased"] == inspected["local_bytes"]


def test_gradients_are_summed_over_devices_and_the_ring_never_travels(inspected):
    epoch = inspected["epoch"]
    assert sum(epoch["all-reduce"]) > inspected["parameters"]
    moved = [size for kind, sizes in epoch.items() if kind != "all-reduce" for size in sizes]
    largest = max(moved + epoch["all-reduce"])
    assert moved and largest < inspected["ring_cells"] / 2, "a part of the smallest array of the ring"


def test_episodes_of_an_evaluation_are_split_though_4_does_not_divide_them(inspected):
    first_axes = {shape.split(",")[0] for shape in inspected["evaluation_loops"]}
    assert "5" in first_axes and "18" not in first_axes
    assert inspected["outcome"] == {"whole": [1, 18], "part": [1, 18], "parts": 1}


# --- results ---------------------------------------------------------------------------------
def measured(folder, run_id) -> list[dict]:
    return store.read_run_metrics(folder / "runs" / run_id)


def footer(folder, run_id) -> dict:
    return store.read_metadata(folder / "runs" / run_id / "metrics.parquet")


def history_of(folder, run_id) -> list[dict]:
    text = (folder / "runs" / run_id / "history.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def assert_agree(found: list[dict], wanted: list[dict]):
    """Each metric of each row to TOLERANCE of itself, counts exactly."""
    assert len(found) == len(wanted) == 3
    for mine, theirs in zip(found, wanted, strict=True):
        assert {key: mine[key] for key in EXACT} == {key: theirs[key] for key in EXACT}
        for key, value in theirs.items():
            if isinstance(value, float) and "second" not in key:
                assert mine[key] == pytest.approx(value, rel=TOLERANCE, abs=TOLERANCE), key
            elif value is None:
                assert mine[key] is None, key


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Four seeds, each by itself on one device: folder and run ids."""

    def make(folder):
        study, plan = study_of(folder, 4, 1)
        code, _, err = crlscale("run", study, *plan.configs, env=with_devices(1))
        assert code == 0 and "devices" not in err
        return {"ids": list(plan.configs)}

    made = once(tmp_path_factory, "alone-on-one", make)
    return made["folder"] / "tiny", made["ids"]


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "axes"), [(1, (1, 4)), (2, (2, 2)), (4, (4, 1))])
def test_four_devices_measure_what_one_does(tmp_path, alone, seeds, axes):
    folder, ids = alone
    study, plan = study_of(tmp_path, seeds, seeds)
    assert list(plan.configs) == ids[:seeds]
    code, _, err = crlscale("run", study, *plan.configs, env=with_devices(4))
    assert code == 0 and "computes on 4 of 4 devices" in err
    for run_id in plan.configs:
        assert_agree(measured(study, run_id), measured(folder, run_id))
        on = footer(study, run_id)["devices"]
        assert on == {"count": 4, "hosts": 1, "mesh": dict(zip(("seed", "data"), axes, strict=True))}
    one = {"count": 1, "hosts": 1, "mesh": {"seed": 1, "data": 1}}
    assert footer(folder, ids[0])["devices"] == one


@pytest.mark.slow
def test_run_that_four_devices_began_goes_on_with_one(tmp_path, alone):
    folder, ids = alone
    study, _ = study_of(tmp_path, 1, 1)
    code, _, _ = run_signalled(study, ids[:1], signal.SIGTERM, "chunk", **with_devices(4))
    assert (code, status(study, ids[0])["gradient_steps"]) == (75, 8)
    code, _, err = crlscale("run", study, ids[0], env=with_devices(1))
    assert code == 0
    assert "devices 4 (hosts 1, seed 1, data 4) -> 1 (hosts 1, seed 1, data 1)" in err
    assert_agree(measured(study, ids[0]), measured(folder, ids[0]))
    (before,) = footer(study, ids[0])["before"]
    assert before["devices"]["count"] == 4
    history = history_of(study, ids[0])
    assert [e["replay"] for e in history if e["event"] == "resumed"] == [True]


# --- several processes -------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4"}, False),  # of the batch script, outside of srun
        ({"SLURM_STEP_NUM_TASKS": "1"}, False),
        ({"SLURM_STEP_NUM_TASKS": "2"}, True),
        ({"SLURM_STEP_NUM_TASKS": "2", "CRLSCALE_DISTRIBUTED": "0"}, False),
        ({"JAX_COORDINATOR_ADDRESS": "host:1234"}, True),
        ({"CRLSCALE_DISTRIBUTED": "1"}, True),
    ],
)
def test_environment_says_whether_there_are_other_processes(monkeypatch, environment, expected):
    for name in ("SLURM_STEP_NUM_TASKS", "JAX_COORDINATOR_ADDRESS", "CRLSCALE_DISTRIBUTED"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert hosts.asked() == expected


def test_one_process_alone_asks_nobody():
    tuples = ("as", "they", "are")
    assert hosts.on_first(lambda: tuples) is tuples and hosts.agreed(None) is None
    assert hosts.first() and not hosts.several()


def test_processes_with_unequal_shares_are_refused():
    """Two hosts of two devices, three seeds: three devices would leave one host half idle."""
    pairs = [SimpleNamespace(process_index=host) for host in (0, 0, 1, 1)]
    with pytest.raises(CrlscaleError, match="2 processes cannot share this evenly"):
        choose_mesh(pairs, 3, 16, 32, lambda _: None)


# Told to stop by a real signal while the first process looks at its own signals before chunk 1.
SIGNALLED_SECOND = """
import os, signal, sys
from crlscale import hosts
agreed, calls = hosts.agreed, 0

def counted(number):
    global calls
    calls += 1  # joined, same command, program, compiled, prefilled, before chunk 1
    if calls == 6:
        os.kill(os.getpid(), signal.SIGTERM)
    return agreed(number)

hosts.agreed = counted
from crlscale.cli.app import main
main(sys.argv[1:])
"""


def together(commands: list[list], script: str | None = None) -> list[tuple[int, str, str]]:
    """Exit code, stdout and stderr of two processes that know of each other; `script` runs the second."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    known = {"JAX_COORDINATOR_ADDRESS": address, "JAX_COORDINATOR_BIND_ADDRESS": address}
    processes = []
    for index, command in enumerate(commands):
        environment = {**os.environ, **known, "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": str(index)}
        how = ("-c", script) if script and index else ("-m", "crlscale")
        processes.append(start_python(*how, *map(str, command), env=environment))
    with ThreadPoolExecutor() as readers:  # each must be read while the other goes on
        return list(readers.map(lambda process: finish(process, 800), processes))


@pytest.mark.slow
@pytest.mark.timeout(3600)  # four compilations, of which two at a time share the cores
def test_two_processes_train_one_run_and_the_first_writes(tmp_path, alone):
    """Stopped by a signal that only the second got, and gone on from the checkpoint of both."""
    folder, ids = alone
    study, _ = study_of(tmp_path, 1, 1)
    run = ["run", study, ids[0]]
    stopped = together([run, run], SIGNALLED_SECOND)
    assert [code for code, _, _ in stopped] == [75, 75], stopped
    assert (status(study, ids[0])["status"], status(study, ids[0])["gradient_steps"]) == ("stopped", 8)
    finished = together([run, run])
    assert [code for code, _, _ in finished] == [0, 0], finished
    assert [out for _, out, _ in finished] == ["", ""]
    said = [line for line in finished[1][2].splitlines() if not line.startswith("[Gloo]")]
    assert f"complete: {ids[0]}\n" in finished[0][2] and said == []
    assert_agree(measured(study, ids[0]), measured(folder, ids[0]))
    assert footer(study, ids[0])["devices"] == {
        **{"count": 2, "hosts": 2},
        "mesh": {"seed": 1, "data": 2},
    }
    events = [entry["event"] for entry in history_of(study, ids[0])]
    assert events == ["started", "stopped", "started", "resumed", "complete"]
    left = {path.name for path in (study / "runs" / ids[0]).iterdir()}
    assert left == {"config.json", "status.json", "history.jsonl", "metrics.parquet", "blocks.parquet"}


@pytest.mark.slow
def test_processes_with_different_runs_are_refused_and_so_is_what_the_first_may_not_have(tmp_path):
    study, plan = study_of(tmp_path, 2, 1)
    one, two = plan.configs
    for code, _, err in together([["run", study, one], ["run", study, two]]):
        assert code == 2 and "started with different runs" in err
    claim.claim(study / "runs" / one)
    for code, _, err in together([["run", study, one]] * 2):
        assert code == 2 and f"{one} is being run by process {os.getpid()}" in err
