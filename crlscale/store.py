"""The results folder: every file is replaced whole in one step, and read back as rows or frames.

A study is `<results>/<study>/study.json` and `runs/<run_id>/{status.json, metrics.parquet,
goals.parquet, blocks.parquet}`. A reader sees the old file or the new one, never a part of one. pandas and
pyarrow are imported inside the functions, so that the command line starts quickly.
"""

import contextlib
import json
import os
import time
from pathlib import Path

from crlscale import parquet
from crlscale.errors import CrlscaleError
from crlscale.files import Damaged, damaged, read_bytes, replace_file
from crlscale.gather import gather
from crlscale.schema import BLOCKS, GOALS, METRICS

LOST_AFTER_SECONDS = 60.0

STATUS_SCHEMA = 1
FINISHED = ("complete", "diverged")

# what status.json reports, and the dtype of its column in `read_runs`; times are unix seconds
STATUS_FIELDS = {
    "status": "object",
    "cause": "object",
    "started": "float64",
    "ended": "float64",
    "env_steps": "Int64",
    "gradient_steps": "Int64",
    "total_env_steps": "Int64",
    "updates_per_second": "float64",
    "time_at_goal": "float64",
    "instability": "object",
    "peak_memory_bytes": "Int64",
    "host": "object",
    "pid": "Int64",
    "attempts": "Int64",
    "launcher": "object",
    "job": "object",
    "kind": "object",
    "code_version": "object",
}
_TYPES = {"object": str, "float64": (int, float), "Int64": int}
_CHECKED = {
    field: _TYPES[dtype]
    for field, dtype in {**STATUS_FIELDS, "heartbeat": "float64", "seconds_left": "float64"}.items()
}


# --- JSON --------------------------------------------------------------------------------
def read_json(path: Path) -> dict:
    """The JSON object in `path`; a missing, unreadable or damaged file is a CrlscaleError."""
    content = read_bytes(path)
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as broken:
        raise damaged(path, f"damaged ({broken})") from None
    if not isinstance(data, dict):
        raise damaged(path, "damaged (no JSON object)")
    return data


def write_json(path: Path, data: dict) -> None:
    """Replace `path` by `data` in one step; makes its folder. Non-finite numbers become null."""
    text = json.dumps(parquet.finite(data), indent=1, allow_nan=False)
    replace_file(path, text.encode() + b"\n")


# --- one run -----------------------------------------------------------------------------
def write_metrics(run_folder: Path, rows: list[dict], meta: dict) -> None:
    """Replace metrics.parquet by `rows`: all evaluations of the run so far, keyed by column.

    A key that is absent from a row is null, NaN stays NaN; an unknown key is a ValueError, a
    value of another type a TypeError. `meta` (run_id, study, config, code_version, versions,
    device, status, ...; plain JSON) goes into the footer."""
    table = parquet.rows_to_table(METRICS, rows)
    replace_file(Path(run_folder) / "metrics.parquet", parquet.table_to_bytes(table, meta))


def write_goals(run_folder: Path, rows: list[dict], meta: dict) -> None:
    """Replace goals.parquet by `rows`, one a goal cell and evaluation; else as `write_metrics`."""
    table = parquet.rows_to_table(GOALS, rows)
    replace_file(Path(run_folder) / "goals.parquet", parquet.table_to_bytes(table, meta))


def read_run_metrics(run_folder: Path) -> list[dict]:
    """The rows of a run's metrics.parquet, null as None; [] while there is no such file."""
    return _read_rows(Path(run_folder) / "metrics.parquet")


def read_run_goals(run_folder: Path) -> list[dict]:
    """The rows of a run's goals.parquet, null as None; [] while there is no such file."""
    return _read_rows(Path(run_folder) / "goals.parquet")


def blocks_table(rows: list[dict]):
    """Rows of blocks.parquet, one a network and block, as an Arrow table; refuses as `write_metrics`."""
    return parquet.rows_to_table(BLOCKS, rows)


def write_blocks(run_folder: Path, tables: list, meta: dict) -> None:
    """Replace blocks.parquet by `tables`, one an evaluation, made by `blocks_table`: of a thousand
    layers there are too many rows to check all of them anew at each evaluation."""
    import pyarrow as pa

    content = parquet.table_to_bytes(pa.concat_tables(tables), meta)
    replace_file(Path(run_folder) / "blocks.parquet", content)


def read_run_blocks(run_folder: Path, until: int | None = None) -> list:
    """The rows of a run's blocks.parquet as a list of at most one Arrow table, those of evaluations
    after `until` left out; [] while there is no such file."""
    path = Path(run_folder) / "blocks.parquet"
    if not path.exists():
        return []
    import pyarrow.compute as pc

    table = parquet.read_table(path)[0]
    return [table if until is None else table.filter(pc.field("evaluation") <= until)]


