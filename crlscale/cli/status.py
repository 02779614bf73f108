"""`crlscale status`: what has run, what is running, what failed and why."""

from pathlib import Path
from typing import Annotated

import typer

from crlscale.cli.console import DEFAULT_RESULTS, Json, Results, emit_json, print_table, say

WORDS = ("complete", "running", "planned", "stopped", "lost", "diverged", "failed")


def status(
    study: Annotated[str | None, typer.Argument(help="A study; without one all are listed.")] = None,
    results: Results = DEFAULT_RESULTS,
    json: Json = False,
) -> int:
    """All studies, or one study run by run: state, progress, last time at goal, cause of failures.

    Example: crlscale status
    """
    from crlscale.study import find_study

    if study is None:
        _list_studies(results, json)
    else:
        _show_study(find_study(results, study), json)
    return 0


def _list_studies(results: Path, json: bool) -> None:
    from crlscale.store import read_runs
    from crlscale.study import load_study

    records = []
    for folder in sorted(path.parent for path in results.glob("*/study.json")):
        counts = read_runs(folder)["status"].value_counts().to_dict()
        records.append({"study": folder.name, "created": load_study(folder).created, **counts})
    records.sort(key=lambda record: record["created"])
    if json:
        emit_json({"rows": records})
    elif not records:
        say(f"no studies in {results}; next: crlscale sweep depth --preset smoke")
    else:
        used = [word for word in WORDS if any(word in record for record in records)]
        rows = [[r["study"], *(str(r.get(word, 0)) for word in used)] for r in records]
        print_table("", ["study", *used], rows)


def _show_study(folder: Path, json: bool) -> None:
    from crlscale.store import read_runs

    runs = read_runs(folder)
    if json:
        records = runs.astype(object).where(runs.notna(), None).to_dict("records")
        emit_json({"study": folder.name, "rows": records})
        return
    rows = [_row(run) for run in runs.to_dict("records")]
    print_table(folder.name, ["run", "state", "done", "upd/s", "at goal"], rows)
    for run in runs.to_dict("records"):
        if isinstance(run["cause"], str) and run["status"] in ("failed", "diverged"):
            say(f"{run['status']}: {run['run_id']}: {run['cause']}")


def _row(run: dict) -> list[str]:
    done = "-" if _missing(run["env_steps"]) else f"{run['env_steps'] / run['total_env_steps']:.0%}"
    rate, goal = run["updates_per_second"], run["time_at_goal"]
    return [
        run["run_id"],
        run["status"],
        done,
        "-" if _missing(rate) else f"{rate:.0f}",
        "-" if _missing(goal) else f"{goal:.1f}",
    ]


def _missing(value) -> bool:
    import pandas as pd

    return bool(pd.isna(value))
