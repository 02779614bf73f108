"""The host loop of one program: compile, restore, train in chunks, evaluate, write rows."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import crlscale
from crlscale import checkpoint, device, evaluate
from crlscale.checkpoint import Position
from crlscale.config import RunConfig
from crlscale.envs.mazes import Case
from crlscale.errors import CrlscaleError
from crlscale.physics import same_physics
from crlscale.program import split
from crlscale.programs import Programs
from crlscale.record import RunRecord
from crlscale.stop import StopRequest
from crlscale.store import read_run_goals, read_run_metrics, write_goals, write_metrics
from crlscale.study import Study
from crlscale.trackers import Trackers
from crlscale.train import NEVER, Tally, TrainState

CHUNK_SECONDS = 2.0  # between two looks at the signals and two writes of the progress
CHECKPOINT_SECONDS = 120.0  # of training between two checkpoints


class Stopped(Exception):
    """Raised at a chunk boundary, after the checkpoint, when a signal asked to stop."""


class ProgramLoop:
    """Trains the runs `run_ids`, which differ in their seed only, and writes their rows.

    `divergence` holds for each run None or the cause, once it diverged."""

    def __init__(
        self,
        study: Study,
        folder: Path,
        run_ids: list[str],
        records: list[RunRecord],
        stop: StopRequest,
        compiled: Callable[[RunConfig, int], Programs],
        trackers: Trackers,
    ):
        self.study, self.run_ids, self.records, self.stop = study, run_ids, records, stop
        self.compiled, self.trackers = compiled, trackers
        self.folders = [Path(folder) / "runs" / run_id for run_id in run_ids]
        self.configs = [study.configs[run_id] for run_id in run_ids]
        self.config = self.configs[0]
        self.hyper = split(self.config)[1]
        self.divergence: list[str | None] = [None] * len(run_ids)
        self.metrics: list[list[dict]] = [[] for _ in run_ids]
        self.goals: list[list[dict]] = [[] for _ in run_ids]
        self.saved_at = 0.0
        self.resumed = False

    def run(self) -> None:
        """From the checkpoint, or from the start, to the last evaluation."""
        self.programs = self.compiled(self.config, len(self.run_ids))
        state, tally, at = self._restore() or self._begin()
        while at.evaluation < self.config.evaluations and not all(self.divergence):
            state, tally, at = self._epoch(state, tally, at)
            summary = jax.tree.map(np.asarray, self.programs.summary(state, tally))
            at = at._replace(evaluation=at.evaluation + 1)
            self._measure(state, at, summary)
            tally = self.programs.start_tally(state)
            at = at._replace(phases=0, epoch_seconds=0.0)
            if at.train_seconds - self.saved_at > CHECKPOINT_SECONDS:
                self._save(state, tally, at)
        checkpoint.drop(self._checkpoints)

    # --- where a run begins ----------------------------------------------------------------
    def _keys(self, stream: int) -> jax.Array:
        """One key a seed [Z, 2]; `stream` 0 trains, n + 1 is evaluation n."""
        keys = [jax.random.fold_in(jax.random.PRNGKey(c.seed), stream) for c in self.configs]
        return jnp.stack(keys)

    def _begin(self) -> tuple[TrainState, Tally, "At"]:
        state = self.programs.init(self._keys(0))
        tally = self.programs.start_tally(state)
        prefill = jnp.int32(self.config.prefill_unrolls)
        state, tally = self.programs.epoch(self.hyper, state, tally, prefill, jnp.int32(0))
        at = At()
        self._measure(state, at, None)
        return state, tally, at

    def _restore(self):
        position = checkpoint.find(self._checkpoints, self.run_ids)
        if position is None:
            return None
        state, tally = checkpoint.restore(self._checkpoints, position, *self.programs.carry)
        for index, folder in enumerate(self.folders):
            self.metrics[index] = _until(read_run_metrics(folder), position.evaluation)
            self.goals[index] = _until(read_run_goals(folder), position.evaluation)
            self.divergence[index] = _divergence(self.metrics[index][-1])
        self._require_same_physics()
        self.saved_at, self.resumed = position.train_seconds, True
        times = (position.train_seconds, position.epoch_seconds)
        return state, tally, At(position.evaluation, position.phases, *times)

    def _require_same_physics(self) -> None:
        began_with = self.metrics[0][0].get("physics")
        if began_with is not None and not same_physics(json.loads(began_with), self.programs.physics):
            raise CrlscaleError(
                f"{self.run_ids[0]} began with other physics than the installed versions have",
                value=self.run_ids[0],
                remedy=f"install the versions that it began with, or remove {self.folders[0]}",
            )

    # --- training --------------------------------------------------------------------------
    def _epoch(self, state, tally, at: "At"):
        """The phases that remain until the next evaluation, in chunks of about CHUNK_SECONDS."""
        updates, chunk = jnp.int32(self.config.updates), 1
        while at.phases < self.config.phases_per_epoch:
            chunk = min(chunk, self.config.phases_per_epoch - at.phases)
            began = time.perf_counter()
            state, tally = jax.block_until_ready(
                self.programs.epoch(self.hyper, state, tally, jnp.int32(chunk), updates)
            )
            seconds = time.perf_counter() - began
            at = at.after(chunk, seconds)
            self._report(at, self.config.updates * chunk / seconds)
            chunk = max(1, min(4 * chunk, int(CHUNK_SECONDS / seconds * chunk)))
            if self.stop.wanted is not None:
                self._save(state, tally, at)
                raise Stopped
        return state, tally, at

    def _report(self, at: "At", rate: float) -> None:
        """Progress of every run into its status.json."""
        phases = at.evaluation * self.config.phases_per_epoch + at.phases
        remaining = self.config.total_updates - phases * self.config.updates
        for record in self.records:
            record.update(
                env_steps=self._env_steps(phases),
                gradient_steps=phases * self.config.updates,
                updates_per_second=rate,
                seconds_left=remaining / rate,
                peak_memory_bytes=device.peak_memory(),
            )

    def _env_steps(self, phases: int) -> int:
        return (self.config.prefill_unrolls + phases) * self.config.phase_env_steps

    def _save(self, state, tally, at: "At") -> None:
        unrolls = int(state.unrolls)
        times = (at.train_seconds, at.epoch_seconds)
        position = Position(tuple(self.run_ids), at.evaluation, at.phases, *times, unrolls)
        checkpoint.save(self._checkpoints, position, state, tally)
        self.saved_at = at.train_seconds

    @property
    def _checkpoints(self) -> Path:
        return self.folders[0] / "checkpoints"

    # --- measuring ---------------------------------------------------------------------------
    def _measure(self, state, at: "At", summary: dict | None) -> None:
        """Evaluate every run that is still finite and write its rows."""
        began = time.perf_counter()
        outcome = self.programs.evaluate(state, self._keys(at.evaluation + 1))
        outcome = jax.tree.map(np.asarray, outcome)
        seconds = time.perf_counter() - began
        for index in range(len(self.run_ids)):
            if self.divergence[index] is not None:
                continue
            row = self._row(index, at, seconds)
            if summary is not None:
                row |= self._training(summary, index, at)
            self.divergence[index] = _divergence(row)
            if self.divergence[index] is None:
                self._add_outcome(index, row, jax.tree.map(lambda x, i=index: x[i], outcome), at)
            self.metrics[index].append(row)
            self._write(index)

    def _row(self, index: int, at: "At", evaluation_seconds: float) -> dict:
        config = self.configs[index]
        phases = at.evaluation * config.phases_per_epoch
        return {
            "run_id": self.run_ids[index],
            "env": config.env,
            "seed": config.seed,
            "depth": config.depth,
            "actor_depth": config.actor_layers,
            "critic_depth": config.critic_layers,
            "width": config.width,
            "batch_size": config.batch_size,
            "evaluation": at.evaluation,
            "env_steps": self._env_steps(phases),
            "gradient_steps": phases * config.updates,
            "train_seconds": at.train_seconds,
            "evaluation_seconds": evaluation_seconds,
            "cpu_seconds": device.cpu_seconds(),
            "compile_seconds": self.programs.seconds if at.evaluation == 0 else None,
            "peak_memory_bytes": device.peak_memory(),
            "program_runs": len(self.run_ids),
            "physics": json.dumps(self.programs.physics) if at.evaluation == 0 else None,
            "resumed": self.resumed,
        }

    def _training(self, summary: dict, index: int, at: "At") -> dict:
        values = {name: value[index].item() for name, value in summary.items()}
        first = values.pop("first_nonfinite")
        config = self.config
        done = (at.evaluation - 1) * config.phases_per_epoch * config.updates
        return {
            **values,
            "first_nonfinite_update": None if first == NEVER else done + first,
            "env_steps_per_second": config.phases_per_epoch * config.phase_env_steps / at.epoch_seconds,
            "updates_per_second": config.phases_per_epoch * config.updates / at.epoch_seconds,
        }

    def _add_outcome(self, index: int, row: dict, outcome: evaluate.Outcome, at: "At") -> None:
        cases = self.config.task.cases
        far = None if cases is None else np.array([case.far for case in cases])
        row |= evaluate.summarise(outcome, self.config.task.goal_cells, far)
        common = {"run_id": row["run_id"], "evaluation": at.evaluation, "env_steps": row["env_steps"]}
        measured = [] if cases is None else evaluate.per_cell(outcome, len(cases))
        for case, record in zip(cases or (), measured, strict=True):
            self.goals[index].append({**common, **_place(case), **record})

    def _write(self, index: int) -> None:
        row, config = self.metrics[index][-1], self.configs[index]
        meta = {
            "run_id": self.run_ids[index],
            "study": self.study.name,
            "config": config.model_dump(),
            "code_version": crlscale.__version__,
            "versions": device.versions(),
            "physics": self.programs.physics,
            "device": device.description(),
            "threads": self.study.execution.threads,
            "status": "running",
        }
        if self.divergence[index]:
            meta["status"] = "diverged"
        elif row["evaluation"] == config.evaluations:
            meta["status"] = "complete"
        write_metrics(self.folders[index], self.metrics[index], meta)
        if self.goals[index]:
            write_goals(self.folders[index], self.goals[index], meta)
        score = row.get(f"time_at_goal_{config.goal_set}")
        self.records[index].update(env_steps=row["env_steps"], time_at_goal=score)
        self.trackers.log(self.run_ids[index], row)


class At(NamedTuple):
    """Where the loop stands: evaluations done (the one before training not counted), phases done
    since the last one, seconds of training in all and since the last evaluation."""

    evaluation: int = 0
    phases: int = 0
    train_seconds: float = 0.0
    epoch_seconds: float = 0.0

    def after(self, phases: int, seconds: float) -> "At":
        times = (self.train_seconds + seconds, self.epoch_seconds + seconds)
        return At(self.evaluation, self.phases + phases, *times)


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
