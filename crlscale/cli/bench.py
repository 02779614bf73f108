"""`crlscale bench`: what this machine reaches."""

from dataclasses import asdict
from typing import Annotated

import typer

from crlscale.cli.console import Json, emit_json, print_table


def bench(
    depths: Annotated[str, typer.Option(help="Depths, as 4,16,64.")] = "4,16,64",
    batches: Annotated[str, typer.Option(help="Batch sizes, as 256,512.")] = "256,512",
    width: Annotated[int, typer.Option(help="Width of every hidden layer.")] = 256,
    threads: Annotated[int, typer.Option(help="Cores to use.")] = 1,
    json: Json = False,
) -> int:
    """Compile seconds and updates/s by depth and batch, as a share of this machine's matmul rate.

    Example: crlscale bench --depths 4,64,1024 --batches 256
    """
    from crlscale.bench import bench as measure
    from crlscale.cli.settings import parse_levels

    measured = measure(
        parse_levels("--depths", depths), parse_levels("--batches", batches), width, threads
    )
    if json:
        emit_json({"rows": [asdict(row) for row in measured]})
        return 0
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
    return 0
