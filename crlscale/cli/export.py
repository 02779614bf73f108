"""`crlscale export`: tables of a study for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from crlscale.cli.console import DEFAULT_RESULTS, Json, Results, emit_json, say, writing_out


def export(
    study: Annotated[str, typer.Argument(help="Name of the study, or its folder.")],
    out: Annotated[Path, typer.Option("--out", help="File to write: .csv, .parquet or .json.")],
    what: Annotated[
        str, typer.Option("--what", help="metrics, goals, blocks, runs or scores.")
    ] = "metrics",
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    results: Results = DEFAULT_RESULTS,
    json: Json = False,
) -> int:
    """Write a table of a study to one file: the rows of all its runs with their axes, or one row a
    run with its state or score. docs/columns.md tells the columns.

    Example: crlscale export depth-chain_8-quick-1a2b3c4d --out metrics.csv
    """
    from crlscale.export import MEASURED, TABLES, damaged_runs, export_table, write_table
    from crlscale.study import find_study

    folder = find_study(results, study)
    table = export_table(folder, what)
    with writing_out("FILE"):
        write_table(table, out, force)
    if json:
        data = {"study": folder.name, "what": what, "file": str(out), "rows": table.num_rows}
        emit_json({**data, "columns": table.column_names})
        return 0
    print(out)
    if what in MEASURED and (lost := damaged_runs(folder)):
        say(f"warning: damaged, left out: {', '.join(lost)}")
    say(f"{what}, {TABLES[what]}: {table.num_rows:,} rows of {table.num_columns} columns")
    say(", ".join(table.column_names))
    return 0
