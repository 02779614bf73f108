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


CURVE = 3  # levels of an axis that make a curve


def newest_with(results: Path, axes: tuple[str, ...]) -> Path:
    """Folder of the newest study that has all of `axes`; of a single axis of numbers one with a
    curve's levels, if there is one."""
    from crlscale.errors import CrlscaleError
    from crlscale.study import find_study, load_study

    if not axes:
        return find_study(results)
    if len(axes) < 2:
        return find_study(results, None, *axes, lambda study: _is_curve(study.axes[axes[0]]))
    studies = [(load_study(path.parent), path.parent) for path in sorted(results.glob("*/study.json"))]
    fitting = [(study.created, folder) for study, folder in studies if set(axes) <= study.axes.keys()]
    if not fitting:
        words = {"depth": "--depths 4,16", "width": "--widths 32,64", "batch_size": "--batches 64,256"}
        asked = " ".join(words.get(axis, f"--axis {axis}=4,16") for axis in axes)
        raise CrlscaleError(
            f"{results} does not hold a study with axes {' and '.join(axes)}",
            value=str(results),
            remedy=f"crlscale sweep grid {asked} --preset smoke",
        )
    return max(fitting)[1]


def _is_curve(levels: list) -> bool:
    """Whether numbers make a curve; names never want to be one."""
    return len(levels) >= CURVE or not all(isinstance(level, int | float) for level in levels)
