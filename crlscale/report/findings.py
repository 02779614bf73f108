"""Typed results as tables for a person (title, columns, rows) and as records for a machine."""

from dataclasses import asdict

from crlscale.analysis.critical_depth import CriticalDepth
from crlscale.analysis.learning_curves import LearningCurves
from crlscale.analysis.width_vs_depth import CostComparison, Family, WidthVsDepth
from crlscale.report.records import record
from crlscale.report.table import cell_record, estimate_record, short_number
from crlscale.score import CellScore
from crlscale.stats import CONFIDENCE, INTERVAL_METHOD, POPULATIONS, SIMULATED_COVERAGE, Estimate
from crlscale.study import tasks_of

Table = tuple[str, list[str], list[list[str]]]


def critical_depth_table(result: CriticalDepth) -> Table:
    """One line a depth."""
    config = result.cells[0].config
    held = "".join(f", {axis} {level}" for axis, level in result.fixed.items())
    columns = [result.axis, "IQM", "95 % interval", "seeds", "note"]
    rows = [
        [str(cell.levels[result.axis]), *estimate_cells(cell.estimate), seeds_cell(cell), cell.note]
        for cell in result.cells
    ]
    return f"Time at goal on {config.env}{held}, steps of {config.episode_length}", columns, rows


def critical_depth_record(result: CriticalDepth) -> dict:
    """The whole result, its cells included."""
    return {
        "axis": result.axis,
        "fixed": result.fixed,
        "shape": result.shape,
        "critical_depth": result.depth,
        "low": result.low,
        "high": result.high,
        "bracketed": result.bracketed,
        "rise_doublings": result.rise,
        "score_below": result.below,
        "score_above": result.above,
        "p_value": result.p_value,
        "p_gradual": result.p_gradual,
        "jumps": [
            {
                **{"critical_depth": jump.depth, "low": jump.low, "high": jump.high},
                "size": estimate_record(jump.size),
                "ratio": asdict(jump.ratio),
            }
            for jump in result.jumps
        ],
        "gains": [
            {
                **{"from": gain.depth, "to": gain.following},
                "change": estimate_record(gain.change),
                **{"p_value": gain.p_value, "p_holm": gain.corrected},
            }
            for gain in result.gains
        ],
        "bic": result.bic,
        "fits": result.fits,
        "reason": result.reason,
        "sentence": result.sentence,
        "interval_of_cells": interval_record(),
        "cells": [cell_record(cell) for cell in result.cells],
    }


def interval_record() -> dict:
    """What the interval of a cell is and how often it covers, by seeds and population."""
    return {
        "method": INTERVAL_METHOD,
        "confidence": CONFIDENCE,
        "simulated_coverage": {
            str(seeds): dict(zip(POPULATIONS, shares, strict=True))
            for seeds, shares in SIMULATED_COVERAGE.items()
        },
    }


def learning_curve_table(result: LearningCurves) -> Table:
    """One line a cell: its IQM after a quarter, half and all of the env steps."""
    task = tasks_of(curve.cell.config for curve in result.curves)
    parts = (("25 %", 0.25), ("50 %", 0.5), ("end", 1.0))
    rows = []
    for curve in result.curves:
        line = [str(level) for level in curve.cell.levels.values()]
        for _, share in parts:
            at = max(0, int((curve.env_steps <= share * curve.env_steps[-1]).sum()) - 1)
            line.append(estimate_cells(curve.estimates[at])[0])
        rows.append([*line, seeds_cell(curve.cell), curve.cell.note])
    columns = [*result.axes, *(name for name, _ in parts), "seeds", "note"]
    return f"Time at goal on {task} by share of env steps", columns, rows


def learning_curve_records(result: LearningCurves) -> list[dict]:
    """One record a cell, with every point."""
    return [
        {
            **curve.cell.levels,
            "env_steps": curve.env_steps.tolist(),
            "iqm": [found and found.value for found in curve.estimates],
            "low": [found and found.low for found in curve.estimates],
            "high": [found and found.high for found in curve.estimates],
            "seeds": {run_id: values.tolist() for run_id, values in curve.seeds.items()},
        }
        for curve in result.curves
    ]


def width_vs_depth_tables(result: WidthVsDepth) -> list[Table]:
    """The cells of both families, then one line a cost."""
    config = result.depth.cells[0].config
    columns = ["family", "level", "params", "FLOPs", "hours", "IQM", "95 % interval", "seeds"]
    rows = [
        [family.axis, str(cell.levels[family.axis]), *_costs(result, family, i), *estimate_cells(cell.estimate),
         seeds_cell(cell)]
        for family in (result.depth, result.width)
        for i, cell in enumerate(family.cells)
    ]  # fmt: skip
    verdicts = [
        [c.words, _overlap(c), *estimate_cells(c.difference, "+.1f"), c.verdict]
        for c in result.comparisons
    ]
    return [
        (f"Width against depth on {config.env}, steps of {config.episode_length}", columns, rows),
        (
            "Depth minus width at equal cost",
            ["cost", "compared over", "steps", "95 % interval", "better"],
            verdicts,
        ),
    ]


def width_vs_depth_record(result: WidthVsDepth) -> dict:
    """The families as `rows`, the comparison of each cost, and the sentence."""
    rows = []
    for family in (result.depth, result.width):
        for index, cell in enumerate(family.cells):
            costs = {c.cost: c.costs[family.axis][index] for c in result.comparisons}
            rows.append({"family": family.axis, "study": family.study, **cell_record(cell), **costs})
    return {
        "rows": rows,
        "comparisons": [_comparison_record(comparison) for comparison in result.comparisons],
        "further": [_comparison_record(comparison) for comparison in result.further],
        "exchange": record(result.exchange),
        "fronts": record(result.fronts),
        "sentence": result.sentence,
        "note": result.note,
        "interval_of_cells": interval_record(),
    }


def _comparison_record(comparison: CostComparison) -> dict:
    found = comparison.difference
    return {
        "cost": comparison.cost,
        "unit": comparison.unit,
        "overlap": comparison.overlap,
        "depth_minus_width": found and found.value,
        "low": found and found.low,
        "high": found and found.high,
        "confidence_depth": comparison.confidence,
        "verdict": comparison.verdict,
    }


def estimate_cells(found: Estimate | None, form: str = ".1f") -> list[str]:
    """The value and its interval as text."""
    if found is None:
        return ["-", "no score"]
    if found.low is None:
        return [f"{found.value:{form}}", found.no_interval]
    return [f"{found.value:{form}}", f"{found.low:{form}} to {found.high:{form}}"]


def seeds_cell(cell: CellScore) -> str:
    return f"{len(cell.scored)}/{len(cell.runs)}"


def _costs(result: WidthVsDepth, family: Family, index: int) -> list[str]:
    costs = [comparison.costs[family.axis][index] for comparison in result.comparisons]
    parameters, flops, hours = costs
    return [short_number(parameters), f"{flops:.2e}", "-" if hours is None else f"{hours:.3g}"]


def _overlap(comparison: CostComparison) -> str:
    if comparison.overlap is None:
        return "nothing"
    low, high = comparison.overlap
    if comparison.cost == "hours":
        return f"{low:.3g} to {high:.3g}"
    return f"{short_number(low)} to {short_number(high)}"
