"""What every command says and how: data to stdout, messages to stderr, JSON for machines."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from crlscale.errors import CrlscaleError
from crlscale.files import OTHER_RESULTS, Unwritable

OUTPUT_SCHEMA = 1

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, for machines.")]
Results = Annotated[
    Path, typer.Option("--results", envvar="CRLSCALE_RESULTS", help="Folder that holds the studies.")
]
DEFAULT_RESULTS = Path("results")


def emit_json(data: dict) -> None:
    """Print one JSON object; non-finite numbers become null, as JSON has none."""
    print(json.dumps({"schema": OUTPUT_SCHEMA, **_finite(data)}, default=str))


def say(message: str) -> None:
    """One message to stderr."""
    print(message, file=sys.stderr)


@contextmanager
def writing_out(what: str = "FOLDER") -> Iterator[None]:
    """Around the writing of what --out names (or of figures where it is left out): a place that
    refuses is not the fault of --results."""
    try:
        yield
    except Unwritable as refused:
        if refused.remedy == OTHER_RESULTS:
            refused.remedy = f"--out {what} that you may write"
        raise


def print_table(title: str, columns: list[str], rows: list[list[str]], whole: str = "") -> None:
    """A table on stdout; words left, numbers right, at most as wide as the terminal. The column
    `whole` is never folded, so that what stands there can be copied."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        numeric = all(_is_number(row[index]) for row in rows) and bool(rows)
        table.add_column(
            column, justify="right" if numeric else "left", overflow="fold", no_wrap=column == whole
        )
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def report_error(error: CrlscaleError, as_json: bool) -> None:
    """The one place where an error becomes text."""
    if as_json:
        data = {"error": error.message, "value": error.value, "try": error.remedy}
        print(json.dumps(_finite(data), default=str), file=sys.stderr)
        return
    from rich.console import Console

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print("error: ", style="bold red", end="")
    console.print(str(error), markup=False)


def _is_number(text: str) -> bool:
    return text.strip()[:1] in set("0123456789-+.") if text.strip() else True


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
