"""`crlscale status`: what has run, what is running, what failed and why."""

from pathlib import Path
from typing import Annotated

import typer

from crlscale.cli.console import DEFAULT_RESULTS, Json, Results, emit_json, print_table, say

WATCH_SECONDS = 2.0


def status(
    study: Annotated[str | None, typer.Argument(help="A study; without one all are listed.")] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Redraw until the study has ended; Ctrl-C leaves.")
    ] = False,
    every: Annotated[
        float, typer.Option("--every", help="Seconds between two looks of --watch.", min=0.2)
    ] = WATCH_SECONDS,
    results: Results = DEFAULT_RESULTS,
    json: Json = False,
) -> int:
    """All studies, or one cell by cell: a letter a seed, progress, scores, time left, failures with
    their cause. It only reads, so it works from any machine that sees the folder.

    Example: crlscale status --watch
    """
    from crlscale.study import find_study

    if watch:
        _watch(find_study(results, study), every, json)
    elif study is None:
        _list_studies(results, json)
    else:
        _show_study(find_study(results, study), json)
    return 0


def _list_studies(results: Path, json: bool) -> None:
    from crlscale.errors import CrlscaleError
    from crlscale.overview import STATES, Overview

    records, unreadable = [], []
    for folder in sorted(path.parent for path in results.glob("*/study.json")):
        try:
            overview = Overview(folder)
        except CrlscaleError as damaged:
            unreadable.append({"study": folder.name, "error": str(damaged)})
            continue
        overview.look()
        records.append({"study": folder.name, "created": overview.study.created, **overview.counts})
    records.sort(key=lambda record: record["created"])
    if json:
        emit_json({"rows": records, "unreadable": unreadable})
        return
    if records:
        used = [word for word in reversed(STATES) if any(word in record for record in records)]
        rows = [[r["study"], *(str(r.get(word, 0)) for word in used)] for r in records]
        print_table("", ["study", *used], rows)
    elif not unreadable:
        say(f"no studies in {results}; next: crlscale sweep depth --preset smoke")
    for record in unreadable:
        say(f"unreadable: {record['error']}")


def _show_study(folder: Path, json: bool) -> None:
    from crlscale.overview import Overview

    overview = Overview(folder)
    overview.look()
    if json:
        emit_json(overview_data(overview))
        return
    from rich.console import Console

    from crlscale.cli.board import Screen, board

    console = Console(highlight=False)
    console.print(board(overview, Screen(console.width)))


def overview_data(overview) -> dict:
    """One study for machines: totals, cells, and `rows`, one a run; what is missing is null."""
    from crlscale.store import STATUS_FIELDS

    study = overview.study
    rows = [
        {
            "run_id": run_id,
            **study.configs[run_id].model_dump(),
            **{field: status.get(field) for field in (*STATUS_FIELDS, "heartbeat", "seconds_left")},
            "done": overview.done(run_id),
        }
        for run_id, status in overview.runs.items()
    ]
    cells = [
        {
            **dict(zip(study.axes, cell.levels, strict=True)),
            "run_ids": cell.run_ids,
            "states": cell.states,
            "done": cell.done,
            "time_at_goal": cell.time_at_goal,
            "updates_per_second": cell.updates_per_second,
            "seconds_left": cell.seconds_left,
        }
        for cell in overview.cells
    ]
    left = overview.seconds_left
    return {
        "study": study.name,
        "looked": overview.looked,
        "counts": overview.counts,
        "done": overview.share_done,
        "seconds_left": left,
        "predicted_end": None if left is None else overview.looked + left,
        "cells": cells,
        "rows": rows,
    }


def _watch(folder: Path, every: float, json: bool) -> None:
    """Redraw the study on a terminal until every run of it has ended."""
    import time

    from rich.console import Console
    from rich.live import Live

    from crlscale.cli.board import Screen, board
    from crlscale.errors import CrlscaleError
    from crlscale.overview import Overview

    console = Console(highlight=False)
    if json or not console.is_terminal:
        raise CrlscaleError(
            "--watch draws on a terminal" + (", not as JSON" if json else ", and stdout is none"),
            value="--watch",
            remedy=f"crlscale status {folder.name} --json, as often as you like",
        )
    overview = Overview(folder)
    with Live(console=console, auto_refresh=False, screen=True) as live:
        while True:
            overview.look()
            live.update(board(overview, Screen(console.width, console.height)), refresh=True)
            if not overview.counts.keys() - {"complete", "diverged", "failed"}:
                break
            time.sleep(every)
    _show_study(folder, json)
