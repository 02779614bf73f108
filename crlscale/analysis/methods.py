"""Which level of an axis (the method, say) is best for the same env steps, updates, FLOPs or hours?

Each cell of a level meets the cell of the first level that equals it in all other axes. Their budget is
the largest that every run of both reaches, so a cheap method is judged against what a dear one had by
then; a run's score is the mean of its last min(5, n) evaluations within it."""

from dataclasses import dataclass, replace

import numpy as np

from crlscale.analysis.costs import PARAMETERS
from crlscale.analysis.two_studies import StudiesCompared, compare_pairs
from crlscale.analysis.width_vs_depth import equal_cost
from crlscale.cost import update_flops
from crlscale.errors import CrlscaleError
from crlscale.score import LAST_EVALUATIONS, CellScore, StudyScores, numbers
from crlscale.stats import Estimate, estimate

BUDGETS = {
    "env_steps": "env steps",
    "gradient_steps": "updates",
    "training_flops": "FLOPs",
    "hours": "hours",
}


@dataclass(frozen=True)
class AtBudget:
    """The other levels of the axis against the first one, at equal `unit` of `kind`. `spent` maps a level
    to the smallest and the largest budget of its pairs of cells; a level of which no pair has an
    evaluation within its budget, or none a cost, is left out, and named in `too_dear`."""

    kind: str
    unit: str
    spent: dict[str, tuple[float, float]]
    compared: tuple[StudiesCompared, ...]
    too_dear: tuple[str, ...]


@dataclass(frozen=True)
class AtParameters:
    """A level minus the first one [steps], interpolated over the parameters that both reach (None where
    they do not overlap), along the only other axis of the study."""

    level: str
    overlap: tuple[float, float] | None
    difference: Estimate | None


@dataclass(frozen=True)
class MethodsCompared:
    """The levels of `axis` at equal budgets, and at equal parameters where a second axis changes them."""

    study: str
    axis: str
    levels: tuple
    budgets: tuple[AtBudget, ...]
    parameters: tuple[AtParameters, ...]

    @property
    def sentence(self) -> str:
        """A part for each kind of budget: who is better than the first level, who is worse."""
        first = self.levels[0]
        parts = []
        for at in self.budgets:
            found = [(compared.first, compared.difference) for compared in at.compared]
            parts.append(_against(f"at equal {at.unit}", found, at.too_dear))
        known = [(str(p.level), p.difference) for p in self.parameters if p.difference is not None]
        if known:
            apart = tuple(str(p.level) for p in self.parameters if p.difference is None)
            parts.append(_against("at equal parameters", known, apart))
        return f"Against {first}, by 95 % intervals one by one: {'; '.join(parts)}."


VERDICTS = {1: "better", -1: "worse", 0: "undecided"}  # by the sign of a difference


def _against(where: str, found: list[tuple[str, Estimate]], missing: tuple[str, ...]) -> str:
    groups: dict[str, list[str]] = {verdict: [] for verdict in VERDICTS.values()}
    for level, difference in found:
        groups[VERDICTS[difference.sign]].append(level)
    groups["not comparable"] = list(missing)
    said = [f"{verdict} {', '.join(levels)}" for verdict, levels in groups.items() if levels]
    return f"{where} {', '.join(said)}"


