"""Which methods gain from depth, and at which cost? One slope a method over an axis of scale.

The axis of methods may be any whose levels are names or switches (agent, energy, residual ...). A slope
is a weighted sum of the cells' IQMs per doubling, so its interval is Welch's; its p-value is corrected
over the methods (Holm)."""

from dataclasses import dataclass

import numpy as np

from crlscale.analysis.costs import FLOPS, HOURS, PARAMETERS
from crlscale.analysis.limits import AXES as SCALES
from crlscale.analysis.two_way import grids, slope_weights
from crlscale.counts import trunk_layers
from crlscale.errors import CrlscaleError
from crlscale.score import CellScore, StudyScores
from crlscale.stats import SIGNIFICANCE, Estimate, holm, p_value, signed, weighted_sum

COSTS = (PARAMETERS, FLOPS, HOURS)


@dataclass(frozen=True)
class MethodGain:
    """One level of the axis of methods.

    `cells` are its scored cells, smallest first; `slope` is what a doubling brings [steps], `corrected`
    its p-value after Holm's correction (None without an interval). `layers` are the Dense layers in the
    trunks of the actor and of all critics, in the smallest and in the largest cell; `growth` maps a cost
    to that of the largest cell over that of the smallest (None where it was not measured).
    `against_largest` is the smallest cell minus the largest cell of the first method [steps]."""

    level: object
    cells: tuple[CellScore, ...]
    slope: Estimate
    corrected: float | None
    layers: tuple[tuple[int, int], tuple[int, int]]
    growth: dict[str, float | None]
    against_largest: Estimate

    @property
    def verdict(self) -> str:
        """gains or loses (after Holm's correction), alone (by its own interval only) or not shown."""
        if self.corrected is not None and self.corrected <= SIGNIFICANCE:
            return "gains" if self.slope.value > 0 else "loses"
        return "alone" if self.slope.sign else "not shown"


@dataclass(frozen=True)
class MethodGains:
    """The levels of `axis` in the order of the plan, each over `scale`; other axes at `fixed`. `more` is
    what a doubling brings each more than the first one, with its corrected p-value."""

    study: str
    axis: str
    scale: str
    fixed: dict
    methods: tuple[MethodGain, ...]
    more: tuple[tuple[object, Estimate, float | None], ...]

    @property
    def best(self) -> MethodGain:
        """The method of the best cell."""
        return max(self.methods, key=lambda method: max(c.estimate.value for c in method.cells))

    @property
    def sentence(self) -> str:
        name = self.scale.replace("_", " ")
        by = {verdict: [m for m in self.methods if m.verdict == verdict] for verdict in _VERBS}
        parts = [
            f"{_VERBS[verdict].format(name)}: {_listed(found)}"
            for verdict, found in by.items()
            if found
        ]
        text = "; ".join(parts)
        text = f"{text[0].upper()}{text[1:]} (steps a doubling, 95 % intervals)."
        first = self.methods[0]
        ahead = [m.level for m in self.methods[1:] if m.against_largest.sign > 0]
        level = first.cells[-1].levels[self.scale]
        if ahead:
            small = " and ".join(
                sorted({str(m.cells[0].levels[self.scale]) for m in self.methods if m.level in ahead})
            )
            text += (
                f" At {name} {small} already better than {first.level} at {level}:"
                f" {', '.join(map(str, ahead))} (95 %, one by one)."
            )
        else:
            text += f" No method is shown to be better at its smallest {name} than {first.level} at {level}."
        return text


_VERBS = {
    "gains": "gain from {}",
    "loses": "lose by {}",
    "alone": "{} counts by its own interval, not after Holm's correction, for",
    "not shown": "no effect of {} is shown for",
}


def method_gains(scores: StudyScores, axis: str = "agent", scale: str = "depth") -> list[MethodGains]:
    """One result for each combination of the levels of the axes other than `axis` and `scale`."""
    if scale not in SCALES:
        raise CrlscaleError(
            f"{scale!r} is no axis of scale", value=scale, remedy=f"--over {', '.join(SCALES)}"
        )
    found = []
    for fixed, cells in grids(scores, (axis, scale)):
        scored = [cell for cell in cells if cell.estimate is not None]
        sides = {
            level: sorted((c for c in scored if c.levels[axis] == level), key=lambda c: c.levels[scale])
            for level in scores.study.axes[axis]
        }
        known = {level: tuple(side) for level, side in sides.items() if len(side) > 1}
        if known:
            found.append(_result(scores.study.name, axis, scale, fixed, known))
    if not found:
        raise CrlscaleError(
            f"no level of {axis} has scores at two levels of {scale}",
            value=scores.study.name,
            remedy=f"crlscale status {scores.study.name}",
        )
    return found


def _result(study: str, axis: str, scale: str, fixed: dict, sides: dict) -> MethodGains:
    weights = {
        level: slope_weights(np.log2([cell.levels[scale] for cell in cells]))
        for level, cells in sides.items()
    }
    slopes = {
        level: weighted_sum(weights[level], [cell.scores for cell in cells])
        for level, cells in sides.items()
    }
    corrected = holm([p_value(slope) for slope in slopes.values()])
    first = next(iter(sides))
    methods = tuple(
        MethodGain(
            level,
            cells,
            slopes[level],
            p,
            (trunk_layers(cells[0].config), trunk_layers(cells[-1].config)),
            {kind.name: _growth(kind, cells) for kind in COSTS},
            weighted_sum([1, -1], [cells[0].scores, sides[first][-1].scores]),
        )
        for (level, cells), p in zip(sides.items(), corrected, strict=True)
    )
    others = [level for level in sides if level != first]
    more = [
        weighted_sum(
            [*weights[level], *-weights[first]], [c.scores for c in (*sides[level], *sides[first])]
        )
        for level in others
    ]
    p_more = holm([p_value(difference) for difference in more])
    return MethodGains(
        study, axis, scale, fixed, methods, tuple(zip(others, more, p_more, strict=True))
    )


def _growth(kind, cells: tuple[CellScore, ...]) -> float | None:
    small, large = kind.measure(cells[0]), kind.measure(cells[-1])
    return None if not small or large is None else large / small


def _listed(methods: list[MethodGain]) -> str:
    return ", ".join(f"{method.level} {signed(method.slope)}" for method in methods)
