"""The result table of a study: one line a cell, at most 80 columns wide.

`of N` is the score in steps of an episode of N, `steps` where episodes differ; `95 %` is its
interval."""

from crlscale.cost import actor_parameters, critic_parameters
from crlscale.score import CellScore, StudyScores
from crlscale.stats import Estimate

SHORT = {"batch_size": "batch", "actor_depth": "actor", "critic_depth": "critic"}


def study_table(scores: StudyScores) -> tuple[list[str], list[list[str]], list[dict]]:
    """Column names, rows of text, and the same cells as records for machines."""
    axes = [SHORT.get(axis, axis) for axis in scores.study.axes]
    lengths = {cell.config.episode_length for cell in scores.cells}
    score = f"of {lengths.pop()}" if len(lengths) == 1 else "steps"
    columns = [*axes, "params", "seeds", score, "95 %", "upd/s", "hours", "note"]
    records = [cell_record(cell) for cell in scores.cells]
    return (
        columns,
        [_row(cell, record) for cell, record in zip(scores.cells, records, strict=True)],
        records,
    )


def estimate_record(found: Estimate | None) -> dict | None:
    """Value, ends of the 95 % interval, and why there is none."""
    if found is None:
        return None
    return {key: getattr(found, key) for key in ("value", "low", "high", "seeds", "no_interval")}


def cell_record(cell: CellScore) -> dict:
    """Everything the table shows of a cell, unrounded; None where nothing was measured."""
    found = cell.estimate
    return {
        **cell.levels,
        "parameters": actor_parameters(cell.config) + critic_parameters(cell.config),
        "seeds_planned": len(cell.runs),
        "seeds_scored": len(cell.scored),
        "seeds_diverged": sum(run.status == "diverged" for run in cell.runs),
        "statuses": [run.status for run in cell.runs],
        "scores": [run.score for run in cell.runs],
        "score": found.value if found else None,
        "low": found.low if found else None,
        "high": found.high if found else None,
        "no_interval": found.no_interval if found else "no finished run",
        "updates_per_second": cell.updates_per_second,
        "hours": cell.hours,
        "note": cell.note,
    }


def _row(cell: CellScore, record: dict) -> list[str]:
    interval = "-"
    if record["low"] is not None:
        interval = f"{_three(record['low'])}-{_three(record['high'])}"
    return [
        *(str(level) for level in cell.levels.values()),
        short_number(record["parameters"]),
        f"{record['seeds_scored']}/{record['seeds_planned']}",
        _three(record["score"]),
        interval,
        _three(record["updates_per_second"]),
        _hours(record["hours"]),
        record["note"],
    ]


def _three(number: float | None) -> str:
    """About three digits; "-" for what was not measured."""
    if number is None:
        return "-"
    return f"{number:.1f}" if abs(number) < 99.95 else f"{number:.0f}"


def _hours(hours: float | None) -> str:
    if hours is not None and hours < 0.01:
        return f"{hours:.1g}"
    return f"{hours:.2f}" if hours is not None and hours < 10 else _three(hours)


def short_number(number: float) -> str:
    """A count in at most five characters: 950, 12.3k, 4.56M, 1.2G, 3.4T, ..."""
    units = ["", "k", "M", "G", "T", "P"]
    while number >= 999.5 and len(units) > 1:
        number /= 1000
        units.pop(0)
    return f"{number:.3g}{units[0]}"
