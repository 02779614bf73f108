"""`crlscale sweep depth --find critical`: what a search asks, finds and costs, for a person."""

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from crlscale.cli.console import DEFAULT_RESULTS, emit_json, print_table, say

Find = Annotated[
    str | None, typer.Option(help="critical: run only what brackets the jump, by bisection.")
]
MaxRuns = Annotated[int | None, typer.Option(help="End of --find: runs in all.")]
MaxHours = Annotated[float | None, typer.Option(help="End of --find: hours in all.")]


def asked_budget(find: str | None, max_runs: int | None, max_hours: float | None):
    """The crlscale.adaptive.Budget of a search, None where none is asked for."""
    from crlscale.adaptive import Budget
    from crlscale.errors import CrlscaleError

    if find not in (None, "critical"):
        raise CrlscaleError(
            f"--find {find}: a search finds `critical`", value=find, remedy="--find critical"
        )
    if find is None:
        for flag, value in (("--max-runs", max_runs), ("--max-hours", max_hours)):
            if value is not None:
                raise CrlscaleError(
                    f"{flag} ends a search, and none is asked for",
                    value=value,
                    remedy=f"--find critical {flag} {value:g}",
                )
        return None
    return Budget(max_runs, max_hours)


def refuse_search(study, budget) -> None:
    """Refuse, before anything is written, a search that cannot be."""
    from crlscale.adaptive import check_search

    if budget is not None:
        check_search(study, budget)


def search_data(study, budget) -> dict:
    """What a search of `study` runs at first and at most, for its plan."""
    from crlscale.search import decide

    levels = [level for (level,) in study.cells]
    asked = decide(sorted(levels), {}, study.seeds).ask
    depths = sorted({sorted(levels)[level] for level, _ in asked})
    grid = len(study.configs)
    most = grid if budget.max_runs is None else min(grid, budget.max_runs)
    return {
        **{"find": "critical", "first_round_runs": len(asked), "first_round_depths": depths},
        **{"most_runs": most, "max_hours": budget.max_hours, "full_grid_runs": grid},
    }


def search_words(data: dict) -> str:
    """The same in a sentence."""
    depths = ", ".join(map(str, data["first_round_depths"]))
    ends = f"at most {data['most_runs']} of the {data['full_grid_runs']} runs above"
    if data["max_hours"] is not None:
        ends += f", no new round after {data['max_hours']:g} h"
    return (
        f"--find critical runs only what brackets the jump: {data['first_round_runs']} runs at depths"
        f" {depths} first, {ends}. The totals above are those of the whole grid."
    )


def run_search(folder: Path, study, launch: Callable[[list[str]], int], budget, json: bool) -> int:
    """Search, then show where the jump lies and what it cost; returns the exit code."""
    from crlscale.adaptive import search_study

    result = search_study(folder, study, launch, budget, say)
    record = result.record
    if json:
        emit_json({"folder": str(folder), "exit_code": result.code, **record})
    elif record["outcome"]:
        _show(folder, record)
    if record["outcome"] is None:
        say("stopped; what was decided and measured is saved. The same command goes on from there")
        return result.code
    where = "" if folder.parent == DEFAULT_RESULTS else f" --results {folder.parent}"
    if result.code:
        say(f"some runs failed: crlscale status {study.name}{where} tells why")
    say(
        f"every decision is in {folder}/search.json; next: crlscale plot learning-curves {study.name}{where}"
    )
    return result.code


def _show(folder: Path, record: dict) -> None:
    from crlscale.cli.scores import read_scores
    from crlscale.report.table import study_table

    columns, rows, _ = study_table(read_scores(folder))
    print_table(f"{record['study']}: time at goal", columns, rows)
    print(textwrap.fill(record["sentence"], 80))
