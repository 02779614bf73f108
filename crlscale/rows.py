"""The rows of the runs of one program: made at each evaluation, written whole, read at a resume."""

import json
import sys
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

import crlscale
from crlscale import device, evaluate
from crlscale.block_rows import BlockRows
from crlscale.envs.mazes import Case
from crlscale.errors import CrlscaleError
from crlscale.files import damaged
from crlscale.instability import KINDS
from crlscale.physics import same_physics
from crlscale.record import RunRecord
from crlscale.store import (
    read_metadata,
    read_run_goals,
    read_run_metrics,
    write_goals,
    write_metrics,
)
from crlscale.study import Study
from crlscale.trackers import Trackers
from crlscale.train import NEVER

MADE_BY = ("code_version", "versions", "device", "devices")  # what of a footer may change at a resume


class At(NamedTuple):
    """Where a program stands: evaluations done (the one before training not counted), phases done
    since the last one, seconds of training in all and since the last evaluation, env steps of
    prefills after resumes without the replay."""

    evaluation: int = 0
    phases: int = 0
    train_seconds: float = 0.0
    epoch_seconds: float = 0.0
    refill_env_steps: int = 0

    def after(self, phases: int, seconds: float) -> "At":
        return self._replace(
            phases=self.phases + phases,
            train_seconds=self.train_seconds + seconds,
            epoch_seconds=self.epoch_seconds + seconds,
        )

    def next_epoch(self) -> "At":
        return self._replace(phases=0, epoch_seconds=0.0)


class Rows:
    """What the runs `run_ids` of one program have measured so far.

    `divergence` holds for each run None or the cause, once it diverged. `compile_seconds` and
    `physics` are of the program and go into the first row, `devices` of it into the footer."""

    def __init__(
        self,
        study: Study,
        folder: Path,
        run_ids: list[str],
        records: list[RunRecord],
        trackers: Trackers,
    ):
        self.study, self.run_ids, self.records, self.trackers = study, run_ids, records, trackers
        self.folders = [Path(folder) / "runs" / run_id for run_id in run_ids]
        self.configs = [study.configs[run_id] for run_id in run_ids]
        self.divergence: list[str | None] = [None] * len(run_ids)
        self.compile_seconds = 0.0
        self.physics: dict = {}
        self.devices: dict = {}
        self._metrics: list[list[dict]] = [[] for _ in run_ids]
        self._goals: list[list[dict]] = [[] for _ in run_ids]
        self._blocks = BlockRows(self.folders)
        self._before: list[list[dict]] = [[] for _ in run_ids]
        self._resumed = False

    def resume(self, evaluation: int) -> None:
        """Take up the rows on disk up to `evaluation`; later ones are measured again. Other physics
        than a run began with is a CrlscaleError; other versions are told and go into its footer."""
        self._resumed = True
        for index, folder in enumerate(self.folders):
            self._metrics[index] = _until(read_run_metrics(folder), evaluation)
            self._require_rows(index, evaluation)
            self._goals[index] = _until(read_run_goals(folder), evaluation)
            self._blocks.resume(index, evaluation)
            last = self._metrics[index][-1]
            self.divergence[index] = _divergence(last)
            self.records[index].update(instability=instability_words(last))
            footer = read_metadata(folder / "metrics.parquet")
            self._before[index] = footer.get("before", [])
            earlier = {key: footer[key] for key in MADE_BY if key in footer}
            if any(value != self._made_by[key] for key, value in earlier.items()):
                self._before[index].append({"until_evaluation": evaluation, **earlier})
                _tell_change(self.run_ids[index], earlier, self._made_by)
        self._require_same_physics()

    def _require_rows(self, index: int, evaluation: int) -> None:
        """A checkpoint cannot give back rows that somebody removed."""
        rows = self._metrics[index]
        found = [row["evaluation"] for row in rows]
        whole = found == list(range(evaluation + 1))
        if not whole and not (found and _divergence(rows[-1])):
            path = self.folders[index] / "metrics.parquet"
            raise damaged(
                path, f"without rows that were measured (has {found}, 0 to {evaluation} were)"
            )

    def _require_same_physics(self) -> None:
        began_with = self._metrics[0][0].get("physics")
        if began_with is not None and not same_physics(json.loads(began_with), self.physics):
            raise CrlscaleError(
                f"{self.run_ids[0]} began with other physics than the installed versions have",
                value=self.run_ids[0],
                remedy=f"install the versions that it began with, or remove {self.folders[0]}",
            )

    def add(
        self,
        at: At,
        outcome: evaluate.Outcome,
        blocks: dict,
        seconds: float,
        summary: dict | None,
    ) -> None:
        """A row for every run that is still finite, from an evaluation that took `seconds`, norms block
        by block and the `summary` of the updates since the last one (None before training)."""
        for index in range(len(self.run_ids)):
            if self.divergence[index] is not None:
                continue
            row = self._row(index, at, seconds)
            if summary is not None:
                row |= self._training(summary, index, at)
            self.divergence[index] = _divergence(row)
            if self.divergence[index] is None:
                self._add_outcome(index, row, jax.tree.map(lambda x, i=index: x[i], outcome), at)
            self._metrics[index].append(row)
            self._blocks.add(index, row, jax.tree.map(lambda x, i=index: x[i], blocks))
            self._write(index)

    def _row(self, index: int, at: At, evaluation_seconds: float) -> dict:
        config = self.configs[index]
        phases = at.evaluation * config.phases_per_epoch
        return {
            "run_id": self.run_ids[index],
            "env": config.env,
            "agent": config.agent,
            "seed": config.seed,
            "depth": config.depth,
            "actor_depth": config.actor_layers,
            "critic_depth": config.critic_layers if config.method.critic else None,
            "width": config.width,
            "batch_size": config.batch_size,
            "evaluation": at.evaluation,
            "env_steps": env_steps(config, phases),
            "gradient_steps": phases * config.updates,
            "train_seconds": at.train_seconds,
            "evaluation_seconds": evaluation_seconds,
            "cpu_seconds": device.cpu_seconds(),
            "compile_seconds": self.compile_seconds if at.evaluation == 0 else None,
            "peak_memory_bytes": device.peak_memory(),
            "program_runs": len(self.run_ids),
            "physics": json.dumps(self.physics) if at.evaluation == 0 else None,
            "resumed": self._resumed,
            "refill_env_steps": at.refill_env_steps,
        }

    def _training(self, summary: dict, index: int, at: At) -> dict:
        values = {name: value[index].item() for name, value in summary.items()}
        first, onset = values.pop("first_nonfinite"), values.pop("instability_onset")
        kind = KINDS[values.pop("instability_kind")]
        config = self.configs[index]
        done = (at.evaluation - 1) * config.phases_per_epoch * config.updates
        return {
            **values,
            "first_nonfinite_update": None if first == NEVER else done + first,
            "instability_onset": None if onset == NEVER else onset,
            "instability_kind": None if onset == NEVER else kind,
            "env_steps_per_second": config.phases_per_epoch * config.phase_env_steps / at.epoch_seconds,
            "updates_per_second": config.phases_per_epoch * config.updates / at.epoch_seconds,
        }

    def _add_outcome(self, index: int, row: dict, outcome: evaluate.Outcome, at: At) -> None:
        task = self.configs[index].task
        far = None if task.cases is None else np.array([case.far for case in task.cases])
        row |= evaluate.summarise(outcome, task.goal_cells, far)
        common = {"run_id": row["run_id"], "evaluation": at.evaluation, "env_steps": row["env_steps"]}
        measured = [] if task.cases is None else evaluate.per_cell(outcome, len(task.cases))
        for case, record in zip(task.cases or (), measured, strict=True):
            self._goals[index].append({**common, **_place(case), **record})

    @property
    def _made_by(self) -> dict:
        values = (crlscale.__version__, device.versions(), device.description(), self.devices)
        return dict(zip(MADE_BY, values, strict=True))

    def _write(self, index: int) -> None:
        row, config = self._metrics[index][-1], self.configs[index]
        meta = {
            "run_id": self.run_ids[index],
            "study": self.study.name,
            "config": config.model_dump(),
            **self._made_by,
            "before": self._before[index],
            "physics": self.physics,
            "threads": self.study.execution.threads,
            "status": "running",
        }
        if self.divergence[index]:
            meta["status"] = "diverged"
        elif row["evaluation"] == config.evaluations:
            meta["status"] = "complete"
        write_metrics(self.folders[index], self._metrics[index], meta)
        if self._goals[index]:
            write_goals(self.folders[index], self._goals[index], meta)
        self._blocks.write(index, meta)
        score = row.get(f"time_at_goal_{config.goal_set}")
        unstable = instability_words(row)
        self.records[index].update(env_steps=row["env_steps"], time_at_goal=score, instability=unstable)
        self.trackers.log(self.run_ids[index], self._metrics[index])


