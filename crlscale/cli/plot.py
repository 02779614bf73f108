"""`crlscale plot`: a stored study -> a finding and its picture."""

import textwrap
from enum import StrEnum
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
from crlscale.cli.scores import Diverged, Physics, newest_with, read_scores

app = typer.Typer(
    no_args_is_help=True,
    help="Draw what a stored study found: PNG, SVG or PDF, for light or dark pages.",
    epilog="Example: crlscale plot critical-depth",
)


class Theme(StrEnum):
    """The themes of crlscale.figures.style, by name."""

    light = "light"
    dark = "dark"


class Format(StrEnum):
    """The formats of crlscale.figures.style, by name."""

    png = "png"
    svg = "svg"
    pdf = "pdf"


StudyName = Annotated[str | None, typer.Argument(help="A study; the newest one if left out.")]
Out = Annotated[
    Path | None, typer.Option("--out", help="Folder for the figures; STUDY's figures/ if left out.")
]
Formats = Annotated[
    list[Format], typer.Option("--format", help="Kind of file; repeatable. Default: png and svg.")
]
Themes = Annotated[Theme, typer.Option("--theme", help="Colours for a light or a dark page.")]

# verb -> its help, the axes that the newest study must have, and what to look at next
VERBS = {
    "critical-depth": (
        "Score over depth: every seed, the IQM with its interval, and the critical depth.",
        ("depth",),
        "plot learning-curves {study}",
    ),
    "depth-vs-width": (
        "A grid of depths and widths at equal parameters, FLOPs and hours.",
        ("depth", "width"),
        "plot critical-depth {study}",
    ),
    "batch-by-depth": (
        "Depth against batch size: heat map, and lines with the seeds.",
        ("depth", "batch_size"),
        "analyze batch {study}",
    ),
    "actor-critic": (
        "Depth of the actor against that of the critic: heat map, and lines with the seeds.",
        ("actor_depth", "critic_depth"),
        "analyze actor-critic {study}",
    ),
    "methods": (
        "Every method at every depth, and what a doubling brings each.",
        ("agent", "depth"),
        "compare methods {study}",
    ),
    "limits": (
        "Where gains end, the best scaling law and what it predicts.",
        ("depth",),
        "analyze limits {study}",
    ),
    "surface": (
        "The compute frontier of a grid: the best cell at each budget.",
        ("depth", "width"),
        "analyze surface {study}",
    ),
    "paper": ("A study beside published means of its task.", (), "compare paper {study}"),
    "learning-curves": ("Score over env steps, one line a cell.", (), "compare width-vs-depth"),
    "profiles": ("The share of seeds above each score, one line a cell.", (), "report {study}"),
    "goal-cells": ("Time at goal of each goal cell, on the maze.", (), "report {study}"),
    "training": (
        "Losses, entropy, gradient norms and update ratios over updates; onset of instability.",
        (),
        "plot blocks {study}",
    ),
    "blocks": ("Gradient norm over the blocks of each network.", (), "report {study}"),
    "cost": ("Time, memory and FLOPs of a run over the first axis.", (), "report {study}"),
}


def _verb(kind: str, words: str, axes: tuple[str, ...], following: str) -> None:
    """Register `crlscale plot KIND`."""

    @app.command(kind, help=words, epilog=f"Example: crlscale plot {kind}")
    def verb(
        study: StudyName = None,
        results: Results = DEFAULT_RESULTS,
        out: Out = None,
        format: Formats = [Format.png, Format.svg],  # noqa: B006 (typer copies it)
        theme: Themes = Theme.light,
        physics: Physics = 1,
        diverged: Diverged = "last",
        json: Json = False,
    ) -> None:
        from crlscale.report.finding import Loaded
        from crlscale.report.kinds import KINDS
        from crlscale.study import find_study

        folder = find_study(results, study) if study else newest_with(results, axes)
        loaded = Loaded(folder, read_scores(folder, physics, diverged))
        found = KINDS[kind].find(loaded)
        with writing_out():
            files = draw(found, out or folder / "figures", tuple(dict.fromkeys(format)), theme)
        if json:
            rows = list(found.records)
            emit_json({"study": folder.name, "rows": rows, "diverged": diverged, "files": files})
            return
        for index, table in enumerate(found.tables):
            print_table(*table)
            if len(found.sentences) == len(found.tables):
                print(textwrap.fill(found.sentences[index], 80))
        if len(found.sentences) != len(found.tables):
            print(textwrap.fill(" ".join(found.sentences), 80))
        if count := loaded.scores.diverged_runs:
            print(f"{count} diverged: {KINDS[kind].says[diverged]}")
        _say_files(files, following.format(study=folder.name), results)


for _kind, _about in VERBS.items():
    _verb(_kind, *_about)


def draw(finding, out: Path, formats: tuple[str, ...] = ("png", "svg"), theme: str = "light"):
    """Write the pictures of a finding; returns their files."""
    return [file for picture in finding.pictures for file in picture.save(out, formats, theme)]


def _say_files(files: list[Path], following: str, results: Path) -> None:
    """The written files on stdout; the next command on stderr."""
    for file in files:
        print(file)
    where = "" if results == DEFAULT_RESULTS else f" --results {results}"
    say(f"next: crlscale {following}{where}")
