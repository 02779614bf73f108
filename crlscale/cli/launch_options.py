"""Options of every verb that starts runs: which launcher, how many at once, with what resources."""

from typing import Annotated

import typer

Launcher = Annotated[str, typer.Option(help="Where runs are started: local.")]
Jobs = Annotated[str, typer.Option(help="Processes at once; auto: by cores and memory.")]
Retries = Annotated[int, typer.Option(help="How often a killed or lost run is tried again.")]


def launching(launcher: Launcher = "local", jobs: Jobs = "auto", retries: Retries = 2):
    """The options as crlscale.launch.contract.LaunchOptions; an illegal one is a CrlscaleError."""
    from crlscale.cli.settings import parse_jobs
    from crlscale.errors import CrlscaleError
    from crlscale.launch.contract import LaunchOptions
    from crlscale.launch.launchers import LAUNCHERS

    if launcher not in LAUNCHERS:
        raise CrlscaleError(
            f"--launcher {launcher}: no such launcher; there are {', '.join(LAUNCHERS)}",
            value=launcher,
            remedy="--launcher local",
        )
    if retries < 0:
        raise CrlscaleError(f"--retries {retries}: 0 or more", value=retries, remedy="--retries 0")
    return LaunchOptions(launcher, parse_jobs(jobs), retries)
