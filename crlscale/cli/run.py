"""`crlscale run`: runs of a study by hand, in one process, as the launchers start them."""

import os
from typing import Annotated

import typer

from crlscale.cli.console import DEFAULT_RESULTS, Json, Results, emit_json, say


def run(
    study: Annotated[str, typer.Argument(help="Name of the study, or its folder.")],
    run_ids: Annotated[list[str], typer.Argument(help="Runs to train in this process.")],
    results: Results = DEFAULT_RESULTS,
    launcher: Annotated[
        int | None, typer.Option(hidden=True, help="The parent; stop when it is gone. 0: none.")
    ] = None,
    json: Json = False,
) -> int:
    """Train runs of a planned study here and now, one program after the other; runs of equal shape
    are compiled once.

    Example: crlscale run depth-chain_8-quick-1a2b3c4d chain_8-d4-w64-b256-s0-9f8e7d6c
    """
    from crlscale import hosts
    from crlscale.cli.words import why
    from crlscale.record import read_status
    from crlscale.run import run_group
    from crlscale.study import find_study

    folder = find_study(results, study)
    code = run_group(folder, run_ids, launcher)
    told = run_ids if hosts.first() else []
    statuses = [read_status(folder / "runs" / run_id) for run_id in told]
    if json and told:
        emit_json({"study": folder.name, "exit_code": code, "rows": statuses})
    for run_id, status in zip(told, statuses, strict=True):
        said = f" ({why(status)})" if why(status) else ""
        say(f"{status['status']}: {run_id}{said}")
    if launcher is not None:
        os._exit(code)  # jax and orbax threads may take seconds to end; everything is written
    return code