def compare_methods(scores: StudyScores, metrics, axis: str = "agent") -> MethodsCompared:
    """Compare the levels of `axis` over the cells of the other axes that all of them have; `metrics` is the
    frame of `store.read_metrics`."""
    scores.require_finished()
    levels = tuple(scores.study.axes.get(axis, ()))
    if len(levels) < 2:
        raise CrlscaleError(
            f"study {scores.study.name!r} has no {axis} axis with two levels"
            f" (it has {', '.join(scores.study.axes)})",
            value=scores.study.name,
            remedy=f"crlscale compare methods {scores.study.name} --axis {next(iter(scores.study.axes))}",
        )
    rows = dict(iter(metrics.groupby("run_id", sort=False)))
    sides: dict = {level: {} for level in levels}
    for cell in scores.finished:
        key = tuple((k, v) for k, v in cell.levels.items() if k != axis)
        sides[cell.levels[axis]][key] = cell
    shared = [key for key in sides[levels[0]] if all(key in sides[level] for level in levels)]
    if not shared:
        raise CrlscaleError(
            f"the levels of {axis} share no cell with a score",
            value=scores.study.name,
            remedy=f"crlscale status {scores.study.name}",
        )
    budgets = []
    for kind, unit in BUDGETS.items():
        found = _at_budget(kind, unit, sides, levels, shared, rows, scores.listed)
        if found.compared:
            budgets.append(found)
    others = [other for other in scores.study.axes if other != axis]
    parameters = ()
    if len(others) == 1 and others[0] != "batch_size":
        parameters = tuple(_at_parameters(sides, levels[0], level) for level in levels[1:])
    return MethodsCompared(scores.study.name, axis, levels, tuple(budgets), parameters)


def _at_budget(kind, unit, sides, levels, shared, rows, listed) -> AtBudget:
    spent, compared, too_dear = {}, [], []
    for level in map(str, levels[1:]):
        side = next(side for known, side in sides.items() if str(known) == level)
        met = [_meet(kind, key, side[key], sides[levels[0]][key], rows) for key in shared]
        met = [pair for pair in met if pair is not None]
        within = [pair for pair in met if len(pair[1].scores) and len(pair[2].scores)]
        if within:
            costs = [budget for *_, budget in within]
            spent[level] = (min(costs), max(costs))
            pairs = [pair[:3] for pair in within]
            compared.append(compare_pairs(level, str(levels[0]), pairs, {}, listed))
        else:
            too_dear.append(level)
    return AtBudget(kind, unit, spent, tuple(compared), tuple(too_dear))


def _meet(kind: str, key: tuple, one: CellScore, other: CellScore, rows: dict):
    """Levels, both cells with the scores that they had within the budget of both, and that budget; None
    where it was not measured."""
    spent = {
        run.run_id: _spent(kind, cell, rows[run.run_id])
        for cell in (one, other)
        for run in cell.scored
        if run.run_id in rows
    }
    ends = [costs[-1] for costs in spent.values()]
    if not ends or not np.isfinite(ends).all() or min(ends) <= 0:
        return None
    budget = float(min(ends))
    return (dict(key), *(_scored_within(cell, budget, spent, rows) for cell in (one, other)), budget)


def _spent(kind: str, cell: CellScore, frame) -> np.ndarray:
    """What a run had spent at each of its evaluations."""
    frame = frame.sort_values("evaluation")
    if kind == "hours":
        return numbers(frame["train_seconds"] / frame["program_runs"] / 3600)
    if kind == "training_flops":
        return numbers(frame["gradient_steps"]) * update_flops(cell.config)
    return numbers(frame[kind])


def _scored_within(cell: CellScore, budget: float, spent: dict, rows: dict) -> CellScore:
    """The cell with the scores that its runs had within `budget`."""
    runs = []
    for run in cell.runs:
        score = run.score
        if score is not None and run.run_id in spent:
            frame = rows[run.run_id].sort_values("evaluation")
            values = numbers(frame[f"time_at_goal_{cell.config.goal_set}"])
            within = (spent[run.run_id] <= budget * (1 + 1e-9)) & np.isfinite(values)
            within &= frame["evaluation"].to_numpy() >= 1
            values = values[within][-LAST_EVALUATIONS:]
            score = float(values.mean()) if len(values) else None
        runs.append(replace(run, score=score))
    scores = [run.score for run in runs if run.score is not None]
    found = estimate(scores, bounds=(0, cell.config.episode_length)) if scores else None
    return CellScore(cell.levels, cell.config, tuple(runs), found)


def _at_parameters(sides: dict, reference, level) -> AtParameters:
    overlap, difference = equal_cost(
        PARAMETERS, list(sides[level].values()), list(sides[reference].values())
    )
    return AtParameters(str(level), overlap, difference)
