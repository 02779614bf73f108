"""Costs, goal maps, profiles and ends of axes as tables for a person and records for a machine."""

import numpy as np

from crlscale.analysis.block_norms import WHEN, BlockNorms
from crlscale.analysis.ends import Ends
from crlscale.analysis.goal_cells import GoalMaps
from crlscale.analysis.profiles import Profiles
from crlscale.analysis.run_costs import CellCost, Costs, RunCost
from crlscale.analysis.training import GRADIENT, LOSSES, NETWORKS, RATIO, Training
from crlscale.report.finding import Table

MEASURED = tuple(RunCost.__dataclass_fields__)[2:]


def costs_table(result: Costs) -> Table:
    """One line a cell: medians over its complete runs."""
    columns = [result.axis, *result.others, "runs", "hours", "peak GB", "compile s", "FLOPs"]
    rows = [_cost_row(found) for found in result.cells]
    return "Cost of a run, medians of the complete ones", columns, rows


def _cost_row(found: CellCost) -> list[str]:
    hours, memory, compiled = (found.median(cost) for cost in MEASURED)
    return [
        *map(str, found.cell.levels.values()),
        str(len(found.runs)),
        "-" if hours is None else f"{hours:.3g}",
        "-" if memory is None else f"{memory / 1e9:.2f}",
        "-" if compiled is None else f"{compiled:.1f}",
        f"{found.flops:.2e}",
    ]


def costs_records(result: Costs) -> list[dict]:
    """One record a cell, with every run."""
    return [
        {
            **found.cell.levels,
            "flops": found.flops,
            **{cost: found.median(cost) for cost in MEASURED},
            "runs": [vars(run) for run in found.runs],
        }
        for found in result.cells
    ]


def profiles_table(result: Profiles) -> Table:
    """One line a cell: the share of its seeds at quarters of the greatest score."""
    marks = [share * result.thresholds[-1] for share in (0.25, 0.5, 0.75)]
    columns = [*result.axes, *(f"at least {mark:.1f}" for mark in marks), "seeds"]
    rows = []
    for profile in result.profiles:
        scores = profile.cell.scores
        shares = [f"{int((scores >= mark).sum())}/{len(scores)}" for mark in marks]
        rows.append([*map(str, profile.cell.levels.values()), *shares, str(len(scores))])
    return "Seeds that score at least so many steps", columns, rows


def profiles_records(result: Profiles) -> list[dict]:
    """One record a cell, with every threshold."""
    return [
        {
            **profile.cell.levels,
            "thresholds": result.thresholds.tolist(),
            "shares": profile.shares.tolist(),
            "low": profile.low.tolist(),
            "high": profile.high.tolist(),
        }
        for profile in result.profiles
    ]


def goal_maps_table(result: GoalMaps) -> Table:
    """One line a cell of the study: mean time at goal near and far, and goal cells reached."""
    axes = list(result.maps[0].cell.levels)
    rows = []
    for found in result.maps:
        reached = int((found.success_rate >= 0.5).sum())
        goals = int(np.isfinite(found.success_rate).sum())
        sets = [_mean(found.time_at_goal, where) for where in (~result.far, result.far)]
        rows.append([*map(str, found.cell.levels.values()), *sets, f"{reached}/{goals}"])
    return "Time at goal by goal cell, means", [*axes, "near", "far", "cells reached"], rows


def _mean(values: np.ndarray, where: np.ndarray) -> str:
    known = values[where & np.isfinite(values)]
    return f"{known.mean():.1f}" if len(known) else "-"


def goal_maps_records(result: GoalMaps) -> list[dict]:
    """One record a cell of the study and goal cell."""
    return [
        {
            **found.cell.levels,
            "row": row,
            "column": column,
            "far": bool(result.far[row, column]),
            "time_at_goal": found.time_at_goal[row, column],
            "success_rate": found.success_rate[row, column],
            "seeds": {run: seed[row, column] for run, seed in found.seeds.items()},
        }
        for found in result.maps
        for row, column in np.argwhere(np.isfinite(found.time_at_goal)).tolist()
    ]


