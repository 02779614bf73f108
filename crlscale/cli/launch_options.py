"""Options of every verb that starts runs: which launcher, how many at once, with what resources."""

import re
from typing import Annotated

import typer

Launcher = Annotated[
    str, typer.Option(help="Where runs are started: local, slurm or ray; docs/launchers.md.")
]
Jobs = Annotated[str, typer.Option(help="Processes at once; auto: by cores and memory.")]
Retries = Annotated[int, typer.Option(help="How often a killed or lost run is tried again.")]
Gpus = Annotated[int | None, typer.Option(help="GPUs of a job. Default: 0; local: all it sees.")]
Mem = Annotated[
    str | None, typer.Option(help="slurm, ray: memory of a job, as 8G. Default: the plan's.")
]
Time = Annotated[
    str | None, typer.Option(help="slurm: time of a job, as 30m, 4h. Default: the plan's.")
]
Partition = Annotated[str | None, typer.Option(help="slurm: partition. Default: the cluster's.")]
Slurm = Annotated[list[str], typer.Option(help="slurm: any flag of sbatch, as key=value; repeatable.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="slurm: submit and return.")]
RayAddress = Annotated[str | None, typer.Option(help="ray: host:port or auto. Default: a Ray here.")]

BELONGS_TO = {
    "mem": ("slurm", "ray"),
    "time": ("slurm",),
    "partition": ("slurm",),
    "slurm": ("slurm",),
    "no_wait": ("slurm",),
    "ray_address": ("ray",),
}


def launching(
    launcher: Launcher = "local",
    jobs: Jobs = "auto",
    retries: Retries = 2,
    gpus: Gpus = None,
    mem: Mem = None,
    time: Time = None,
    partition: Partition = None,
    slurm: Slurm = [],  # noqa: B006 (typer copies it)
    no_wait: NoWait = False,
    ray_address: RayAddress = None,
):
    """The options as crlscale.launch.contract.LaunchOptions; an illegal one is a CrlscaleError."""
    from crlscale.cli.settings import parse_jobs
    from crlscale.launch.contract import LaunchOptions

    given = {"gpus": gpus, "mem": mem, "time": time, "partition": partition, "slurm": slurm}
    _check_launcher(launcher, given | {"no_wait": no_wait, "ray_address": ray_address})
    for flag, value in (("--retries", retries), ("--gpus", gpus)):
        if value is not None and value < 0:
            raise _illegal(f"{flag} {value}: 0 or more", value, f"{flag} 0")
    return LaunchOptions(
        launcher=launcher,
        jobs=parse_jobs(jobs),
        retries=retries,
        gpus=gpus or 0,
        memory=None if mem is None else _bytes(mem),
        minutes=None if time is None else _minutes(time),
        partition=partition,
        slurm=dict(_pair(text) for text in slurm),
        wait=not no_wait,
        ray_address=ray_address,
    )


def say_what_goes_on(how, study: str, where: str, code: int) -> bool:
    """Tell of jobs that stay in a queue after the command has ended; whether there may be any."""
    from crlscale.cli.console import say

    if how.launcher != "slurm" or (how.wait and code not in (75, 130)):
        return False
    say(
        f"the jobs stay with Slurm: `crlscale status {study}{where}` shows their runs,"
        f" `scancel --name {study}` ends them, the same command watches them again"
    )
    return True


def _check_launcher(launcher: str, given: dict) -> None:
    from crlscale.launch.launchers import LAUNCHERS

    if launcher not in LAUNCHERS:
        words = f"--launcher {launcher}: no such launcher; there are {', '.join(LAUNCHERS)}"
        raise _illegal(words, launcher, "--launcher local")
    for name, owners in BELONGS_TO.items():
        if given[name] and launcher not in owners:
            flag = "--" + name.replace("_", "-")
            words = f"{flag} means nothing to --launcher {launcher}"
            raise _illegal(words, launcher, f"--launcher {owners[0]}, or leave {flag} out")


def _bytes(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([MGT])(?:i?B)?", text, re.IGNORECASE)
    if not match or not float(match[1]):
        raise _illegal(f"--mem {text}: not a size", text, "--mem 8G or --mem 500M")
    return float(match[1]) * {"M": 1e6, "G": 1e9, "T": 1e12}[match[2].upper()]


def _minutes(text: str) -> int:
    match = re.fullmatch(r"(\d+)([mhd])", text)
    if not match or not int(match[1]):
        raise _illegal(f"--time {text}: not a span of time", text, "--time 30m, --time 4h or --time 2d")
    return int(match[1]) * {"m": 1, "h": 60, "d": 24 * 60}[match[2]]


def _pair(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not key or not sign:
        raise _illegal(f"--slurm {text}: not key=value", text, "--slurm account=mine")
    return key.lstrip("-"), value


def _illegal(words: str, value, remedy: str):
    from crlscale.errors import CrlscaleError

    return CrlscaleError(words, value=value, remedy=remedy)
