"""Tables of a study for other programs: metrics, goals, blocks, runs or scores as CSV, Parquet or JSON.

An empty CSV field and a JSON null are "not measured". A measured NaN is `nan` in CSV and null in
JSON, which has no such number."""

import json
from dataclasses import asdict
from pathlib import Path

from crlscale import parquet
from crlscale.errors import CrlscaleError
from crlscale.files import replace_file
from crlscale.gather import gather
from crlscale.schema import BLOCKS, GOALS, METRICS
from crlscale.study import Study, load_study

TABLES = {
    "metrics": "one row an evaluation of a run",
    "goals": "one row an evaluation and goal cell",
    "blocks": "one row an evaluation, network and block of it",
    "runs": "one row a planned run: its config and where it stands",
    "scores": "one row a planned run: its levels and its score",
}
MEASURED = {"metrics": METRICS, "goals": GOALS, "blocks": BLOCKS}  # a file of each run
FORMATS = (".csv", ".parquet", ".json")


def export_table(folder: Path, what: str):
    """The Arrow table `what` (a key of TABLES) of the study in `folder`; every row has its axes."""
    study = load_study(folder)
    if what in MEASURED:
        return _with_axes(gather(folder, f"{what}.parquet", MEASURED[what]), study)
    import pyarrow as pa

    if what == "runs":
        from crlscale.store import read_runs

        return pa.Table.from_pandas(read_runs(folder), preserve_index=False)
    if what == "scores":
        return pa.Table.from_pylist(_scores(folder, study))
    raise CrlscaleError(
        f"no table {what!r}; there are: {', '.join(TABLES)}", value=what, remedy="--what metrics"
    )


def damaged_runs(folder: Path) -> list[str]:
    """Run ids whose measurements cannot be read and so are in no table of them."""
    from crlscale.store import read_runs

    runs = read_runs(folder)
    return list(runs["run_id"][runs["status"] == "damaged"])


def write_table(table, path: Path, overwrite: bool = False) -> None:
    """Write `table` whole, in the format that the name asks for. A file that is there, and any file
    that belongs to a study, is a CrlscaleError."""
    path = Path(path)
    if path.suffix not in FORMATS:
        raise CrlscaleError(
            f"{path}: the name must end in one of {', '.join(FORMATS)}",
            value=str(path),
            remedy=f"--out {path.with_suffix('.csv')}",
        )
    _refuse_results(path)
    if path.exists() and not overwrite:
        raise CrlscaleError(f"{path} exists", value=str(path), remedy="another --out, or --force")
    replace_file(path, _bytes(table, path.suffix))


def _bytes(table, suffix: str) -> bytes:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    if suffix == ".json":
        rows = ",\n".join(json.dumps(parquet.finite(row)) for row in table.to_pylist())
        return f"[\n{rows}\n]\n".encode()
    sink = pa.BufferOutputStream()
    if suffix == ".csv":
        pyarrow.csv.write_csv(table, sink)
    else:
        pyarrow.parquet.write_table(table, sink)
    return sink.getvalue().to_pybytes()


def _with_axes(table, study: Study):
    """`table` with a column for each axis that it lacks, after the run id."""
    import pyarrow as pa

    run_ids = table.column("run_id").to_pylist()
    for axis in reversed(study.axes):
        if axis not in table.column_names:
            levels = {run_id: getattr(config, axis) for run_id, config in study.configs.items()}
            column = pa.array([levels.get(run_id) for run_id in run_ids])
            table = table.add_column(1, axis, column)
    return table


def _scores(folder: Path, study: Study) -> list[dict]:
    from crlscale.score import load_scores

    return [
        {"run_id": run.run_id, **cell.levels, **asdict(run)}
        for cell in load_scores(folder).cells
        for run in cell.runs
    ]


def _refuse_results(path: Path) -> None:
    """Not over what was measured, --force or not."""
    whole = path.resolve()
    for parent in whole.parents:
        if (parent / "study.json").exists():
            inside = whole.relative_to(parent)
            if inside.parts[0] == "runs" or inside.name == "study.json":
                raise CrlscaleError(
                    f"{path} belongs to the results of study {parent.name}",
                    value=str(path),
                    remedy="--out elsewhere.csv",
                )