def read_run_status(run_folder: Path) -> dict:
    """status.json of a run as it was written, its fields checked; {"status": "planned"} without one.
    Of a damaged file the measurements of a finished run tell its status; else, as one that cannot be
    read, it is a CrlscaleError."""
    path = f"{run_folder}/status.json"  # a Path for each of 10,000 runs takes longer than reading it
    if not os.path.exists(path):
        return {"status": "planned"}
    try:
        return _checked_status(path)
    except Damaged as damage:
        with contextlib.suppress(CrlscaleError):
            ended = read_metadata(Path(run_folder) / "metrics.parquet").get("status")
            if ended in FINISHED:
                return {"status": ended, "cause": f"{damage.message}; its measurements are whole"}
        raise


def _checked_status(path: str) -> dict:
    status = read_json(path)
    parquet.refuse_newer(path, status.get("schema_version"), STATUS_SCHEMA)
    for field, kind in _CHECKED.items():
        value = status.get(field)
        if value is not None and not isinstance(value, kind):
            raise damaged(path, f"damaged ({field} = {value!r})")
    if "status" not in status:
        raise damaged(path, "damaged (no status)")
    return status


def damage_of(run_folder: Path, status: dict) -> str | None:
    """What is wrong with the measurements of a run that has finished, and what to type; None if they
    look whole, from their first and last bytes."""
    path = f"{run_folder}/metrics.parquet"
    if status["status"] not in FINISHED or parquet.looks_whole(path):
        return None
    return str(damaged(path, "cut short or damaged"))


def is_lost(status: dict, now: float) -> bool:
    """Whether a run says that it is running and has had no heartbeat for LOST_AFTER_SECONDS; one from
    the future, by a clock that was set back since, is none."""
    age = abs(now - (status.get("heartbeat") or 0.0))
    return status.get("status") == "running" and age > LOST_AFTER_SECONDS


def read_metadata(path: Path) -> dict:
    """The footer of a metrics.parquet or goals.parquet: `meta` and schema_version."""
    return parquet.read_table(path)[1]


def _read_rows(path: Path) -> list[dict]:
    return parquet.read_table(path)[0].to_pylist() if path.exists() else []


# --- a study -----------------------------------------------------------------------------
def read_metrics(folder: Path):
    """All metrics.parquet of a study folder as one DataFrame, by run id, then as written.

    Columns as in crlscale.schema, then those that only some files have; what a file lacks is
    missing. Null and NaN of a float are both NaN here (`read_run_metrics` tells them apart);
    an int column with nulls is Int64, a bool one boolean."""
    return _frame(gather(_study_folder(folder), "metrics.parquet", METRICS))


def read_goals(folder: Path):
    """All goals.parquet of a study folder as one DataFrame; else as `read_metrics`."""
    return _frame(gather(_study_folder(folder), "goals.parquet", GOALS))


def read_runs(folder: Path):
    """DataFrame with one row a planned run, in the order of the plan: run_id, config, status.

    A run without status.json is "planned"; one that is "running" without a heartbeat for 60 s is
    "lost"; one whose status or finished measurements cannot be read is "damaged", with the way out as
    its cause. What a run has not reported is missing."""
    import pandas as pd

    from crlscale.study import load_study  # study writes through this module

    folder = _study_folder(folder)
    configs = load_study(folder).configs
    settings = [config.model_dump() for config in configs.values()]
    now = time.time()
    statuses = [_seen_status(folder / "runs" / run_id, now) for run_id in configs]
    frame = {"run_id": list(configs)}
    for field in settings[0] if settings else ():
        frame[field] = _setting([setting[field] for setting in settings])
    for field, dtype in STATUS_FIELDS.items():
        frame[field] = pd.Series([status.get(field) for status in statuses], dtype=dtype)
    return pd.DataFrame(frame)


def _seen_status(run_folder: Path, now: float) -> dict:
    try:
        status = read_run_status(run_folder)
    except Damaged as damage:
        return {"status": "damaged", "cause": str(damage)}
    if damage := damage_of(run_folder, status):
        return {**status, "status": "damaged", "cause": damage}
    return {**status, "status": "lost"} if is_lost(status, now) else status


def read_blocks(folder: Path):
    """All blocks.parquet of a study folder as one DataFrame; else as `read_metrics`."""
    return _frame(gather(_study_folder(folder), "blocks.parquet", BLOCKS))


def _study_folder(folder: Path) -> Path:
    folder = Path(folder)
    if not folder.is_dir():
        raise CrlscaleError(f"no study folder {folder}", value=str(folder), remedy="`crlscale status`")
    return folder


def _setting(values: list):
    """The values of one config field as a Series; ints with nulls stay ints."""
    import pandas as pd

    nullable_int = {type(value) for value in values} == {int, type(None)}
    return pd.Series(values, dtype="Int64" if nullable_int else None)


def _frame(table):
    """Arrow table -> DataFrame; an int or bool column turns to pandas' nullable type if it must."""
    import pandas as pd
    import pyarrow as pa

    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame = {}
    for field, column in zip(table.schema, table.columns, strict=True):
        mapper = nullable.get if column.null_count else None
        frame[field.name] = column.to_pandas(types_mapper=mapper)
    return pd.DataFrame(frame)
