"""Shapes of a score over levels, fitted by least squares: constant, linear, step, sigmoid, and two
or three steps.

x is log2 of the level [doublings]. Every shape is constant + amplitude * z(x), where z comes
from a finite family, so a fit is the best of a few regressions on the cell means. Several steps
are constants between their change points."""

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np

# fitted numbers of each shape, the noise apart
PARAMETERS = {"constant": 1, "linear": 2, "step": 3, "sigmoid": 4, "2 steps": 5, "3 steps": 7}
STEPS = {"2 steps": 2, "3 steps": 3}
CENTRES_PER_GAP = 4
SLOPES_IN_GAPS = (0.15, 0.25, 0.35, 0.5, 0.7, 1.0)
TEN_TO_NINETY = 2 * np.log(9)  # width of the rise from 10 % to 90 %, in units of the slope


@dataclass(frozen=True)
class Fit:
    """The best member of a family. `centre` and `rise` [doublings] of one-step shapes, else None;
    `fitted` has one score a level; `explained` is the sum of squares it takes off the constant."""

    shape: str
    explained: float
    amplitude: float
    fitted: np.ndarray
    centre: float | None = None
    rise: float | None = None
    member: int = 0


@dataclass(frozen=True)
class Families:
    """The regressors of each shape at levels `x` [L], with `seeds` [L] scores at each."""

    x: np.ndarray
    seeds: np.ndarray

    @cached_property
    def gap(self) -> float:
        return float(np.median(np.diff(self.x)))

    @cached_property
    def sigmoids(self) -> np.ndarray:
        """(centre, slope) of every sigmoid tried, [M, 2]; centres lie within the levels."""
        centres = np.arange(self.x[0], self.x[-1] + 1e-9, self.gap / CENTRES_PER_GAP)
        return np.array([(c, s * self.gap) for c in centres for s in SLOPES_IN_GAPS])

    @cached_property
    def regressors(self) -> dict[str, np.ndarray]:
        """Shape -> z [members, L]; a shape with more parameters than levels is left out."""
        centre, slope = self.sigmoids[:, :1], self.sigmoids[:, 1:]
        every = {
            "linear": self.x[None],
            "step": (self.x[None] >= self.x[1:, None]).astype(float),
            "sigmoid": 1 / (1 + np.exp(-(self.x[None] - centre) / slope)),
        }
        return {shape: z for shape, z in every.items() if PARAMETERS[shape] <= len(self.x)}

    @cached_property
    def shapes(self) -> tuple[str, ...]:
        """Every shape but the constant that has no more numbers than there are levels."""
        return tuple(s for s, n in PARAMETERS.items() if s != "constant" and n <= len(self.x))

    @cached_property
    def splits(self) -> dict[str, np.ndarray]:
        """Shape of several steps -> first level above each change point, [members, steps]."""
        levels = range(1, len(self.x))
        every = {shape: list(itertools.combinations(levels, n)) for shape, n in STEPS.items()}
        return {shape: np.array(every[shape]) for shape in STEPS if shape in self.shapes}

    def plateaus(self, shape: str, member: int) -> list[slice]:
        """The levels between the change points of a member of several steps."""
        ends = [0, *self.splits[shape][member].tolist(), len(self.x)]
        return [slice(*pair) for pair in itertools.pairwise(ends)]

    @cached_property
    def _averages(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Shape of several steps -> what makes means of its plateaus of means of levels [members,
        plateaus, L], and the scores on each plateau [members, plateaus]."""
        found = {}
        for shape, splits in self.splits.items():
            weights = np.zeros((len(splits), splits.shape[1] + 1, len(self.x)))
            for member in range(len(splits)):
                for index, part in enumerate(self.plateaus(shape, member)):
                    weights[member, index, part] = self.seeds[part]
            sizes = weights.sum(axis=-1)
            found[shape] = weights / sizes[..., None], sizes
        return found

    def explained(self, shape: str, means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sums of squares explained and amplitudes of every member, both [B, members],
        for cell means [B, L]; of several steps, which explain nothing unless
        all of them rise, the amplitude is last minus first plateau."""
        if shape in STEPS:
            weights, sizes = self._averages[shape]
            plateau = (means @ weights.reshape(-1, len(self.x)).T).reshape(len(means), *sizes.shape)
            about = (means @ self.seeds / self.seeds.sum())[:, None, None]
            found = np.einsum("bmk,mk->bm", (plateau - about) ** 2, sizes)
            rises = (plateau[..., 1:] > plateau[..., :-1]).all(axis=-1)
            return np.where(rises, found, 0.0), plateau[..., -1] - plateau[..., 0]
        weighted, scale = self._projections[shape]
        projection = means @ weighted.T
        return projection**2 / scale, projection / scale

    def best(self, shape: str, means: np.ndarray) -> Fit:
        """The member of `shape` that explains most of the cell means [L]."""
        explained, amplitude = (part[0] for part in self.explained(shape, means[None]))
        member = int(explained.argmax())
        if shape in STEPS:
            fitted = np.empty(len(self.x))
            for part in self.plateaus(shape, member):
                fitted[part] = means[part] @ self.seeds[part] / self.seeds[part].sum()
            return Fit(shape, float(explained[member]), float(amplitude[member]), fitted, member=member)
        level = float(means @ self.seeds / self.seeds.sum())
        fitted = level + amplitude[member] * self._centred(shape)[member]
        centre, rise = None, None
        if shape == "step":
            centre, rise = float(self.x[member : member + 2].mean()), 0.0
        elif shape == "sigmoid":
            centre, rise = self.sigmoids[member] * (1, TEN_TO_NINETY)
            centre, rise = float(centre), float(rise)
        return Fit(
            shape, float(explained[member]), float(amplitude[member]), fitted, centre, rise, member
        )

    def bic(self, shapes, means: np.ndarray, totals: np.ndarray) -> np.ndarray:
        """The smallest information criterion among the best members of `shapes`, [B], for cell means
        [B, L] of scores whose sums of squares about their mean are `totals` [B]."""
        runs = self.seeds.sum()
        found = []
        for shape in shapes:
            left = totals
            if shape != "constant":
                left = totals - self.explained(shape, means)[0].max(axis=1)
            found.append(bic(totals, left, runs, shape))
        return np.min(found, axis=0)

    def level_above(self, shape: str, members: np.ndarray) -> np.ndarray:
        """Index of the smallest level above the change points of each member, [B], or [B, steps] of
        several steps; never the first level, below which nothing was measured."""
        if shape in STEPS:
            return self.splits[shape][members]
        if shape == "step":
            return members + 1
        above = np.searchsorted(self.x, self.sigmoids[members, 0] + 1e-9)
        return above.clip(1, len(self.x) - 1)

    @cached_property
    def _projections(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Shape -> its centred regressors by the scores at each level [members, L], and their squares."""
        centred = {shape: self._centred(shape) for shape in self.regressors}
        return {shape: (z * self.seeds, z**2 @ self.seeds) for shape, z in centred.items()}

    def _centred(self, shape: str) -> np.ndarray:
        z = self.regressors[shape]
        return z - (z @ self.seeds / self.seeds.sum())[:, None]


def bic(total, left, runs: float, shape: str):
    """Bayesian information criterion under normal noise; a perfect fit is held off minus infinity."""
    left = np.maximum(left, 1e-9 * total)
    return runs * np.log(left / runs) + PARAMETERS[shape] * np.log(runs)
