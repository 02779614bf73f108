"""A report as Markdown, with its figures beside it."""

from crlscale.report.build import Chapter, Report
from crlscale.report.finding import Finding, Table
from crlscale.report.record import Record

MARK = "<!-- written by crlscale report -->"


def markdown(report: Report, figures: str = "figures") -> bytes:
    """The whole file; pictures are looked for in the folder `figures` beside it."""
    lines = [MARK, f"# {report.title}", "", report.question, "", f"**{_plain(report.answer)}**", ""]
    for finding in report.joint:
        lines += _finding(finding, figures)
    for chapter in report.chapters:
        lines += _chapter(chapter, figures, named=len(report.chapters) > 1)
    return ("\n".join(lines).rstrip() + "\n").encode()


def _chapter(chapter: Chapter, figures: str, named: bool) -> list[str]:
    lines = []
    if named:
        lines += [f"# {chapter.name}", "", chapter.question, "", f"**{_plain(chapter.answer)}**", ""]
    for finding in chapter.findings:
        lines += _finding(finding, figures)
    return lines + _record(chapter.record)


def _finding(finding: Finding, figures: str) -> list[str]:
    lines = [f"## {finding.title}", ""]
    for sentence in finding.sentences:
        lines += [_plain(sentence), ""]
    for picture in finding.pictures:
        lines += [f"![{finding.title}]({figures}/{picture.stem}.png)", ""]
    for table in finding.tables:
        lines += _table(table)
    return lines


def _record(record: Record) -> list[str]:
    lines = ["## What was run", ""]
    lines += [f"- {name}: {_plain(value)}" for name, value in record.facts]
    lines += ["", "## What failed", ""]
    lines += [f"- {_plain(said)}" for said in record.failures]
    lines += [] if record.failures else ["Nothing: every planned run is complete."]
    lines += ["", "## How to reproduce", "", "```sh"]
    for why, command in record.commands:
        lines += [f"# {why}", command]
    return [*lines, "```", "", *_table(record.settings), *_table(record.runs)]


def _table(table: Table) -> list[str]:
    title, columns, rows = table
    lines = [f"{_plain(title)}:", "", _row(columns), "|" + "---|" * len(columns)]
    for row in rows:
        lines.append(
            _row([f"`{t}`" if c == "command" else t for c, t in zip(columns, row, strict=True)])
        )
    return [*lines, ""]


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(_plain(cell) for cell in cells)} |"


def _plain(text: str) -> str:
    """Text that Markdown leaves as it is."""
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