def block_norms_table(result: BlockNorms) -> Table:
    """One line a cell and network, at the last evaluation: norms in the first and the last block."""
    rows = []
    for line in result.lines:
        if line.when == WHEN[-1]:
            ends = [line.norms[norm][k] for norm in ("stream_norm", "gradient_norm") for k in (0, -1)]
            blocks = len(line.norms["gradient_norm"])
            levels = map(str, line.cell.levels.values())
            rows.append([*levels, line.network, str(blocks), *(f"{norm:.3g}" for norm in ends)])
    norms = ["stream first", "stream last", "gradient first", "gradient last"]
    return "Norms by block, medians", [*result.axes, "network", "blocks", *norms], rows


def block_norms_records(result: BlockNorms) -> list[dict]:
    """One record a cell, network, time and block: medians over the seeds."""
    return [
        {
            **line.cell.levels,
            "network": line.network,
            "when": line.when,
            "block": block,
            **{norm: float(values[block]) for norm, values in line.norms.items()},
        }
        for line in result.lines
        for block in range(len(line.norms["gradient_norm"]))
    ]


def training_table(result: Training) -> Table:
    """Two lines a cell, its first and its last interval: medians over the seeds, of gradient norms and
    update ratios those of the network that has the largest."""
    groups = [[loss] for loss in LOSSES] + [
        [name + kind for name in NETWORKS] for kind in (GRADIENT, RATIO)
    ]
    rows = []
    for cell, watched in zip(result.cells, result.watched, strict=True):
        traces = {trace.metric: trace for trace in result.traces if trace.cell is cell}
        unstable = f"{len(result.onsets_of(cell))}/{watched}" if watched else "-"
        updates = next(iter(traces.values())).updates
        for at in (0, -1):
            values = [[traces[name].median[at] for name in group if name in traces] for group in groups]
            largest = [max(filter(np.isfinite, group), default=None) for group in values]
            rows.append(
                [*map(str, cell.levels.values()), f"{updates[at]:,}", *map(_told, largest), unstable]
            )
    columns = ["to update", "critic loss", "actor loss", "entropy", "gradient", "ratio", "unstable"]
    return "Training, medians; gradient and ratio: the largest network", [*result.axes, *columns], rows


def _told(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def training_records(result: Training) -> list[dict]:
    """One record a cell and metric, and one an onset."""
    return [
        {
            **trace.cell.levels,
            "metric": trace.metric,
            "updates": trace.updates.tolist(),
            "median": trace.median.tolist(),
            "seeds": {run_id: values.tolist() for run_id, values in trace.seeds.items()},
        }
        for trace in result.traces
    ] + [
        {**found.cell.levels, "run_id": found.run_id, "onset": found.update, "kind": found.kind}
        for found in result.onsets
    ]


def ends_table(results: list[Ends]) -> Table:
    """One line an axis, and on several tasks one for each."""
    rows, tasks = [], any(ends.env for ends in results)
    for ends in results:
        found = ends.difference
        bounds = found.no_interval if found.low is None else f"{found.low:+.1f} to {found.high:+.1f}"
        change = [f"{found.value:+.1f}", bounds, str(ends.pairs)]
        where = [ends.env or ""] * tasks
        rows.append([*where, ends.axis, str(ends.first), str(ends.last), *change])
    columns = [*["env"] * tasks, "axis", "from", "to", "steps", "95 % interval", "pairs"]
    return "Last level minus first", columns, rows


def ends_records(results: list[Ends]) -> list[dict]:
    """One record an axis."""
    return [
        {
            "axis": ends.axis,
            "env": ends.env,
            "first": ends.first,
            "last": ends.last,
            "pairs": ends.pairs,
            "change": ends.difference.value,
            "low": ends.difference.low,
            "high": ends.difference.high,
        }
        for ends in results
    ]
