"""One Parquet file: rows of crlscale.schema to bytes, bytes to an Arrow table and its footer.

pyarrow is imported inside the functions, so that the command line starts quickly.
"""

import json
import math
import operator
import os
from pathlib import Path

from crlscale.errors import CrlscaleError
from crlscale.files import damaged, read_bytes
from crlscale.schema import SCHEMA_VERSION, Column

FOOTER_KEY = b"crlscale"


# --- rows -> bytes -----------------------------------------------------------------------
def rows_to_table(columns: list[Column], rows: list[dict]):
    """An Arrow table of exactly `columns`. An absent key is null, NaN stays NaN; an unknown key
    is a ValueError, a value of another type a TypeError."""
    import pyarrow as pa

    names = {column.name for column in columns}
    for row in rows:
        if unknown := row.keys() - names:
            raise ValueError(f"no such column in crlscale.schema: {', '.join(sorted(unknown))}")
    arrays = [
        pa.array([_cell(column, row.get(column.name)) for row in rows], type=column.dtype)
        for column in columns
    ]
    return pa.table(arrays, schema=arrow_schema(columns))


def arrow_schema(columns: list[Column]):
    import pyarrow as pa

    return pa.schema([(column.name, column.dtype) for column in columns])


def table_to_bytes(table, footer: dict, compression: str = "zstd") -> bytes:
    """`table` as a Parquet file: `footer` and the schema version in its metadata, a checksum
    a page, no pickled or executable part."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = json.dumps(finite({**footer, "schema_version": SCHEMA_VERSION}), allow_nan=False)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        table.schema,
        compression=compression,
        use_dictionary=[field.name for field in table.schema if field.type == pa.string()],
        write_statistics=False,
        store_schema=False,
        write_page_checksum=True,
    ) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({FOOTER_KEY: text})
    return sink.getvalue().to_pybytes()


def finite(value):
    """`value` with its non-finite numbers as None: JSON knows finite numbers only."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _cell(column: Column, value):
    """`value` as the column's type, exactly: no 1.5 or True in an int column, no text as a number."""
    if value is None:
        return None
    is_bool = isinstance(value, bool) or str(getattr(value, "dtype", "")) == "bool"
    if column.dtype == "int64" and not is_bool and hasattr(value, "__index__"):
        return operator.index(value)
    if column.dtype == "float64" and not is_bool and hasattr(value, "__float__"):
        return float(value)
    if column.dtype == "bool" and is_bool:
        return bool(value)
    if column.dtype == "string" and isinstance(value, str):
        return value
    raise TypeError(f"column {column.name} ({column.dtype}) refuses {value!r}")


# --- bytes -> table ----------------------------------------------------------------------
def read_table(path: Path) -> tuple:
    """(Arrow table, footer) of a file. One that is cut short, damaged, of a newer schema or not
    of crlscale is a CrlscaleError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = read_bytes(path)
    try:
        with pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True) as file:
            footer = _footer(path, file.metadata.metadata)
            table = file.read(use_threads=False)
    except (pa.ArrowException, OSError, ValueError, RecursionError):
        raise damaged(path, "cut short or damaged") from None
    return table.replace_schema_metadata(None), footer


def looks_whole(path: Path) -> bool:
    """Whether a file begins and ends as a Parquet file does, which one that was cut short does not;
    reads 8 bytes. A file that is not there lacks nothing."""
    try:
        with open(path, "rb") as file:
            first = file.read(4)
            file.seek(-4, os.SEEK_END)
            return first == file.read(4) == b"PAR1"
    except FileNotFoundError:
        return True
    except OSError:
        return False


def refuse_newer(path: Path, schema_version: object, newest: int = SCHEMA_VERSION) -> None:
    """A CrlscaleError if the file at `path` was written by a later schema than `newest`."""
    if not isinstance(schema_version, int):
        raise damaged(path, "damaged (no schema version)")
    if schema_version > newest:
        raise CrlscaleError(
            f"{path} has schema {schema_version}, this crlscale reads up to {newest}",
            value=str(path),
            remedy="a newer crlscale",
        )


def _footer(path: Path, metadata: dict[bytes, bytes] | None) -> dict:
    text = (metadata or {}).get(FOOTER_KEY)
    if text is None:
        raise damaged(path, "not written by crlscale")
    footer = json.loads(text)
    refuse_newer(path, footer.get("schema_version"))
    return footer
