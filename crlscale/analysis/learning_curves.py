"""How do the scores of each cell grow with env steps?"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crlscale.score import CellScore, StudyScores
from crlscale.stats import Estimate, estimate


@dataclass(frozen=True)
class Curve:
    """One cell. `env_steps` [T]; `seeds` maps a run id to its time at goal [T], NaN where the run
    has no such evaluation; `estimates` has one IQM a point, None where no seed has a value."""

    cell: CellScore
    env_steps: np.ndarray
    seeds: dict[str, np.ndarray]
    estimates: tuple[Estimate | None, ...]


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
    curves = tuple(_curve(cell, rows) for cell in scores.finished)
    return LearningCurves(scores.study.name, tuple(scores.study.axes), curves)


def _curve(cell: CellScore, rows: dict) -> Curve:
    column = f"time_at_goal_{cell.config.goal_set}"
    points: dict[str, dict[int, float]] = {}
    for run in cell.scored:
        frame = rows[run.run_id]
        values = frame[column].to_numpy(dtype=float, na_value=np.nan)
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
    return Curve(cell, np.array(steps), seeds, tuple(estimates))
