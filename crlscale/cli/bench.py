"""`crlscale bench`: what this machine reaches."""

import textwrap
from dataclasses import asdict
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Annotated

import typer

from crlscale.cli.console import (
    DEFAULT_RESULTS,
    Json,
    Results,
    emit_json,
    print_table,
    say,
    writing_out,
)
from crlscale.errors import CrlscaleError

Out = Annotated[
    Path | None,
    typer.Option("--out", help="Folder for the Parquet file.  [default: bench in the results folder]"),
]
Depths = Annotated[
    str | None,
    typer.Option(help="Depths, as 4,16,64.  [default: 4,16,64; 4,16 beside jaxgcrl]"),
]
Batches = Annotated[str, typer.Option(help="Batch sizes, as 256,512.")]
Envs = Annotated[
    str | None,
    typer.Option(help="Tasks to step instead, as chain_8,point_u_maze; of phases with --against."),
]
Against = Annotated[
    str | None,
    typer.Option(help="Ratios to a peer instead: naive, the public design written out, or jaxgcrl."),
]
Parts = Annotated[
    str | None,
    typer.Option(help="Of --against: update,sampler,phase; all that the peer has if left out."),
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
    """Compile seconds and updates/s by depth and batch, as a share of this machine's matmul rate.
    --against measures ours and a peer in turn on the same core: one update by depth and batch, the
    samples of 1,000 steps of 64 and 256 envs, and whole phases of 3,968 env steps and 100 updates at
    the smallest depth and batch. jaxgcrl runs in an environment of its own, which is made the first time.

    Examples: crlscale bench --depths 4,64,1024 --batches 256,
    crlscale bench --against naive --depths 4,16
    """
    from crlscale.cli.settings import parse_levels

    folder = results / "bench" if out is None else out
    tasks = None if envs is None else envs.split(",")
    if against is None:
        if parts is not None:
            raise CrlscaleError("--parts goes with --against", value=parts, remedy="--against naive")
        if tasks is not None:
            return _envs(tasks, threads, folder, json)
    from crlscale.bench.against import PHASE_TASKS, Question, depths_of, parts_of

    depths = depths or ",".join(map(str, depths_of(against)))
    levels = parse_levels("--depths", depths), parse_levels("--batches", batches)
    if against is None:
        return _updates(*levels, width, threads, folder, json)
    asked = parts_of(against) if parts is None else tuple(parts.split(","))
    shape = (*map(tuple, levels), width, PHASE_TASKS if tasks is None else tuple(tasks))
    return _against(Question(against, asked, *shape, rounds, threads), folder, json)


def _updates(
    depths: list[int], batches: list[int], width: int, threads: int, folder: Path, json: bool
) -> int:
    from crlscale.bench.columns import UPDATES
    from crlscale.bench.updates import bench as measure

    measured = measure(depths, batches, width, threads)
    if not json:
        rows = [
            [
                str(row.depth),
                str(row.batch_size),
                f"{row.trace_seconds + row.compile_seconds:.1f}",
                f"{row.temporary_megabytes:.0f}",
                f"{row.updates_per_second:.3g}",
                f"{row.gigaflops:.0f}",
                f"{row.matmul_gigaflops:.0f}",
                f"{row.share:.0%}",
            ]
            for row in measured
        ]
        columns = ["depth", "batch", "compile s", "temp MB", "upd/s", "GFLOP/s", "matmul", "share"]
        print_table(f"width {width}, {threads} core, seconds of CPU time", columns, rows)
    return _keep(folder, "updates", UPDATES, list(map(asdict, measured)), threads, json)


def _envs(names: list[str], threads: int, folder: Path, json: bool) -> int:
    from crlscale.bench.columns import ENV_STEPS
    from crlscale.bench.env_steps import bench_envs
    from crlscale.envs.registry import task_spec

    specs = [task_spec(name) for name in names]  # refuses an unknown one before anything is measured
    measured = list(bench_envs(specs, [64, 256], threads))
    if not json:
        rows = [
            [
                row.env,
                str(row.num_envs),
                f"{row.compile_seconds:.1f}",
                f"{row.env_steps_per_second:,.0f}",
            ]
            for row in measured
        ]
        columns = ["task", "envs", "compile s", "env steps/s"]
        print_table(f"random actions, {threads} core, seconds of CPU time", columns, rows)
    return _keep(folder, "env_steps", ENV_STEPS, list(map(asdict, measured)), threads, json)


# --- against a peer --------------------------------------------------------------------------
def _against(question, folder: Path, json: bool) -> int:
    """A table a part, as soon as it is measured; then one file of all."""
    from crlscale.bench.against import NOTES, against
    from crlscale.bench.columns import AGAINST

    if not json:
        say("compiling takes most of it; CPU time, ours and the peer in turn on the same core")
    rows = []
    measured = (ratio.as_row() for ratios in against(question) for ratio in _told(ratios, json))
    for part, group in groupby(measured, key=itemgetter("part")):
        found = list(group)
        rows += found
        if not json:
            columns, lines = TABLES[part]
            print_table(
                _title(question, found[0]),
                columns + SHARED,
                [lines(row) + _shared(row) for row in found],
            )
    note = NOTES[question.peer]
    if not json:
        print(textwrap.fill(note, 80))
    name = f"against-{question.peer}"
    return _keep(folder, name, AGAINST, rows, question.threads, json, note=note)


def _told(ratios: list, json: bool) -> list:
    """`ratios`, said to whoever waits for the rest of their table."""
    for ratio in () if json else ratios:
        job = ", ".join(f"{key} {value}" for key, value in vars(ratio.job).items() if value is not None)
        say(f"{job}, {ratio.precision}: {_short(ratio.ratio)}")
    return ratios


SHARED = ["ratio", "rounds", "compile s", "temp MB"]
TABLES = {
    "update": (
        ["depth", "batch", "ours", "ms", "peer ms"],
        lambda row: [str(row["depth"]), str(row["batch_size"]), row["precision"], *_times(row, 1e3)],
    ),
    "sampler": (["envs", "ms", "peer ms"], lambda row: [str(row["num_envs"]), *_times(row, 1e3)]),
    "phase": (
        ["task", "ours", "s", "peer s"],
        lambda row: [row["env"], row["precision"], *_times(row, 1)],
    ),
}


def _title(question, row: dict) -> str:
    """What the rows of a part share."""
    shared = {
        "update": f"one update, width {question.width}",
        "sampler": f"samples, batch {row['batch_size']}",
        "phase": f"one phase, depth {row['depth']}, width {row['width']}, batch {row['batch_size']}",
    }
    return f"{shared[row['part']]}: ours and {question.peer}, {question.threads} core"


def _times(row: dict, unit: float) -> list[str]:
    return [_short(row["seconds"] * unit), _short(row["peer_seconds"] * unit)]


def _shared(row: dict) -> list[str]:
    """Ratio, its smallest to largest, compile seconds and temporaries of both sides."""
    return [
        _short(row["ratio"]),
        f"{_short(row['ratio_low'])}-{_short(row['ratio_high'])}",
        *[
            f"{_short(row[key])}/{_short(row['peer_' + key])}"
            for key in ("compile_seconds", "temporary_megabytes")
        ],
    ]


def _short(value: float | None) -> str:
    """Three digits, or whole above 100; a dash where nothing was told."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _keep(
    folder: Path, name: str, columns: list, rows: list[dict], threads: int, json: bool, **more
) -> int:
    """Write the Parquet file, and say where it is or everything as JSON."""
    from crlscale.bench.columns import write_rows

    with writing_out():
        path = write_rows(folder, name, columns, rows, threads)
    if json:
        emit_json({"file": str(path), **more, "rows": rows})
    else:
        say(f"written: {path}")
    return 0
