"""Runs what a sweep asks for: plan, register, launch, table, what to type next."""

import textwrap
from functools import partial
from pathlib import Path

from crlscale.cli.console import DEFAULT_RESULTS, emit_json, print_table, say
from crlscale.cli.launch_options import say_what_goes_on
from crlscale.cli.search import refuse_search, run_search, search_data, search_words
from crlscale.cli.study_options import asked_study


def run_sweep(
    plan: dict,
    asked: dict,
    how,
    *,
    tracker: list[str],
    dry_run: bool,
    device: str | None,
    results: Path,
    json: bool,
) -> int:
    """Plan, register, run and show; returns the exit code."""
    from crlscale.cli.plan import plan_data, print_plan
    from crlscale.errors import CrlscaleError
    from crlscale.study import find_planned, register_study
    from crlscale.trackers import choose_trackers

    search = plan.pop("search", None)
    choose_trackers(tracker)
    if device is not None and not dry_run:
        raise CrlscaleError(
            f"--device {device} predicts; it does not run", value=device, remedy="with --dry-run"
        )
    if search is not None and not how.wait:
        raise CrlscaleError(
            "a search waits for its runs", value="--no-wait", remedy="without --no-wait"
        )
    study = find_planned(results, asked_study(plan, **asked))
    refuse_search(study, search)
    data = plan_data(study, results / study.name, how, device)
    if search is not None:
        data["search"] = search_data(study, search)
    if not json:
        print_plan(study, data)
        if search is not None:
            print(textwrap.fill(search_words(data["search"]), 80))
    if dry_run:
        if json:
            emit_json(data)
        return 0
    folder, study = register_study(results, study)
    code = 0
    unfinished = _say_finished_share(study, folder)
    launch = partial(_launch, folder, study, how, data["jobs"])
    if search is not None:
        return run_search(folder, study, launch, search, json)
    if unfinished:
        code = launch()
    else:
        say("nothing to run: the study is finished")
    _show(folder, study, how, code, unfinished > 0, json)
    return code


def _say_finished_share(study, folder: Path) -> int:
    """Tell how much of the study is there already; returns how many runs are not."""
    from crlscale.record import FINISHED, read_status

    done = sum(read_status(folder / "runs" / i)["status"] in FINISHED for i in study.configs)
    if done:
        say(f"{done} of {len(study.configs)} runs have finished already in {folder}")
    return len(study.configs) - done


def _launch(folder: Path, study, how, jobs: int, run_ids: list[str] | None = None) -> int:
    from crlscale.cli.progress import show_progress
    from crlscale.launch.launchers import launch

    with show_progress(study, jobs) as report:
        return launch(folder, study, how, report, run_ids)


def _show(folder: Path, study, how, code: int, ran: bool, json: bool) -> None:
    """The table of the study as far as it is, its figure if it has just been finished, and what to
    type next."""
    from crlscale.cli.scores import read_scores
    from crlscale.report.table import study_table

    scores = read_scores(folder)
    columns, rows, records = study_table(scores)
    draw = ran and code == 0 and how.wait and "depth" in study.axes
    sentences, files = _draw(folder, scores) if draw else ([], [])
    if json:
        data = {"study": study.name, "folder": str(folder), "exit_code": code, "rows": records}
        emit_json({**data, "files": files})
    else:
        print_table(f"{study.name}: time at goal", columns, rows)
        for text in [*sentences, *files]:
            print(textwrap.fill(str(text), 80, break_long_words=False, break_on_hyphens=False))
    where = "" if folder.parent == DEFAULT_RESULTS else f" --results {folder.parent}"
    damaged = sum(run.status == "damaged" for cell in scores.cells for run in cell.runs)
    if damaged:
        say(f"{damaged} damaged, left out here: crlscale runs redo {study.name}{where}")
    if ran and say_what_goes_on(how, study.name, where, code):
        return
    if code in (75, 130):
        say("stopped; what was measured is saved. The same command again goes on from there")
    elif code:
        say(
            f"some runs failed: crlscale status {study.name}{where} tells why;"
            " the same command tries them again"
        )
    if not code:
        plot = (
            "critical-depth" if list(study.axes) == ["depth"] and not sentences else "learning-curves"
        )
        say(f"next: crlscale plot {plot} {study.name}{where}")


def _draw(folder: Path, scores) -> tuple[tuple[str, ...], list[Path]]:
    """What a study with a depth axis found, and the files of its figures: method by method where several
    were trained at the same depths, else the critical depth."""
    from crlscale.cli.plot import draw
    from crlscale.report.finding import Loaded
    from crlscale.report.kinds import KINDS

    loaded = Loaded(folder, scores)
    kind = "methods" if KINDS["methods"].applies(loaded) else "critical-depth"
    found = KINDS[kind].find(loaded)
    return found.sentences, draw(found, folder / "figures")
