"""The host loop of one program: compile, restore, train in chunks, evaluate, save.

Between two chunks it looks at the signals, so that a run stops within seconds and loses nothing.
"""

import os
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import jax
import numpy as np

from crlscale import checkpoint, device, hosts
from crlscale.checkpoint import Position
from crlscale.config import RunConfig
from crlscale.program import split
from crlscale.programs import Programs
from crlscale.record import RunRecord, add_history
from crlscale.rows import At, Rows, env_steps
from crlscale.stop import StopRequest
from crlscale.study import Study
from crlscale.trackers import Trackers
from crlscale.train import Tally, TrainState

CHUNK_SECONDS = 2.0  # between two looks at the signals and two writes of the progress
CHECKPOINT_SECONDS = float(os.environ.get("CRLSCALE_CHECKPOINT_SECONDS") or 120.0)  # of training
BLOCK_STREAM = 1_000_000  # more than there are evaluations
TRACE = bool(os.environ.get("CRLSCALE_TRACE"))  # a line of history.jsonl for each phase, for tests


class Stopped(Exception):
    """Raised between two chunks, after the checkpoint, when a signal asked to stop."""


class ProgramLoop:
    """Trains the runs `run_ids`, which differ in their seed only, and writes their rows. `compiled`
    gives the programs of a config and a number of seeds. Of several processes that do this together
    (crlscale.hosts) only the first has `records`, reads and writes rows, and looks at the clock."""

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
        self.compiled = compiled
        self.rows = Rows(study, folder, run_ids, records, trackers)
        self.config = self.rows.configs[0]
        # numbers of the host, not of one device: they may go to devices of several processes
        self.hyper = jax.tree.map(np.asarray, split(self.config)[1])
        self.checkpoints = self.rows.folders[0] / "checkpoints"
        self.saved: At | None = None

    @property
    def divergence(self) -> list[str | None]:
        return self.rows.divergence

    def run(self) -> None:
        """From the checkpoint, or from the start, to the last evaluation."""
        self._phase("compile")
        self.programs = self.compiled(self.config, len(self.run_ids))
        self.rows.compile_seconds, self.rows.physics = self.programs.seconds, self.programs.physics
        self.rows.devices = self.programs.devices
        self._stop_if_asked()
        state, tally, at = self._restore() or self._begin()
        while at.evaluation < self.config.evaluations and not all(self.divergence):
            state, tally, at = self._epoch(state, tally, at)
            summary = jax.tree.map(np.asarray, self.programs.summary(state, tally))
            at = at._replace(evaluation=at.evaluation + 1)
            self._measure(state, at, summary)
            tally, at = self.programs.start_tally(state), at.next_epoch()
        self._phase("end")
        hosts.on_first(lambda: checkpoint.drop(self.checkpoints))

    # --- where a run begins ----------------------------------------------------------------
    def _keys(self, stream: int) -> np.ndarray:
        """One key a seed [Z, 2]; `stream` 0 trains, n + 1 is evaluation n, BLOCK_STREAM + n the batch of
        its norms by block."""
        keys = [jax.random.fold_in(jax.random.PRNGKey(c.seed), stream) for c in self.rows.configs]
        return np.stack(keys)

    def _begin(self) -> tuple[TrainState, Tally, At]:
        self._phase("prefill")
        state = self.programs.init(self._keys(0))
        state, tally = self._prefill(state, self.programs.start_tally(state))
        self._stop_if_asked()
        self._measure(state, At(), None)
        return state, tally, At()

    def _prefill(self, state: TrainState, tally: Tally) -> tuple[TrainState, Tally]:
        unrolls = np.int32(self.config.prefill_unrolls)
        return self.programs.epoch(self.hyper, state, tally, unrolls, np.int32(0))

    def _restore(self) -> tuple[TrainState, Tally, At] | None:
        self._phase("restore")
        found = hosts.on_first(self._find)
        if found is None:
            return None
        position = Position(**{**found, "run_ids": tuple(found["run_ids"])})
        self._on_rows(lambda: self.rows.resume(position.evaluation))
        state, tally = checkpoint.restore(self.checkpoints, position, *self.programs.carry)
        at = At(
            evaluation=position.evaluation,
            phases=position.phases,
            train_seconds=position.train_seconds,
            epoch_seconds=position.epoch_seconds,
            refill_env_steps=position.refill_env_steps,
        )
        self.saved = at
        if not position.replay:
            state, tally, at = self._refill(state, tally, at)
        for record in self.records:
            record.resumed(position.unrolls, position.replay)
        return state, tally, at

    def _find(self) -> dict | None:
        position = checkpoint.find(self.checkpoints, self.run_ids, self._tell)
        return None if position is None else asdict(position)

    def _refill(self, state: TrainState, tally: Tally, at: At) -> tuple[TrainState, Tally, At]:
        """An empty replay, filled anew by the restored policy as before training."""
        fresh = self.programs.init(self._keys(0))
        state = state._replace(replay=fresh.replay, unrolls=fresh.unrolls)
        state, tally = self._prefill(state, tally)
        steps = at.refill_env_steps + self.config.prefill_env_steps
        self._tell(f"the checkpoint holds no replay: {self.config.prefill_env_steps:,} fresh env steps")
        return state, tally, at._replace(refill_env_steps=steps)

    # --- training --------------------------------------------------------------------------
    def _epoch(self, state, tally, at: At) -> tuple[TrainState, Tally, At]:
        """The phases that remain until the next evaluation, in chunks of about CHUNK_SECONDS."""
        self._phase("train")
        updates, chunk = np.int32(self.config.updates), 1
        while at.phases < self.config.phases_per_epoch:
            self._stop_if_asked(state, tally, at)
            chunk = min(chunk, self.config.phases_per_epoch - at.phases)
            began = time.perf_counter()
            state, tally = jax.block_until_ready(
                self.programs.epoch(self.hyper, state, tally, np.int32(chunk), updates)
            )
            seconds = hosts.on_first(lambda since=began: time.perf_counter() - since)
            at = at.after(chunk, seconds)
            rate = self.config.updates * chunk / seconds
            hosts.on_first(partial(self._report, at, rate))
            chunk = max(1, min(4 * chunk, int(CHUNK_SECONDS / seconds * chunk)))
            saved_at = 0.0 if self.saved is None else self.saved.train_seconds
            if at.train_seconds - saved_at > CHECKPOINT_SECONDS:
                self._save(state, tally, at)
        self._stop_if_asked(state, tally, at)
        return state, tally, at

    def _report(self, at: At, rate: float) -> None:
        """Progress of every run into its status.json."""
        phases = at.evaluation * self.config.phases_per_epoch + at.phases
        remaining = self.config.total_updates - phases * self.config.updates
        for record in self.records:
            record.update(
                env_steps=env_steps(self.config, phases),
                gradient_steps=phases * self.config.updates,
                updates_per_second=rate,
                seconds_left=remaining / rate,
                peak_memory_bytes=device.peak_memory(),
            )

    def _measure(self, state: TrainState, at: At, summary: dict | None) -> None:
        """Evaluate every run and write the rows of those that are still finite."""
        self._phase("evaluate")
        began = time.perf_counter()
        outcome = self.programs.evaluate(state, self._keys(at.evaluation + 1))
        blocks = self.programs.blocks(self.hyper, state, self._keys(BLOCK_STREAM + at.evaluation))
        outcome, blocks = jax.tree.map(np.asarray, (outcome, blocks))
        seconds = time.perf_counter() - began
        self._phase("write")
        self._on_rows(lambda: self.rows.add(at, outcome, blocks, seconds, summary))

    def _on_rows(self, act: Callable[[], None]) -> None:
        """Read or write rows; every process learns which runs have diverged."""

        def acted() -> list[str | None]:
            act()
            return self.rows.divergence

        self.rows.divergence = hosts.on_first(acted)

    # --- saving and stopping ------------------------------------------------------------------
    def _save(self, state: TrainState, tally: Tally, at: At) -> None:
        if at == self.saved:
            return
        self._phase("checkpoint")
        limit = self.study.execution.checkpoint_replay_gb * 1e9
        phases = at.evaluation * self.config.phases_per_epoch + at.phases
        position = Position(
            tuple(self.run_ids),
            **at._asdict(),
            unrolls=self.config.prefill_unrolls + phases,
            replay=checkpoint.tree_bytes(state.replay) <= limit,
        )
        checkpoint.save(self.checkpoints, position, state, tally)
        self.saved = at
        self._phase("train")

    def _stop_if_asked(self, state=None, tally=None, at: At | None = None) -> None:
        """Save what there is and raise Stopped if a signal came."""
        wanted = hosts.agreed(self.stop.wanted)
        if wanted is not None:
            self.stop.wanted = wanted
            if at is not None:
                self._save(state, tally, at)
            raise Stopped

    def _tell(self, message: str) -> None:
        hosts.say(f"{self.run_ids[0]}: {message}")

    def _phase(self, name: str) -> None:
        if TRACE and hosts.first():
            add_history(self.rows.folders[0], "phase", phase=name)
