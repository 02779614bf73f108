"""`crlscale bench`: what this machine reaches."""

import textwrap
from collections.abc import Callable, Iterable
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Annotated

import typer

from crlscale.cli import bench_tables as tables
from crlscale.cli.console import (
    DEFAULT_RESULTS,
    Json,
    Results,
    emit_json,
    print_table,
    say,
    writing_out,
)

Out = Annotated[
    Path | None,
    typer.Option("--out", help="Folder for Parquet files.  [default: bench in the results folder]"),
]
Depths = Annotated[
    str | None,
    typer.Option(help="Depths, as 4,16,64.  [default: 4,16,64; 4,16 beside jaxgcrl]"),
]
Batches = Annotated[str, typer.Option(help="Batch sizes, as 256,512.")]
Envs = Annotated[
    str | None,
    typer.Option(
        help="Tasks to step and train, as chain_8,point_u_maze.  [default: chain_8; three ants with --against]"
    ),
]
Against = Annotated[
    str | None,
    typer.Option(help="Ratios to a peer instead: naive, the public design written out, or jaxgcrl."),
]
Parts = Annotated[
    str | None,
    typer.Option(
        help="Of update,sampler,step,phase.  [default: all that there are; step if only --envs is given]"
    ),
]
Rounds = Annotated[int, typer.Option(help="Of --against: turns that each side has.")]


def bench(
    depths: Depths = None,
    batches: Batches = "256,512",
    width: Annotated[int, typer.Option(help="Width of every hidden layer.")] = 256,
    envs: Envs = None,
    against: Against = None,
    parts: Parts = None,
    rounds: Rounds = 3,
    threads: Annotated[int, typer.Option(help="Cores to use.")] = 1,
    out: Out = None,
    results: Results = DEFAULT_RESULTS,
    json: Json = False,
) -> int:
    """What this machine reaches: updates/s by depth and batch as a share of its matmul rate (which plans
    then go by), samples, env steps, and whole training of 3,968 env steps and 100 updates at the smallest
    depth and batch; each with its compile seconds and memory. --against measures ours and a peer in turn on
    the same core (no step); jaxgcrl runs in an environment of its own, which is made the first time.

    Examples: crlscale bench --parts update --depths 4,64,1024 --batches 256,
    crlscale bench --envs ant,reacher, crlscale bench --against naive --depths 4,16
    """
    from crlscale.bench.against import PHASE_TASKS, Question, depths_of, parts_of
    from crlscale.bench.alone import FILES, TASKS, Asked
    from crlscale.cli.settings import parse_levels

    depths = depths or ",".join(map(str, depths_of(against)))
    shape = tuple(parse_levels("--depths", depths)), tuple(parse_levels("--batches", batches)), width
    tasks = None if envs is None else tuple(envs.split(","))
    folder = results / "bench" if out is None else out
    wanted = None if parts is None else tuple(parts.split(","))
    if against is not None:
        wanted = wanted or parts_of(against)
        question = Question(against, wanted, *shape, tasks or PHASE_TASKS, rounds, threads)
        return _against(question, folder, json)
    if wanted is None:
        wanted = tuple(FILES) if tasks is None else ("step",)
    return _alone(Asked(wanted, *shape, tasks or TASKS, threads), folder, json)


def _alone(asked, folder: Path, json: bool) -> int:
    """A file and a table of each part as soon as it is measured."""
    from crlscale.bench.alone import FILES, measure
    from crlscale.bench.columns import COLUMNS

    if not json:
        say("all rates and seconds are of CPU time")
    found = {}
    for part in asked.parts:
        name = FILES[part]
        path, rows = _kept(
            folder, name, COLUMNS[name], measure(asked, part), asked.threads, lambda row: None
        )
        found[part] = {"file": str(path), "rows": rows}
        if not json:
            columns, cells = tables.ALONE[part]
            print_table(tables.alone_title(asked, part), columns, list(map(cells, rows)))
            say(f"written: {path}")
    if json:
        emit_json(found)
    return 0


def _against(question, folder: Path, json: bool) -> int:
    """A line of each job as soon as it is measured, then a table of each part."""
    from crlscale.bench.against import NOTES, against
    from crlscale.bench.columns import COLUMNS

    if not json:
        say("compiling takes most of it; CPU time, ours and the peer in turn on the same core")
    rows = (ratio.as_row() for ratios in against(question) for ratio in ratios)
    name, tell = f"against-{question.peer}", (lambda row: None) if json else _tell
    path, rows = _kept(folder, name, COLUMNS["against-PEER"], rows, question.threads, tell)
    note = NOTES[question.peer]
    if json:
        emit_json({"file": str(path), "note": note, "rows": rows})
        return 0
    for part, group in groupby(rows, key=itemgetter("part")):
        lines = list(group)
        columns, cells = tables.AGAINST[part]
        shared = [cells(row) + tables.shared(row) for row in lines]
        print_table(tables.against_title(question, lines[0]), columns + tables.SHARED, shared)
    print(textwrap.fill(note, 80))
    say(f"written: {path}")
    return 0


def _tell(row: dict) -> None:
    job = ("part", "env", "depth", "width", "batch_size", "num_envs")
    said = ", ".join(f"{key} {row[key]}" for key in job if row[key] is not None)
    say(f"{said}, {row['precision']}: {tables.short(row['ratio'])}")


def _kept(
    folder: Path,
    name: str,
    columns: list,
    measured: Iterable[dict],
    threads: int,
    tell: Callable[[dict], None],
) -> tuple[Path, list[dict]]:
    """The rows, each told of and written as soon as it is measured -> the Parquet file, all rows."""
    from crlscale.bench.columns import write_rows

    rows = []
    for row in measured:
        rows.append(row)
        tell(row)
        with writing_out():
            path = write_rows(folder, name, columns, rows, threads)
    return path, rows
