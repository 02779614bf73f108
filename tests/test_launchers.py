"""One study of twelve runs through every launcher, with deaths, a preemption and a time-out on the
way: each measures the same. Real Ray, real Slurm; both in processes of their own."""

import contextlib
import fcntl
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from real_runs import (
    crlscale,
    finish,
    once,
    start,
    start_python,
    status,
    statuses,
    tiny_sweep,
    wait_for,
)

from crlscale import store
from crlscale.launch.contract import LaunchOptions
from crlscale.launch.launchers import launch
from crlscale.schema import GOALS, METRICS
from crlscale.study import load_study

HERE = Path(__file__).parent
LINE = tiny_sweep(
    *("--levels", "4", "--seeds", "12", "--runs-per-process", "3", "--study", "twelve"),
    *("--set", "env_steps=40000", "--mem", "1500M"),
)
LOCAL = [word for word in LINE if word not in ("--mem", "1500M")]
RAY = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
TIMES = {c.name for c in METRICS if c.unit in ("s", "bytes") or c.unit.endswith("/s")} | {"resumed"}


def measured(folder: Path) -> dict:
    """Run id -> all rows of its Parquet files, but for times and memory; NaN as text."""
    found = {}
    for run_id in statuses(folder):
        run = folder / "runs" / run_id
        rows = [*store.read_run_metrics(run), *store.read_run_goals(run)]
        assert rows and rows[0].keys() <= {c.name for c in [*METRICS, *GOALS]}
        found[run_id] = [repr({k: v for k, v in row.items() if k not in TIMES}) for row in rows]
    return found


def at_work(folder: Path) -> list[dict]:
    """status.json of the runs that a living process trains now."""
    if not (folder / "study.json").exists():
        return []
    found = [status(folder, run_id) for run_id in statuses(folder)]
    return [s for s in found if s.get("status") == "running" and psutil.pid_exists(s["pid"])]


def history(folder: Path, run_id: str, event: str) -> list[dict]:
    path = folder / "runs" / run_id / "history.jsonl"
    lines = map(json.loads, path.read_text().splitlines() if path.exists() else ())
    return [line for line in lines if line["event"] == event]


@contextlib.contextmanager
def ended(process: subprocess.Popen):
    """Whatever happens, the process does not outlive the test."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate(timeout=60)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """What the local launcher measures."""

    def make(folder):
        return {"ended": finish(start(*LOCAL, "--results", folder), 800)}

    made = once(tmp_path_factory, "twelve", make)
    assert made["ended"][0] == 0, made["ended"][2]
    return measured(made["folder"] / "twelve")


def need(package: str, extra: str) -> None:
    """Skip without an optional package; never imports it here."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package}: pip install 'crlscale[{extra}]'")


# --- Ray -------------------------------------------------------------------------------------
@pytest.fixture
def ray_cluster():
    """A running tests/ray_cluster.py and its address."""
    need("ray", "ray")
    environment = {**os.environ, **RAY}
    process = start_python(str(HERE / "ray_cluster.py"), stdin=subprocess.PIPE, env=environment)
    with ended(process):
        address = process.stdout.readline().strip()
        assert ":" in address, finish(process)
        yield process, address
        with contextlib.suppress(BrokenPipeError):
            process.communicate("stop\n", timeout=120)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ray_measures_the_same_though_a_run_is_killed_and_a_node_lost(results, reference, ray_cluster):
    cluster, address = ray_cluster
    folder = results / "twelve"
    command = (*LINE, "--launcher", "ray", "--ray-address", address, "--json")
    with ended(start(*command, env={**os.environ, **RAY})) as process:
        (victim, *_) = wait_for(lambda: at_work(folder))
        os.kill(victim["pid"], signal.SIGKILL)
        again = victim["run_id"]
        wait_for(lambda: history(folder, again, "failed"))
        wait_for(lambda: len(at_work(folder)) == 2)
        cluster.stdin.write("lose\n")
        cluster.stdin.flush()
        assert cluster.stdout.readline() == "lost\n"
        code, out, err = finish(process, 600)
    assert code == 0, err
    assert set(statuses(folder).values()) == {"complete"}
    assert measured(folder) == reference
    assert history(folder, again, "failed")[0]["kind"] == "killed"
    attempts = history(folder, again, "started")
    assert len(attempts) >= 2 and {line["launcher"] for line in attempts} == {"ray"}
    assert attempts[0]["job"] != attempts[1]["job"]  # ids of Ray's tasks
    assert (
        sum(status(folder, run_id)["attempts"] for run_id in reference) >= 14
    )  # both were tried again
    assert json.loads(out)["exit_code"] == 0


