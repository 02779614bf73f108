"""All Parquet files of a study as one Arrow table, through a cache that may vanish at any time.

`<study>/.cache/<name>` holds the table of the last reading; its footer says which rows came
from which file. A file is known by its size, time of change and inode: only files that differ
are read again. A cache that cannot be read or written is as good as none. Damaged files are left out
and change nothing for the others; `store.read_runs` names them.
"""

import contextlib
import os
from pathlib import Path

from crlscale import parquet
from crlscale.errors import CrlscaleError
from crlscale.files import Damaged, replace_file
from crlscale.schema import Column

Mark = list[int]  # size [bytes], time of change [ns], inode


def gather(folder: Path, name: str, columns: list[Column]):
    """Arrow table of runs/*/`name`, in order of the run ids. First `columns`, then those that
    only some files have; null where a file lacks one."""
    import pyarrow as pa

    marks = _marks(folder, name)
    cache = folder / ".cache" / name
    known, table = _read_cache(cache, columns)
    if table is not None and {run: mark for run, (mark, _) in known.items()} == marks:
        return table
    slices = _slices(known, table) if known.keys() <= marks.keys() else {}
    tables = {}
    for run, mark in marks.items():
        if run in slices and known[run][0] == mark:
            tables[run] = slices[run]
        else:
            with contextlib.suppress(Damaged):
                tables[run] = parquet.read_table(folder / "runs" / run / name)[0]
    empty = parquet.arrow_schema(columns).empty_table()
    table = pa.concat_tables([empty, *tables.values()], promote_options="permissive").combine_chunks()
    rows = {run: [marks[run], len(part)] for run, part in tables.items()}
    with contextlib.suppress(CrlscaleError):  # a folder that may only be read
        replace_file(cache, parquet.table_to_bytes(table, {"rows": rows}, compression="none"))
    return table


def _marks(folder: Path, name: str) -> dict[str, Mark]:
    """Run id -> mark of its file `name`, for the runs that have one; sorted by run id."""
    marks = {}
    with contextlib.suppress(FileNotFoundError):
        for run in sorted(os.listdir(folder / "runs")):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                stat = os.stat(folder / "runs" / run / name)
                marks[run] = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
    return marks


def _read_cache(cache: Path, columns: list[Column]) -> tuple[dict[str, tuple[Mark, int]], object]:
    """(run id -> (mark, number of rows), table) of the last reading, ({}, None) without one or where
    that was for other `columns`, by another version."""
    try:
        table, footer = parquet.read_table(cache)
        known = {run: (mark, int(rows)) for run, (mark, rows) in footer["rows"].items()}
        fits = sum(rows for _, rows in known.values()) == len(table)
        fits &= table.column_names[: len(columns)] == [column.name for column in columns]
    except (CrlscaleError, AttributeError, KeyError, TypeError, ValueError):
        return {}, None
    return (known, table) if fits else ({}, None)


def _slices(known: dict[str, tuple[Mark, int]], table) -> dict:
    slices, start = {}, 0
    for run, (_, rows) in known.items():
        slices[run] = table.slice(start, rows)
        start += rows
    return slices
