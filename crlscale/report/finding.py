"""A finding: what one analysis says of a study, ready to be printed, drawn or put into a report."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from matplotlib.figure import Figure

from crlscale.figures import style
from crlscale.files import Damaged
from crlscale.score import StudyScores

Table = tuple[str, list[str], list[list[str]]]


@dataclass(frozen=True)
class Picture:
    """A figure that can be drawn in any theme. `stem` names its files, its caption ends with the
    sentence `note`."""

    stem: str
    draw: Callable[..., Figure]
    result: object
    note: str = ""

    def figure(self, theme: str = "light") -> Figure:
        return self.draw(self.result, theme=theme, note=self.note)

    @cached_property
    def svg(self) -> bytes:
        return style.rendered(self.figure(), "svg")

    def save(self, folder: Path, formats: tuple[str, ...], theme: str = "light") -> list[Path]:
        """Write the files; those of a theme other than light say so in their names. Each is drawn
        afresh: a figure laid out a second time moves a little, and the bytes would depend on the order."""
        stem = self.stem if theme == "light" else f"{self.stem}-{theme}"
        return [
            file for kind in formats for file in style.save(self.figure(theme), folder, stem, (kind,))
        ]


@dataclass(frozen=True)
class Finding:
    """What the analysis `kind` says. `sentences` answer its question, `records` are for machines."""

    kind: str
    title: str
    sentences: tuple[str, ...]
    tables: tuple[Table, ...]
    records: tuple[dict, ...]
    pictures: tuple[Picture, ...]

    def noting(self, sentence: str) -> "Finding":
        """The same with `sentence` at the end of every caption."""
        return replace(self, pictures=tuple(replace(one, note=sentence) for one in self.pictures))


@dataclass(frozen=True)
class Loaded:
    """A stored study, its tables read when they are first asked for."""

    folder: Path
    scores: StudyScores

    @cached_property
    def metrics(self):
        from crlscale.store import read_metrics

        return read_metrics(self.folder)

    @cached_property
    def goals(self):
        from crlscale.store import read_goals

        return read_goals(self.folder)

    @cached_property
    def blocks(self):
        from crlscale.store import read_blocks

        return read_blocks(self.folder)

    @cached_property
    def runs(self):
        from crlscale.store import read_runs

        return read_runs(self.folder)

    @cached_property
    def versions(self) -> dict[str, str] | None:
        """Versions of the packages, as the first run that has rows recorded them."""
        return next((footer.get("versions") for footer in self.footers), None)

    @cached_property
    def footers(self) -> list[dict]:
        """What each run that has rows recorded of itself, in the order of the plan; a damaged file is
        left out, as its rows are."""
        from crlscale.store import read_metadata

        found = []
        for run_id in self.scores.study.configs:
            path = self.folder / "runs" / run_id / "metrics.parquet"
            with contextlib.suppress(Damaged):
                if path.exists():
                    found.append(read_metadata(path))
        return found

    @property
    def axes(self) -> dict[str, list]:
        return self.scores.study.axes
