"""Scores of the runs and cells of a study, from its stored rows.

Score of a run: mean of its last min(5, n) evaluations after training began, of the time at
goal on the goal set that scores it [steps of an episode]. Score of a cell: IQM over seeds.
Complete runs count, and diverged ones by a rule: their last finite scores (`last`, the default),
no time at goal (`zero`), or left out (`drop`); all others are missing. Both are counted and listed. Runs of different physics are never pooled: one physics is scored at a
time, the runs of others are missing with the status "other physics"."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crlscale.config import RunConfig
from crlscale.errors import CrlscaleError
from crlscale.physics import groups, same_physics
from crlscale.stats import Estimate, estimate
from crlscale.study import Study, load_study

LAST_EVALUATIONS = 5
SCORED_STATUSES = ("complete", "diverged")
OTHER_PHYSICS = "other physics"
DIVERGED_RULES = {
    "last": "diverged runs count with their last finite scores",
    "zero": "diverged runs count as no time at goal",
    "drop": "diverged runs are left out",
}

DIVERGED_SENTENCES = {rule: f"{said[0].upper()}{said[1:]}." for rule, said in DIVERGED_RULES.items()}


@dataclass(frozen=True)
class RunScore:
    """One planned run. `score` is None while the run has none to count; what was not measured
    is None. `hours` is training time by itself: that of its program by the runs that shared it;
    `cpu_hours` the CPU time of the process in the same way, compiling and evaluating included
    (None for a resumed run, whose process did not do all of it)."""

    run_id: str
    seed: int
    status: str
    score: float | None
    evaluations: int
    env_steps: int | None
    gradient_steps: int | None
    hours: float | None
    updates_per_second: float | None
    cpu_hours: float | None = None


@dataclass(frozen=True)
class CellScore:
    """All seeds of one combination of levels. `config` is that of the first seed."""

    levels: dict
    config: RunConfig
    runs: tuple[RunScore, ...]
    estimate: Estimate | None

    @property
    def where(self) -> str:
        """ "depth 8, width 64"."""
        return ", ".join(f"{axis.replace('_', ' ')} {level}" for axis, level in self.levels.items())

    @property
    def scores(self) -> np.ndarray:
        return np.array([run.score for run in self.scored], dtype=float)

    @property
    def scored(self) -> tuple[RunScore, ...]:
        return tuple(run for run in self.runs if run.score is not None)

    @property
    def hours(self) -> float | None:
        """Mean training hours of the complete runs; diverged ones stopped early."""
        return _mean([run.hours for run in self.runs if run.status == "complete"])

    @property
    def cpu_hours(self) -> float | None:
        """Mean CPU hours of the complete runs."""
        return _mean([run.cpu_hours for run in self.runs if run.status == "complete"])

    @property
    def diverged(self) -> int:
        return sum(run.status == "diverged" for run in self.runs)

    @property
    def updates(self) -> int:
        """Updates of a run of this cell that ends as planned."""
        return self.config.total_updates

    @property
    def updates_per_second(self) -> float | None:
        return _mean([run.updates_per_second for run in self.scored])

    @property
    def note(self) -> str:
        """What is not plain about the cell: diverged seeds, seeds without a score and why."""
        counts = Counter(run.status for run in self.runs if run.status == "diverged")
        counts.update(
            "no score" if run.status in SCORED_STATUSES else run.status
            for run in self.runs
            if run.score is None and run.status != "diverged"
        )
        return ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))


@dataclass(frozen=True)
class StudyScores:
    """Every cell of a study, in the order of the plan."""

    study: Study
    cells: tuple[CellScore, ...]
    physics: dict[tuple, dict]
    physics_kinds: int = 1
    diverged: str = "last"
    versions: tuple[str, ...] = ()  # of crlscale, that runs of the study record

    @property
    def warning(self) -> str | None:
        """What a reader must know before the numbers; None if there is nothing."""
        words = [self._mixed_versions] if len(self.versions) > 1 else []
        words += [self._mixed_physics] if self.physics_kinds > 1 else []
        return "; ".join(words) or None

    @property
    def _mixed_versions(self) -> str:
        return f"study {self.study.name} was run by crlscale {' and '.join(self.versions)}"

    @property
    def _mixed_physics(self) -> str:
        left_out = sum(run.status == OTHER_PHYSICS for cell in self.cells for run in cell.runs)
        return (
            f"study {self.study.name} holds runs of {self.physics_kinds} different physics"
            f" (fingerprints apart by more than 1e-4); {left_out} runs are left out here:"
            f" --physics 1 to {self.physics_kinds} chooses"
        )

    def require_same_physics(self, other: "StudyScores") -> None:
        """Refuse to compare with a study that simulated a task of both in another way."""
        for task in self.physics.keys() & other.physics.keys():
            if not same_physics(self.physics[task], other.physics[task]):
                raise CrlscaleError(
                    f"studies {self.study.name} and {other.study.name} simulate {task[0]} with"
                    " different physics (fingerprints apart by more than 1e-4)",
                    value=other.study.name,
                    remedy=f"run {other.study.name} again with these versions, or --physics",
                )

    @property
    def finished(self) -> tuple[CellScore, ...]:
        """Cells with at least one score."""
        return tuple(cell for cell in self.cells if cell.estimate is not None)

    @property
    def listed(self) -> tuple[tuple[str, str], ...]:
        """(run id, status) of every run that diverged or has no score."""
        runs = [run for cell in self.cells for run in cell.runs]
        return tuple((r.run_id, r.status) for r in runs if r.score is None or r.status == "diverged")

    @property
    def diverged_runs(self) -> int:
        return sum(cell.diverged for cell in self.cells)

    @property
    def note(self) -> str:
        """Counts over all runs of what is diverged or missing; empty if nothing is."""
        cell = CellScore({}, self.cells[0].config, tuple(r for c in self.cells for r in c.runs), None)
        return cell.note

    def require_finished(self) -> None:
        """Refuse a study without a single scored run."""
        if not self.finished:
            raise CrlscaleError(
                f"study {self.study.name!r} has no finished run ({self.note})",
                value=self.study.name,
                remedy=f"crlscale status {self.study.name}",
            )


def load_scores(folder: Path, physics: int = 1, diverged: str = "last") -> StudyScores:
    """Scores of the study in `folder`, from its runs of `physics` 1 (the one that most runs of a task
    share), 2, ...; `diverged` is one of DIVERGED_RULES."""
    from crlscale.store import read_metrics, read_runs

    return score_study(load_study(folder), read_metrics(folder), read_runs(folder), physics, diverged)


def score_study(study: Study, metrics, runs, physics: int = 1, diverged: str = "last") -> StudyScores:
    """Scores from the frames of `store.read_metrics` and `store.read_runs`; else as `load_scores`."""
    if diverged not in DIVERGED_RULES:
        raise CrlscaleError(
            f"--diverged {diverged}: no such rule ({', '.join(DIVERGED_RULES)})",
            value=diverged,
            remedy="--diverged last",
        )
    status = dict(zip(runs["run_id"], runs["status"], strict=True))
    kinds, fingerprints = _physics(study, metrics)
    found_kinds = 1 + max(kinds.values(), default=0)
    if not 1 <= physics <= found_kinds:
        raise CrlscaleError(
            f"--physics {physics}: study {study.name} has {found_kinds}",
            value=physics,
            remedy="--physics 1",
        )
    for run_id, kind in kinds.items():
        if kind != physics - 1 and status.get(run_id) in SCORED_STATUSES:
            status[run_id] = OTHER_PHYSICS
    rows = dict(iter(metrics.groupby("run_id", sort=False)))
    cells = []
    for levels, run_ids in study.cells.items():
        scored = tuple(
            score_run(study.configs[run_id], status.get(run_id, "planned"), rows.get(run_id), diverged)
            for run_id in run_ids
        )
        values = [run.score for run in scored if run.score is not None]
        config = study.configs[run_ids[0]]
        cell = dict(zip(study.axes, levels, strict=True))
        found = estimate(values, bounds=(0, config.episode_length)) if values else None
        cells.append(CellScore(cell, config, scored, found))
    chosen = {
        _task(study.configs[run_id]): json.loads(text)
        for run_id, text in fingerprints.items()
        if text is not None and kinds[run_id] == physics - 1
    }
    versions = tuple(sorted(runs["code_version"].dropna().unique())) if "code_version" in runs else ()
    return StudyScores(study, tuple(cells), chosen, found_kinds, diverged, versions)


def _physics(study: Study, metrics) -> tuple[dict[str, int], dict[str, str | None]]:
    """Run id -> number of its physics among the runs of its task, and -> its fingerprint as JSON."""
    first = metrics[metrics["evaluation"] == 0]
    texts = {i: text for i, text in zip(first["run_id"], first["physics"], strict=True) if text}
    by_task: dict[tuple, dict[str, str | None]] = {}
    for run_id, config in study.configs.items():
        by_task.setdefault(_task(config), {})[run_id] = texts.get(run_id)
    kinds = {run_id: kind for task in by_task.values() for run_id, kind in groups(task).items()}
    return kinds, {run_id: text for task in by_task.values() for run_id, text in task.items()}


def _task(config: RunConfig) -> tuple:
    return (config.env, config.task.options)


def score_run(config: RunConfig, status: str, rows, diverged: str = "last") -> RunScore:
    """Score of one run from its rows (None or empty: nothing measured yet)."""
    if rows is None or not len(rows):
        nothing = 0.0 if (status, diverged) == ("diverged", "zero") else None
        return RunScore(config.run_id, config.seed, status, nothing, 0, None, None, None, None)
    rows = rows.sort_values("evaluation")
    trained = rows[rows["evaluation"] >= 1]
    values = numbers(trained[f"time_at_goal_{config.goal_set}"])
    values = values[np.isfinite(values)]
    counts = status in SCORED_STATUSES and len(values) > 0
    last = rows.iloc[-1]
    seconds, sharing = _number(last["train_seconds"]), _number(last["program_runs"])
    cpu = None if rows["resumed"].fillna(False).any() else _number(last["cpu_seconds"])
    score = float(values[-LAST_EVALUATIONS:].mean()) if counts else None
    if status == "diverged" and diverged != "last":
        score = 0.0 if diverged == "zero" else None
    return RunScore(
        run_id=config.run_id,
        seed=config.seed,
        status=status,
        score=score,
        evaluations=len(trained),
        env_steps=_whole(last["env_steps"]),
        gradient_steps=_whole(last["gradient_steps"]),
        hours=None if seconds is None else seconds / (sharing or 1) / 3600,
        updates_per_second=_number(trained["updates_per_second"].median()),
        cpu_hours=None if cpu is None else cpu / (sharing or 1) / 3600,
    )


def numbers(column) -> np.ndarray:
    """A column of stored rows as floats, NaN where there is nothing."""
    return column.to_numpy(dtype=float, na_value=np.nan)


def _number(value) -> float | None:
    value = np.nan if value is None or str(value) == "<NA>" else float(value)
    return value if np.isfinite(value) else None


def _whole(value) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _mean(values: list) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