# --- Slurm -----------------------------------------------------------------------------------
def slurm_setup(action: str) -> subprocess.CompletedProcess:
    sizes = {"SLURM_DBD": "0", "SLURM_CPUS": "2", "SLURM_GPUS": "1"}
    command = ["bash", str(HERE / "slurm_setup.sh"), action]
    return subprocess.run(
        command, env={**os.environ, **sizes}, capture_output=True, text=True, timeout=300
    )


def slurm(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


@pytest.fixture
def slurm_cluster(tmp_path):
    """A Slurm of this machine, installed and started by tests/slurm_setup.sh and stopped again."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("Slurm tests need root")
    if not shutil.which("apt-get"):
        pytest.skip("Slurm tests need Debian's packages")
    config = Path("/etc/slurm/slurm.conf")
    if config.exists() and "ClusterName=crlci" not in config.read_text():
        pytest.skip("this machine has a Slurm of its own")
    need("submitit", "slurm")
    with open("/tmp/crlscale-slurm-tests.lock", "w") as lock:  # one at a time on this machine
        wait_for(lambda: taken(lock), 900)
        try:
            begun = slurm_setup("start")
        except subprocess.TimeoutExpired:
            pytest.skip("Slurm could not be installed and started within five minutes")
        if begun.returncode != 0:
            said = (begun.stdout + begun.stderr).strip().splitlines() or ["no word"]
            pytest.skip(f"Slurm could not be installed and started: {said[-1]}")
        try:
            yield
        finally:
            subprocess.run(["scancel", "-u", "root"], capture_output=True, timeout=60)
            slurm_setup("stop")


def taken(lock) -> bool:
    """Whether this process has got the lock."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def raw_id(job: str) -> str:
    """The number of an array task as Slurm's commands take it for that task alone."""
    return slurm("squeue", "-h", "-r", "-j", job, "-o", "%A").split()[0]


def pending(pid: int, number: int) -> bool:
    """Whether a signal waits for a process that is held."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    masks = [int(line.split()[1], 16) for line in lines if line.startswith(("SigPnd", "ShdPnd"))]
    return any(mask >> (number - 1) & 1 for mask in masks)


def hold(folder: Path, others: list[dict]) -> dict:
    """Hold the process of a run that has trained a little; returns its status. It is no run of
    `others`' processes."""
    pids = {each["pid"] for each in others}

    def training():
        return [s for s in at_work(folder) if s.get("env_steps") and s["pid"] not in pids]

    found = wait_for(training)[0]
    os.kill(found["pid"], signal.SIGSTOP)
    return found


def stopped_one(folder: Path, held: list[dict], number: int) -> dict:
    """Which of the held processes saves and stops, as Slurm asks it to by signal `number`."""

    def stopped():
        for each in held:
            if psutil.pid_exists(each["pid"]) and pending(each["pid"], number):
                os.kill(each["pid"], signal.SIGCONT)  # preempting, Slurm does that itself
        return next((each for each in held if history(folder, each["run_id"], "stopped")), None)

    return wait_for(stopped)


def preempt_one(folder: Path) -> tuple[str, dict]:
    """An urgent job takes the place of one of two running jobs; returns its run and the other, whose
    process is still held."""
    first = hold(folder, [])
    two = [first, hold(folder, [first])]
    slurm("sbatch", "-p", "urgent", "-c1", "--mem=100M", "-o", "/dev/null", "--wrap", "sleep 1")
    preempted = stopped_one(folder, two, signal.SIGTERM)
    return preempted["run_id"], next(each for each in two if each is not preempted)


def time_out(folder: Path, held: dict) -> str:
    """The time of a running job is up; returns its run."""
    job = raw_id(held["job"])
    slurm("scontrol", "update", f"JobId={job}", "TimeLimit=1")
    stopped_one(folder, [held], signal.SIGUSR2)
    wait_for(lambda: has_time_again(job))
    return held["run_id"]


def has_time_again(job: str) -> bool:
    """Give a requeued job thirty minutes; Slurm refuses that while it still clears up."""
    command = ["scontrol", "update", f"JobId={job}", "TimeLimit=30"]
    if subprocess.run(command, capture_output=True, timeout=60).returncode != 0:
        return False
    return slurm("squeue", "-h", "-j", job, "-o", "%l").strip() == "30:00"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_slurm_measures_the_same_through_preemption_time_out_kill_and_detaching(
    results, reference, slurm_cluster
):
    folder = results / "twelve"
    command = (*LINE, "--launcher", "slurm", "--time", "30m")
    with ended(start(*command)) as process:
        preempted, held = preempt_one(folder)
        process.send_signal(signal.SIGINT)  # detach, and watch again
        code, _, err = finish(process)
    assert code == 130 and "the jobs stay with Slurm" in err and "scancel --name twelve" in err
    with ended(start(*command, "--json")) as process:
        timed_out = time_out(folder, held)
        seen = {preempted, timed_out}
        victim = wait_for(lambda: next((s for s in at_work(folder) if s["run_id"] not in seen), None))
        os.kill(victim["pid"], signal.SIGKILL)
        code, _, err = finish(process, 1000)
    assert code == 0, err
    assert set(statuses(folder).values()) == {"complete"}
    assert measured(folder) == reference
    assert len(list((folder / "slurm").glob("*_submission.sh"))) == 1  # one array, nothing twice
    assert store.read_json(folder / "launch.json") == {"slurm": []}
    for run_id, number in ((preempted, signal.SIGTERM), (timed_out, signal.SIGUSR2)):
        (stop,) = history(folder, run_id, "stopped")
        assert stop["cause"] == f"stopped by signal {int(number)}"
    assert history(folder, victim["run_id"], "failed")[0]["kind"] == "killed"
    for run_id in (preempted, timed_out, victim["run_id"]):  # on under the same job id
        attempts = history(folder, run_id, "started")
        assert len(attempts) == 2 and len({line["job"] for line in attempts}) == 1
        assert status(folder, run_id)["launcher"] == "slurm"


@pytest.mark.slow
def test_slurm_job_that_the_user_cancels_stays_away(results, slurm_cluster):
    folder = results / "twelve"
    command = (*LINE, "--launcher", "slurm", "--no-wait")
    code, _, err = crlscale(*command)
    assert code == 0 and "the jobs stay with Slurm" in err
    assert sum(len(job["runs"]) for job in store.read_json(folder / "launch.json")["slurm"]) == 12
    code, _, err = crlscale(*command)  # nothing is submitted twice
    assert code == 0, err
    assert len(list((folder / "slurm").glob("*_submission.sh"))) == 1
    with ended(start(*LINE, "--launcher", "slurm")) as process:
        while not process.stderr.readline().startswith("running: "):  # until it watches
            assert process.poll() is None
        slurm("scancel", "--name", "twelve")
        code, _, err = finish(process)
    assert code == 75, err
    assert slurm("squeue", "-h", "-n", "twelve") == ""
    assert len(list((folder / "slurm").glob("*_submission.sh"))) == 1
    assert set(statuses(folder).values()) - {"complete"}


# --- what is refused -----------------------------------------------------------------------
@pytest.mark.parametrize(("launcher", "package"), [("slurm", "submitit"), ("ray", "ray")])
def test_missing_extra_is_named_with_what_to_type(tmp_path, launcher, package):
    """In a Python that does not find the package."""
    from real_runs import tiny_study

    folder, _ = tiny_study(tmp_path)
    program = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from crlscale.launch.contract import LaunchOptions\n"
        "from crlscale.launch.launchers import launch\n"
        "from crlscale.study import load_study\n"
        f"launch({str(folder)!r}, load_study({str(folder)!r}), LaunchOptions({launcher!r}), print)"
    )
    code, _, err = finish(start_python("-c", program))
    assert code == 1
    assert f"pip install 'crlscale[{launcher}]'" in err and package in err


def test_no_ray_there_is_said_within_seconds(tmp_path):
    """Ray itself would try for many minutes."""
    need("ray", "ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        there = ("--launcher", "ray", "--ray-address", address)
        code, _, err = crlscale(*LINE, "--results", tmp_path, *there)
    assert code == 2 and f"error: no Ray answers at {address}" in err


def test_no_slurm_here_is_one_line(results, monkeypatch):
    need("submitit", "slurm")
    monkeypatch.setenv("PATH", str(results))
    with pytest.raises(Exception, match="no Slurm answers here"):
        launch_here(results, "slurm")


def launch_here(results: Path, launcher: str) -> int:
    from real_runs import tiny_study

    folder, _ = tiny_study(results)
    return launch(folder, load_study(folder), LaunchOptions(launcher), lambda progress: None)
