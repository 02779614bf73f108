"""Stored studies -> a report: question, answer, findings, and the record of what was run."""

from dataclasses import dataclass

from crlscale.analysis.ends import axis_ends
from crlscale.errors import CrlscaleError
from crlscale.report import measures
from crlscale.report.finding import Finding, Loaded
from crlscale.report.kinds import KINDS
from crlscale.report.record import Record, record_of
from crlscale.report.table import study_table


@dataclass(frozen=True)
class Chapter:
    """One study of a report."""

    name: str
    question: str
    answer: str
    findings: tuple[Finding, ...]
    record: Record


@dataclass(frozen=True)
class Report:
    """What `crlscale report` writes; `joint` findings are over several chapters."""

    title: str
    question: str
    answer: str
    joint: tuple[Finding, ...]
    chapters: tuple[Chapter, ...]


def build_report(studies: list[Loaded]) -> Report:
    """The report of one study, or of several together."""
    chapters = tuple(_chapter(loaded) for loaded in studies)
    joint = tuple(_joint(studies))
    if len(chapters) == 1:
        (only,) = chapters
        return Report(only.name, only.question, only.answer, joint, chapters)
    title = " and ".join(chapter.name for chapter in chapters)
    question = " ".join(chapter.question for chapter in chapters)
    said = [sentence for finding in joint for sentence in finding.sentences]
    answer = " ".join([chapter.answer for chapter in chapters] + said)
    return Report(title, question, answer, joint, chapters)


def _chapter(loaded: Loaded) -> Chapter:
    loaded.scores.require_finished()
    found = [_scores(loaded)]
    for kind in KINDS.values():
        if kind.applies(loaded):
            found.append(kind.find(loaded))
    study = loaded.scores.study
    return Chapter(study.name, study.question, _answer(found), tuple(found), record_of(loaded))


def _answer(found: list[Finding]) -> str:
    """The sentences of the findings that answer a question of scale, the most specific kind first, and
    what became unstable."""
    by_kind = {finding.kind: finding for finding in found}
    trained = by_kind.get("training")
    unstable = trained is not None and any("onset" in record for record in trained.records)
    said = next(
        (by_kind[kind].sentences for kind in ANSWERS if kind in by_kind and by_kind[kind].sentences),
        ("No two levels that can be compared have a score.",),
    )
    return " ".join([*said, *(trained.sentences if unstable else ())])


ANSWERS = ("methods", "batch-by-depth", "actor-critic", "depth-vs-width", "critical-depth", "scores")


def _scores(loaded: Loaded) -> Finding:
    """The table of the study, and what the ends of each axis score."""
    columns, rows, records = study_table(loaded.scores)
    ends = axis_ends(loaded.scores)
    tables = [("Score of each cell: IQM of time at goal, its 95 % interval", columns, rows)]
    if ends:
        tables.append(measures.ends_table(ends))
    return Finding(
        kind="scores",
        title="Scores",
        sentences=tuple(found.sentence for found in ends),
        tables=tuple(tables),
        records=(*records, *measures.ends_records(ends)),
        pictures=(),
    )


def _joint(studies: list[Loaded]) -> list[Finding]:
    """Depth against width, where one study has the one axis and another the other."""
    if len(studies) < 2:
        return []
    depths = [loaded for loaded in studies if "depth" in loaded.axes and "width" not in loaded.axes]
    widths = [loaded for loaded in studies if "width" in loaded.axes and "depth" not in loaded.axes]
    found = []
    for depth in depths:
        for width in widths:
            try:
                found.append(KINDS["depth-vs-width"].find(depth, width))
            except CrlscaleError as refused:  # the studies differ in more than depth and width
                found.append(_refused(depth, width, refused))
    return found


def _refused(depth: Loaded, width: Loaded, why: CrlscaleError) -> Finding:
    return Finding("depth-vs-width", "Depth against width", (f"{why.message}.",), (), (), ())
