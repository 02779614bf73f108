"""`crlscale report`: stored studies -> one HTML file and one of Markdown."""

import textwrap
from pathlib import Path
from typing import Annotated

import typer

from crlscale.cli.console import DEFAULT_RESULTS, Json, Results, emit_json, say, writing_out
from crlscale.cli.scores import Diverged, Physics, read_scores
from crlscale.errors import CrlscaleError


def report(
    studies: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STUDY ...]", help="One study or several; the newest if left out."),
    ] = None,
    results: Results = DEFAULT_RESULTS,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the files; the first study's if left out.")
    ] = None,
    physics: Physics = 1,
    diverged: Diverged = "last",
    json: Json = False,
) -> None:
    """Write report.html, which needs nothing but a browser, and report.md with its figures.

    Example: crlscale report
    """
    from crlscale.report.build import build_report
    from crlscale.report.finding import Loaded
    from crlscale.report.markdown import MARK, markdown
    from crlscale.report.page import GENERATOR, Page
    from crlscale.study import find_study

    folders = [find_study(results, name) for name in dict.fromkeys(studies or [None])]
    folder = out or folders[0]
    targets = [(folder / "report.html", GENERATOR), (folder / "report.md", MARK)]
    for path, mark in targets:
        _refuse_foreign(path, mark)
    found = build_report([Loaded(one, read_scores(one, physics, diverged)) for one in folders])
    with writing_out():
        files = _write(found, folder, [Page(found).html(), markdown(found)])
    if json:
        names = [one.name for one in folders]
        emit_json({"studies": names, "answer": found.answer, "diverged": diverged, "files": files})
        return
    print(textwrap.fill(found.answer, 80))
    for file in files[:2]:
        print(file)
    say(f"next: open {files[0]} in a browser")


def _write(found, folder: Path, contents: list[bytes]) -> list[Path]:
    """Write both files and the pictures that the Markdown shows."""
    from crlscale.files import replace_file

    files = [folder / "report.html", folder / "report.md"]
    for path, content in zip(files, contents, strict=True):
        replace_file(path, content)
    findings = [*found.joint, *(one for chapter in found.chapters for one in chapter.findings)]
    for finding in findings:
        for picture in finding.pictures:
            files += picture.save(folder / "figures", ("png",))
            files.append(folder / "figures" / f"{picture.stem}.svg")
            replace_file(files[-1], picture.svg)
    return files


def _refuse_foreign(path: Path, mark: str) -> None:
    """Refuse to write over a file that no report has written."""
    if path.exists() and mark.encode() not in path.read_bytes()[:2000]:
        raise CrlscaleError(
            f"{path} is there and is no report of crlscale; it stays as it is",
            value=str(path),
            remedy="--out FOLDER",
        )
