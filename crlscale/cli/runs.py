"""`crlscale runs`: the runs of a study by name: list them, remove them, have them done again."""

from typing import Annotated

import typer

from crlscale.cli.console import DEFAULT_RESULTS, Json, Results, emit_json, print_table, say

app = typer.Typer(
    no_args_is_help=True,
    help="The runs of a study by name: list, remove, do again.",
    epilog="Example: crlscale runs list depth-chain_8-quick-1a2b3c4d --state failed",
)

StudyName = Annotated[str | None, typer.Argument(help="A study; default: the newest.")]
OfStudy = Annotated[str, typer.Argument(help="Name of the study, or its folder.")]
RunIds = Annotated[list[str] | None, typer.Argument(help="Runs by name; * and ? in quotes.")]
State = Annotated[
    list[str] | None, typer.Option("--state", help="Runs in this state; repeatable, or a,b.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Delete without asking, for scripts.")]


@app.command("list")
def list_runs(
    study: StudyName = None, state: State = None, results: Results = DEFAULT_RESULTS, json: Json = False
) -> int:
    """One line a run: state, progress, last score, attempts, where it runs; then causes of failures, and
    since when training was unstable.

    Example: crlscale runs list --state failed,diverged
    """
    from crlscale.cli.board import cause
    from crlscale.cli.status import overview_data
    from crlscale.removal import choose_runs

    overview = _overview(results, study)
    chosen = list(overview.runs) if state is None else choose_runs(overview, [], _words(state))
    if json:
        data = overview_data(overview)
        rows = [row for row in data["rows"] if row["run_id"] in set(chosen)]
        emit_json({"study": data["study"], "rows": rows})
        return 0
    rows = [_row(run_id, overview.runs[run_id], overview.done(run_id)) for run_id in chosen]
    print_table(overview.study.name, ["run", "state", "done", "at goal", "try", "where"], rows, "run")
    for run_id in chosen:
        failing = ("failed", "damaged", "lost", "diverged")
        status = overview.runs[run_id]["status"]
        if status in failing or run_id in (*overview.patched, *overview.unstable):
            say(f"{status}: {run_id}: {cause(overview.runs[run_id])}")
    return 0


@app.command("rm")
def rm(
    study: OfStudy,
    run_ids: RunIds = None,
    state: State = None,
    yes: Yes = False,
    results: Results = DEFAULT_RESULTS,
    json: Json = False,
) -> int:
    """Delete all files of runs, logs too, after naming them. The study's plan stays: the next sweep
    runs them anew. A run that somebody is running is refused.

    Example: crlscale runs rm depth-chain_8-quick-1a2b3c4d 'chain_8-d64-*'
    """
    from crlscale.errors import CrlscaleError

    if not run_ids and not state:
        raise CrlscaleError(
            "which runs? None is named", remedy=f"crlscale runs rm {study} RUN..., or --state failed"
        )
    return _remove(results, study, run_ids or [], _words(state or []), yes, json, keep_logs=False)


@app.command("redo")
def redo(
    study: OfStudy,
    run_ids: RunIds = None,
    state: State = None,
    yes: Yes = False,
    results: Results = DEFAULT_RESULTS,
    json: Json = False,
) -> int:
    """Delete what runs measured, after naming them, so that the next sweep does them again from the
    start; their logs stay. Without a name: the runs that failed, diverged or are damaged.

    Example: crlscale runs redo depth-chain_8-quick-1a2b3c4d --state diverged
    """
    states = _words(state or []) if run_ids or state else ["failed", "diverged", "damaged"]
    return _remove(results, study, run_ids or [], states, yes, json, keep_logs=True)


def _remove(results, study: str, patterns, states, yes: bool, json: bool, keep_logs: bool) -> int:
    from crlscale.cli.words import size
    from crlscale.removal import choose_runs, plan_removal, remove

    overview = _overview(results, study)
    chosen = choose_runs(overview, patterns, states)
    removals = plan_removal(overview, chosen, keep_logs)
    files = sum(len(removal.files) for removal in removals)
    for removal in removals:
        say(f"{removal.state}: {removal.run_id}: {len(removal.files)} files, {size(removal.size)}")
    asked = bool(removals)
    what = f"{len(removals)} run{'s' * (len(removals) != 1)} ({files} files)"
    if asked and not yes:
        asked = _confirm(f"delete {what} of {overview.study.name}?", json)
    if asked:
        remove(removals)
    deleted = removals if asked else []
    if json:
        rows = [
            {
                "run_id": removal.run_id,
                "status": removal.state,
                "files": [str(path.relative_to(overview.folder)) for path in removal.files],
                "bytes": removal.size,
            }
            for removal in deleted
        ]
        emit_json({"study": overview.study.name, "rows": rows})
    if not asked:
        say("nothing was deleted" if removals else "nothing to delete: no such run has a file")
    else:
        say(f"deleted {what}; next: the sweep that planned them runs them again from the start")
    return 0


def _confirm(question: str, json: bool) -> bool:
    """The answer of a person; without one to ask it is refused."""
    import sys

    from crlscale.errors import CrlscaleError

    if json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise CrlscaleError(
            f"{question} Nobody can be asked here; nothing was deleted", remedy="the same with --yes"
        )
    return typer.confirm(question, err=True)


def _overview(results, study: str | None):
    from crlscale.overview import Overview
    from crlscale.study import find_study

    overview = Overview(find_study(results, study))
    overview.look()
    return overview


def _words(texts: list[str]) -> list[str]:
    return [word for text in texts for word in text.split(",") if word]


def _row(run_id: str, status: dict, done: float) -> list[str]:
    goal = status.get("time_at_goal")
    keys = ("launcher", "job") if status.get("job") else ("launcher", "host")
    where = " ".join(str(status[key]) for key in keys if status.get(key))
    return [
        run_id,
        status["status"],
        "-" if status["status"] == "planned" else f"{done:.0%}",
        "-" if goal is None else f"{goal:.1f}",
        str(status.get("attempts") or "-"),
        where or "-",
    ]
