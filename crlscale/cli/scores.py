"""Scores of a stored study for a command, and what its reader must know before the numbers."""

from pathlib import Path
from typing import Annotated

import typer

from crlscale.cli.console import say

Physics = Annotated[
    int, typer.Option("--physics", help="Which physics, if runs of several were stored (1: most runs).")
]
Diverged = Annotated[
    str,
    typer.Option(
        "--diverged", help="Diverged runs: last (finite scores), zero, or drop; always listed."
    ),
]


def read_scores(folder: Path, physics: int = 1, diverged: str = "last"):
    """`crlscale.score.load_scores`; a warning that it carries goes to stderr."""
    from crlscale.score import load_scores

    scores = load_scores(folder, physics, diverged)
    if scores.warning:
        say(f"warning: {scores.warning}")
    return scores
