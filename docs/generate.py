"""Makes docs/columns.md from crlscale/schema.py and crlscale/bench/columns.py, docs/settings.md from
crlscale/config.py and docs/cli.md from --help: `python docs/generate.py`.

With --check it writes nothing and exits 1 if a page is not what it would write.
"""

import os
import sys
from pathlib import Path
from typing import Literal, get_args, get_origin

os.environ["TYPER_USE_RICH"] = "0"  # plain text; read when typer is imported

import typer

from crlscale.bench.columns import FILES
from crlscale.cli.app import app
from crlscale.config import RunConfig
from crlscale.schema import BLOCKS, GOALS, METRICS, SCHEMA_VERSION, Column
from crlscale.survival_fields import SurvivalFields

FOLDER = Path(__file__).parent
WIDTH = 88
BENCH = (
    "Written to the folder `bench` of the results, or to `--out`. The footer (key `crlscale`, JSON) says when,"
    " on which device and with which versions they were measured, and the load of the machine."
)
MADE_BY = "<!-- made by `python docs/generate.py`; edit {source} instead -->\n"


def columns_page() -> str:
    """Every column of every Parquet file."""
    lines = [
        MADE_BY.format(source="crlscale/schema.py and crlscale/bench/columns.py"),
        "# Columns",
        "",
        f"What a run writes, schema {SCHEMA_VERSION}. A metric that was not computed is null, never 0;"
        " NaN is a number that was computed and is none.",
        "The footer of each file (key `crlscale`, JSON) holds the config, the versions and the status"
        " of the run.",
    ]
    for name, meaning, columns in (
        ("metrics.parquet", "One row an evaluation; row 0 is before training.", METRICS),
        ("goals.parquet", "One row an evaluation and goal cell, where a task has cells.", GOALS),
        ("blocks.parquet", "One row an evaluation, network and block of it.", BLOCKS),
    ):
        lines += ["", f"## {name}", "", meaning, "", *_table(columns)]
    lines += ["", "# Columns of the bench", "", BENCH]
    for name, (meaning, columns) in FILES.items():
        lines += ["", f"## {name}.parquet", "", meaning, "", *_table(columns)]
    return "\n".join(lines) + "\n"


def _table(columns: list[Column]) -> list[str]:
    head = ["| Column | Type | Unit | Meaning |", "|---|---|---|---|"]
    return head + [f"| `{c.name}` | {c.dtype} | {c.unit} | {c.meaning} |" for c in columns]


def settings_page() -> str:
    """Every config field."""
    lines = [
        MADE_BY.format(source="crlscale/config.py"),
        "# Settings",
        "",
        "Every field of a run's config: `--set FIELD=VALUE`, an axis (`--axis FIELD=A,B`), a cell or a"
        " setting of a study file (docs/studies.md). Presets, the task and `--protocol` set some of them.",
        "",
        "| Field | Values | Default | Meaning |",
        "|---|---|---|---|",
    ]
    own_first = sorted(
        RunConfig.model_fields.items(), key=lambda f: f[0] in SurvivalFields.model_fields
    )
    for name, field in own_first:
        default = "" if field.is_required() else f"`{_as_typed(field.default)}`"
        lines.append(f"| `{name}` | {_values(field.annotation)} | {default} | {field.description} |")
    return "\n".join(lines) + "\n"


def _as_typed(value) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _values(annotation) -> str:
    """What a field takes: its words, or the kind of its value."""
    parts = get_args(annotation)
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{word}`" for word in parts)
    if parts:
        return ", ".join(_values(part) for part in parts)
    kinds = {bool: "`true`, `false`", int: "whole number", float: "number", str: "text"}
    return kinds.get(annotation, "`null`")


def cli_page() -> str:
    """The help of every command."""
    lines = [MADE_BY.format(source="the commands in crlscale/cli/"), "# Commands"]
    for words, context in walk():
        help_text = "\n".join(line.rstrip() for line in context.get_help().splitlines())
        lines += ["", f"## {words}", "", "```text", help_text.strip(), "```"]
    return "\n".join(lines) + "\n"


def walk(command=None, parent=None, words="crlscale"):
    """Yields (words, context) of the command line's root and of everything below it."""
    command = command or typer.main.get_command(app)
    context = command.context_class(
        command,
        parent=parent,
        info_name=words.rsplit(" ", 1)[-1],
        terminal_width=WIDTH,
        max_content_width=WIDTH,
    )
    yield words, context
    for name, child in getattr(command, "commands", {}).items():
        yield from walk(child, context, f"{words} {name}")


def main(arguments: list[str]) -> int:
    stale = []
    pages = {
        "columns.md": columns_page(),
        "settings.md": settings_page(),
        "cli.md": cli_page(),
    }
    for name, page in pages.items():
        path = FOLDER / name
        if path.exists() and path.read_text() == page:
            continue
        stale.append(f"docs/{name}")
        if "--check" not in arguments:
            path.write_text(page)
    if stale:
        verb = "stale; type `python docs/generate.py`" if "--check" in arguments else "written"
        print(f"{', '.join(stale)}: {verb}", file=sys.stderr)
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
