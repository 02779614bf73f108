"""`crlscale bench`: what this machine reaches."""

from dataclasses import asdict
from typing import Annotated

import typer

from crlscale.cli.console import Json, emit_json, print_table


def bench(
    depths: Annotated[str, typer.Option(help="Depths, as 4,16,64.")] = "4,16,64",
    batches: Annotated[str, typer.Option(help="Batch sizes, as 256,512.")] = "256,512",
    width: Annotated[int, typer.Option(help="Width of every hidden layer.")] = 256,
    envs: Annotated[
        str | None, typer.Option(help="Tasks to step instead, as chain_8,point_u_maze.")
    ] = None,
    threads: Annotated[int, typer.Option(help="Cores to use.")] = 1,
    json: Json = False,
) -> int:
    """Compile seconds and updates/s by depth and batch, as a share of this machine's matmul rate.

    Example: crlscale bench --depths 4,64,1024 --batches 256
    """
    if envs is not None:
        return _envs(envs.split(","), threads, json)
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


def _envs(names: list[str], threads: int, json: bool) -> int:
    from crlscale.bench import bench_envs
    from crlscale.envs.registry import task_spec

    specs = [task_spec(name) for name in names]  # refuses an unknown one before anything is measured
    measured = list(bench_envs(specs, [64, 256], threads))
    if json:
        emit_json({"rows": [asdict(row) for row in measured]})
        return 0
    rows = [
        [row.env, str(row.num_envs), f"{row.compile_seconds:.1f}", f"{row.env_steps_per_second:,.0f}"]
        for row in measured
    ]
    columns = ["task", "envs", "compile s", "env steps/s"]
    print_table(f"random actions, {threads} core, seconds of CPU time", columns, rows)
    return 0
