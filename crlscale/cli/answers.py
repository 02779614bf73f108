"""How `analyze` and `compare` answer: tables, a sentence, the runs that did not end well; or one object."""

import textwrap
from pathlib import Path

from crlscale.cli.console import DEFAULT_RESULTS, emit_json, print_table, say


def answer(scores, found: list, tables, json: bool, to_record=None) -> None:
    """Print each result: as one object, or its tables, its sentence, and the runs that did not end well."""
    from crlscale.report.records import record
    from crlscale.score import DIVERGED_RULES

    if json:
        rows = [(to_record or record)(result) for result in found]
        listed = [{"run_id": run_id, "status": status} for run_id, status in scores.listed]
        emit_json(
            {"study": scores.study.name, "rows": rows, "diverged": scores.diverged, "listed": listed}
        )
        return
    print_results(found, tables)
    print_listed(scores.listed, DIVERGED_RULES[scores.diverged])


def print_results(found: list, tables) -> None:
    """The tables of each result, then its sentence."""
    for result in found:
        for table in tables(result):
            print_table(*table)
        print(textwrap.fill(result.sentence, 80))


def print_listed(listed: tuple, rule: str) -> None:
    """Every run that is not complete, with the rule for those that diverged."""
    if listed:
        print(f"{len(listed)} not complete ({rule}):")
    for run_id, status in listed:
        print(f"  {run_id}: {status}")


def say_next(command: str, results: Path, json: bool) -> None:
    """What to type next, on stderr."""
    if not json:
        say(f"next: {command}" + ("" if results == DEFAULT_RESULTS else f" --results {results}"))
