"""Optional trackers: the rows of a run to TensorBoard, Weights & Biases or trackio, as measured.

Off unless CRLSCALE_TRACKERS names them (`crlscale sweep --tracker`); no part of a run's identity.
Each works in a thread of its own behind a queue, so that nothing which it does, or waits for,
holds up the training. One that fails is left out from then on, which is said once: all rows are in
metrics.parquet in any case."""

import contextlib
import importlib
import importlib.util
import json
import os
import queue
import secrets
import sys
import threading
import time
from pathlib import Path

from crlscale.config import short_hash
from crlscale.errors import CrlscaleError
from crlscale.store import read_json, write_json
from crlscale.study import Study

VARIABLE = "CRLSCALE_TRACKERS"
PACKAGES = {"tensorboard": "tensorboardX", "wandb": "wandb", "trackio": "trackio"}
PROJECT = "crlscale"
CLOSE_SECONDS = 30.0  # to send what is left, at the end of a run; no training waits for it
STOPPED_SECONDS = 5.0  # the same when a signal asked to stop
NOT_TRACKED = (
    *("run_id", "env", "seed", "depth", "actor_depth", "critic_depth", "width", "batch_size"),
    *("program_runs", "physics"),
)
AXES = ("env_steps", "gradient_steps", "evaluation")


def check_trackers(names: list[str]) -> list[str]:
    """`names` without doubles; an unknown one, or one that is not installed, is a CrlscaleError."""
    for name in names:
        if name not in PACKAGES:
            listed = ", ".join(PACKAGES)
            raise CrlscaleError(
                f"no tracker {name!r}; there are: {listed}", value=name, remedy="--tracker tensorboard"
            )
        if importlib.util.find_spec(PACKAGES[name]) is None:
            raise CrlscaleError(
                f"the tracker {name} is not installed here",
                value=name,
                remedy=f"pip install 'crlscale[{name}]'",
            )
    return list(dict.fromkeys(names))


def choose_trackers(names: list[str]) -> None:
    """Make the processes that this one starts use the trackers `names`, as well as those that the
    environment names already."""
    before = os.environ.get(VARIABLE, "")
    chosen = check_trackers([*filter(None, before.split(",")), *names])
    if chosen:
        os.environ[VARIABLE] = ",".join(chosen)


class Trackers:
    """The chosen trackers of the runs of one program. Nothing starts before the first row."""

    def __init__(self, study: Study, folder: Path):
        names = [name for name in os.environ.get(VARIABLE, "").split(",") if name]
        self._workers = [_Worker(name, study, Path(folder)) for name in names]
        self._begun: set[str] = set()

    def log(self, run_id: str, rows: list[dict]) -> None:
        """Hand over the last of `rows`, all of metrics.parquet so far; those before it only to a
        tracker that lacks them, since an earlier process ended too soon. Returns at once."""
        new = rows[-1:] if run_id in self._begun else rows
        self._begun.add(run_id)
        values = [_tracked(row) for row in new] if self._workers else []
        for worker in self._workers:
            worker.put(run_id, values)

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Let them send what is left, for at most `seconds`."""
        until = time.monotonic() + seconds
        for worker in self._workers:
            worker.close(max(0.0, until - time.monotonic()))


def _tracked(row: dict) -> dict:
    return {
        name: value
        for name, value in row.items()
        if name not in NOT_TRACKED and isinstance(value, int | float)
    }


class _Worker:
    """One tracker in its thread."""

    def __init__(self, name: str, study: Study, folder: Path):
        self.name, self.study, self.folder = name, study, folder
        self._queue: queue.SimpleQueue = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def put(self, run_id: str, values: list[dict]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()
        self._queue.put((run_id, values))

    def close(self, seconds: float) -> None:
        if self._thread is None:
            return
        self._queue.put(None)
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._tell(f"has not sent everything after {seconds:.0f} s")

    def _work(self) -> None:
        try:
            check_trackers([self.name])
            make = _TensorBoard if self.name == "tensorboard" else _Hosted
            tracker = make(PACKAGES[self.name], self.study, self.folder)
            while (item := self._queue.get()) is not None:
                self._send(tracker, *item)
            tracker.close()
        except BaseException as error:  # some leave by SystemExit
            words = " ".join(str(error).split())[:300]
            self._tell(f"failed and is left out ({type(error).__name__}: {words})")

    def _send(self, tracker, run_id: str, values: list[dict]) -> None:
        path = self.folder / "runs" / run_id / "trackers" / f"{self.name}.json"
        sent = -1
        if len(values) > 1:  # the first rows of this process
            with contextlib.suppress(CrlscaleError, TypeError, ValueError):
                sent = int(read_json(path).get("evaluation", -1))
        for each in values[:-1]:
            if each["evaluation"] > sent:
                tracker.log(run_id, each)
        tracker.log(run_id, values[-1])
        write_json(path, {"evaluation": values[-1]["evaluation"]})

    def _tell(self, what: str) -> None:
        rest = "the run goes on; all rows are in metrics.parquet"
        print(f"tracker {self.name} {what}; {rest}", file=sys.stderr, flush=True)


class _TensorBoard:
    """Event files in runs/<run_id>/tensorboard, by env steps. A resumed run writes another file
    there, whose first event tells TensorBoard to drop what lies past the checkpoint."""

    def __init__(self, package: str, study: Study, folder: Path):
        self.module = importlib.import_module(package)
        self.study, self.folder = study, folder
        self.writers = {}

    def log(self, run_id: str, values: dict) -> None:
        step = values["env_steps"]
        if run_id not in self.writers:
            logs = str(self.folder / "runs" / run_id / "tensorboard")
            self.writers[run_id] = self.module.SummaryWriter(
                logs, purge_step=step, filename_suffix=f".{secrets.token_hex(4)}"
            )  # its own names differ by the second only
            config = json.dumps(self.study.configs[run_id].model_dump(), indent=1)
            self.writers[run_id].add_text("config", f"```json\n{config}\n```", step)
        writer = self.writers[run_id]
        for name, value in values.items():
            if name not in AXES:
                writer.add_scalar(name, value, step)
        writer.flush()

    def close(self) -> None:
        for writer in self.writers.values():
            writer.close()


class _Hosted:
    """Weights & Biases, or trackio, which has the same calls: a run of ours is one of theirs, in
    the group of its study; a resumed one goes on there."""

    def __init__(self, package: str, study: Study, folder: Path):
        self.package, self.module = package, importlib.import_module(package)
        self.study, self.folder = study, folder
        self.runs = {}

    def log(self, run_id: str, values: dict) -> None:
        if run_id not in self.runs:
            self.runs[run_id] = self._begin(run_id)
        self.runs[run_id].log(values)

    def close(self) -> None:
        for run in self.runs.values():
            run.finish()

    def _begin(self, run_id: str):
        config = self.study.configs[run_id].model_dump()
        # the same run planned anew in a fresh folder is another one of theirs
        unique = short_hash([self.study.name, self.study.created, run_id])
        project = os.environ.get("WANDB_PROJECT") or PROJECT
        common = {"project": project, "group": self.study.name, "config": config, "resume": "allow"}
        if self.package == "trackio":
            return self.module.init(name=f"{run_id}-{unique}", **common)
        os.environ.setdefault("WANDB_SILENT", "true")  # its log-in does not look at the settings
        run = self.module.init(
            name=run_id,
            id=f"{run_id}-{unique}",
            dir=str(self.folder / "runs" / run_id),
            reinit="create_new",
            settings=self.module.Settings(console="off", silent=True, disable_git=True),
            **common,
        )
        run.define_metric("*", step_metric="env_steps")
        return run