def instability_words(row: dict) -> str | None:
    """Since when and by what a run is unstable, from a row of it; None if it is not."""
    if row.get("instability_onset") is None:
        return None
    return f"unstable from update {row['instability_onset']} on ({row['instability_kind']})"


def env_steps(config, phases: int) -> int:
    """Training env steps after `phases`, the planned prefill included."""
    return (config.prefill_unrolls + phases) * config.phase_env_steps


def _tell_change(run_id: str, before: dict, now: dict) -> None:
    """On stderr: which versions and devices a run began with and goes on with."""
    was, is_now = _flat(before), _flat({key: now[key] for key in before})
    changed = [f"{k} {was.get(k)} -> {v}" for k, v in is_now.items() if was.get(k) != v]
    print(f"{run_id} goes on with other versions: {', '.join(changed)}", file=sys.stderr)


def _flat(made: dict) -> dict:
    """What of a footer may change, each by its name."""
    named = {"crlscale": "code_version", "device": "device"}
    flat = {**made.get("versions", {}), **{k: made[v] for k, v in named.items() if v in made}}
    if "devices" in made:
        count, hosts, mesh = (made["devices"][key] for key in ("count", "hosts", "mesh"))
        axes = ", ".join(f"{axis} {size}" for axis, size in {"hosts": hosts, **mesh}.items())
        flat["devices"] = f"{count} ({axes})"
    return flat


def _place(case: Case) -> dict:
    start_row, start_column = case.start or (None, None)
    return {
        "row": case.row,
        "column": case.column,
        "far": case.far,
        "start_row": start_row,
        "start_column": start_column,
        "apart": case.apart,
    }


def _until(rows: list[dict], evaluation: int) -> list[dict]:
    return [row for row in rows if row["evaluation"] <= evaluation]


def _divergence(row: dict) -> str | None:
    """Why a run counts as diverged, from a row's losses and parameter norms; None if it does not."""
    if row.get("first_nonfinite_update") is not None:
        return f"loss not finite at update {row['first_nonfinite_update']}"
    for name, value in row.items():
        if name.endswith("_parameter_norm") and value is not None and not np.isfinite(value):
            return f"parameters not finite after {row['gradient_steps']} updates ({name})"
    return None
