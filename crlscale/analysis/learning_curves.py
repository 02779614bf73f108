"""How do the scores of each cell grow with env steps?"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crlscale.score import CellScore, StudyScores, numbers
from crlscale.stats import Estimate, estimate


@dataclass(frozen=True)
class Curve:
    """One cell. `env_steps` [T]; `seeds` maps a run id to its time at goal [T], NaN where the run
    has no such evaluation; `estimates` has one IQM a point, None where no seed has a value. `updates`
    and `hours` (of training, alone on its program) [T] are means over the seeds at each point, NaN where
    not measured: the same curve over another x."""

    cell: CellScore
    env_steps: np.ndarray
    seeds: dict[str, np.ndarray]
    estimates: tuple[Estimate | None, ...]
    updates: np.ndarray
    hours: np.ndarray


@dataclass(frozen=True)
class LearningCurves:
    """The curves of every cell of a study that has a scored run."""

    study: str
    axes: tuple[str, ...]
    curves: tuple[Curve, ...]


def load_learning_curves(folder: Path, scores: StudyScores) -> LearningCurves:
    """The curves of the scored runs of the study in `folder`."""
    from crlscale.store import read_metrics

    return learning_curves(scores, read_metrics(folder))


def learning_curves(scores: StudyScores, metrics) -> LearningCurves:
    """The curves from the frame of `store.read_metrics`."""
    scores.require_finished()
    rows = dict(iter(metrics.groupby("run_id", sort=False)))
    curves = tuple(
        _curve(cell, rows) for cell in scores.finished if any(run.run_id in rows for run in cell.scored)
    )
    return LearningCurves(scores.study.name, tuple(scores.study.axes), curves)


def _curve(cell: CellScore, rows: dict) -> Curve:
    column = f"time_at_goal_{cell.config.goal_set}"
    points: dict[str, dict[int, float]] = {}
    frames = []
    for run in cell.scored:
        if run.run_id not in rows:  # diverged before its first row, counted as zero
            continue
        frame = rows[run.run_id]
        frames.append(frame)
        values = numbers(frame[column])
        points[run.run_id] = dict(zip(frame["env_steps"].astype(int), values, strict=True))
    steps = sorted({step for curve in points.values() for step in curve})
    seeds = {
        run_id: np.array([curve.get(step, np.nan) for step in steps])
        for run_id, curve in points.items()
    }
    estimates = []
    for values in np.stack(list(seeds.values()), axis=1):
        known = values[np.isfinite(values)]
        found = estimate(known, bounds=(0, cell.config.episode_length)) if len(known) else None
        estimates.append(found)
    return Curve(cell, np.array(steps), seeds, tuple(estimates), *_spent(frames, steps))


def _spent(frames: list, steps: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Updates and hours of training at each of `steps`, means over the runs."""
    updates, hours = ({step: [] for step in steps} for _ in range(2))
    for frame in frames:
        seconds = numbers(frame["train_seconds"] / frame["program_runs"])
        done = numbers(frame["gradient_steps"])
        for step, update, second in zip(frame["env_steps"].astype(int), done, seconds, strict=True):
            updates[step].append(update)
            hours[step].append(second / 3600)
    return tuple(np.array([np.mean(of[step]) for step in steps]) for of in (updates, hours))
