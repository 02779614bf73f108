"""Performance profiles: which share of a cell's seeds scores above each threshold?

After Agarwal et al. (2021), without pooling tasks; the intervals are pointwise Clopper-Pearson."""

from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

from crlscale.score import CellScore, StudyScores
from crlscale.stats import CONFIDENCE


@dataclass(frozen=True)
class Profile:
    """One cell: `shares` [T] of its seeds score at least `thresholds` [T] of the study; `low` and `high`
    [T] bound each share with 95 % confidence, pointwise."""

    cell: CellScore
    shares: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Profiles:
    """The profiles of all scored cells over common `thresholds` [T], in steps: zero, every seed's
    score, and the greatest score."""

    study: str
    axes: tuple[str, ...]
    thresholds: np.ndarray
    profiles: tuple[Profile, ...]


def performance_profiles(scores: StudyScores) -> Profiles:
    """The profile of each scored cell."""
    scores.require_finished()
    values = np.concatenate([cell.scores for cell in scores.finished])
    thresholds = np.unique(np.concatenate([[0.0], values]))
    found = tuple(_profile(cell, thresholds) for cell in scores.finished)
    return Profiles(scores.study.name, tuple(scores.study.axes), thresholds, found)


def _profile(cell: CellScore, thresholds: np.ndarray) -> Profile:
    seeds = len(cell.scores)
    hits = (cell.scores[:, None] >= thresholds).sum(axis=0)
    tail = (1 - CONFIDENCE) / 2
    low = np.where(hits > 0, betaincinv(np.maximum(hits, 1), seeds - hits + 1, tail), 0.0)
    high = np.where(hits < seeds, betaincinv(hits + 1, np.maximum(seeds - hits, 1), 1 - tail), 1.0)
    return Profile(cell, hits / seeds, low, high)
