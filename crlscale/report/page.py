"""A report as one HTML file that needs nothing else: no network, no other file, no script to be read.

Every figure is there as SVG, for print and for readers without scripts; where scripts run, the plots
of `crlscale.report.interactive` take its place when they are scrolled to. The bytes depend on the report alone."""

import base64
import json
import re
import zlib
from html import escape
from importlib import resources
from pathlib import Path

from matplotlib.figure import Figure

from crlscale import __version__
from crlscale.report import interactive, static
from crlscale.report.build import Chapter, Report
from crlscale.report.finding import Finding, Picture, Table
from crlscale.report.legend import legend_html
from crlscale.report.record import Record

GENERATOR = '<meta name="generator" content="crlscale'
# nothing is fetched: not by the page, not by a library in it
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval';"
    " img-src data: blob:"
)
BOKEH = "server/static/js/bokeh.min.js"  # the core alone; widgets, tables and WebGL are not needed


class Page:
    """Collects the plots of a report while its HTML is written."""

    def __init__(self, report: Report):
        self.report = report
        self.plots: dict[str, dict] = {}

    def html(self) -> bytes:
        """The whole file."""
        body = self._body()
        packed = _pack(json.dumps(self.plots, separators=(",", ":")).encode())
        title = escape(self.report.title)
        parts = [
            "<!doctype html>",
            f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
            f'{GENERATOR} {__version__}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<link rel="icon" href="data:,">',
            f"<style>{_resource('page.css')}</style></head>",
            body,
            f'<script type="text/plain" id="bokeh">{_pack(_bokeh())}</script>',
            f'<script type="text/plain" id="plots">{packed}</script>',
            f"<script>{_resource('page.js')}</script>",
            "</html>",
        ]
        return ("\n".join(parts) + "\n").encode()

    def _body(self) -> str:
        report = self.report
        findings = [self._finding(found, f"joint-{i}") for i, found in enumerate(report.joint)]
        chapters = [self._chapter(chapter, i) for i, chapter in enumerate(report.chapters)]
        return "\n".join(
            [
                '<body><a class="skip" href="#answer">Skip to the answer</a>',
                f"<header><h1>{escape(report.title)}</h1>",
                f'<p class="question">{escape(report.question)}</p>',
                f'<p class="answer" id="answer">{escape(report.answer)}</p></header>',
                _contents(report),
                "<main>",
                *findings,
                *chapters,
                f"</main><footer><p class='question'>Written by crlscale {__version__}.</p></footer></body>",
            ]
        )

    def _chapter(self, chapter: Chapter, index: int) -> str:
        head = ""
        if len(self.report.chapters) > 1:
            head = (
                f'<h2 id="study-{index}">{escape(chapter.name)}</h2>'
                f'<p class="question">{escape(chapter.question)}</p>'
                f'<p class="answer">{escape(chapter.answer)}</p>'
            )
        found = [self._finding(finding, f"{index}-{finding.kind}") for finding in chapter.findings]
        return "\n".join([head, *found, _record(chapter.record, index)])

    def _finding(self, finding: Finding, anchor: str) -> str:
        return "\n".join(
            [
                f'<section aria-labelledby="{anchor}"><h2 id="{anchor}">{escape(finding.title)}</h2>',
                *(f"<p>{escape(sentence)}</p>" for sentence in finding.sentences),
                *(self._figure(picture) for picture in finding.pictures),
                *(_table(table) for table in finding.tables),
                "</section>",
            ]
        )

    def _figure(self, picture: Picture) -> str:
        light, dark = picture.figure("light"), picture.figure("dark")
        name = f"f{len(self.plots)}"
        panels = interactive.panels(light, name)
        recolouring = interactive.recolouring(panels, interactive.panels(dark, name))
        self.plots[name] = {"items": [panel.item for panel in panels], "recolouring": recolouring}
        title, caption = _words(light, panels)
        plots = [
            '<div class="panel">'
            + (f"<p>{escape(panel.title)}</p>" if len(panels) > 1 and panel.title else "")
            + '<div class="plot"></div></div>'
            for panel in panels
        ]
        return "\n".join(
            [
                f'<figure data-plots="{name}"><div class="static"><img alt="{escape(title or caption)}"'
                f' src="{static.address(light)}"></div>',
                f'<div class="interactive"><h4>{escape(title)}</h4>',
                legend_html(light, recolouring),
                f'<div class="panels{" one" if len(panels) == 1 else ""}">{"".join(plots)}</div>',
                '<div class="controls"><button type="button" data-step="-1">Previous point</button>'
                '<button type="button" data-step="1">Next point</button>'
                '<output aria-live="polite"></output></div></div>',
                f"<figcaption>{escape(caption)}</figcaption></figure>",
            ]
        )


# --- parts ---------------------------------------------------------------------------------
def _words(figure: Figure, panels: list[interactive.Panel]) -> tuple[str, str]:
    """Title and caption of a figure."""
    titled = figure.get_suptitle() or (panels[0].title if len(panels) == 1 else "")
    own = static.captions(figure)
    return titled, " ".join(" ".join(text.get_text().split()) for text in own)


def _contents(report: Report) -> str:
    links = [(f"joint-{i}", found.title) for i, found in enumerate(report.joint)]
    for index, chapter in enumerate(report.chapters):
        if len(report.chapters) > 1:
            links.append((f"study-{index}", chapter.name))
        links += [(f"{index}-{found.kind}", found.title) for found in chapter.findings]
        links += [(f"{index}-run", "What was run"), (f"{index}-again", "How to reproduce")]
    listed = "".join(f'<li><a href="#{anchor}">{escape(title)}</a></li>' for anchor, title in links)
    return f'<nav aria-label="Contents"><ul>{listed}</ul></nav>'


def _record(record: Record, index: int) -> str:
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in record.facts)
    failed = "".join(f"<li>{escape(said)}</li>" for said in record.failures)
    typed = "\n".join(f"# {why}\n{command}" for why, command in record.commands)
    return "\n".join(
        [
            f'<section aria-labelledby="{index}-run"><h2 id="{index}-run">What was run</h2>',
            f"<dl>{facts}</dl>",
            f"<details><summary>Settings</summary>{_table(record.settings)}</details>",
            "<h3>What failed</h3>",
            f"<ul>{failed}</ul>" if failed else "<p>Nothing: every planned run is complete.</p>",
            "</section>",
            f'<section aria-labelledby="{index}-again"><h2 id="{index}-again">How to reproduce</h2>',
            f"<pre>{escape(typed)}</pre>",
            "<p>The command of one run asks for study.json in the folder of the study; it leaves a"
            " finished run as it is.</p>",
            f"<details><summary>Every run, with its command</summary>{_table(record.runs)}</details>",
            "</section>",
        ]
    )


def _table(table: Table) -> str:
    title, columns, rows = table
    numeric = [all(_is_number(row[i]) for row in rows) for i in range(len(columns))]
    head = "".join(
        f'<th scope="col"{_n(number)}>{escape(column)}</th>'
        for column, number in zip(columns, numeric, strict=True)
    )
    lines = []
    for row in rows:
        cells = [
            f"<td{_n(number) or _w(column, text)}>{_cell(column, text)}</td>"
            for column, text, number in zip(columns, row, numeric, strict=True)
        ]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(title)}"><table>'
        f"<caption>{escape(title)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _cell(column: str, text: str) -> str:
    return f"<code>{escape(text)}</code>" if column == "command" else escape(text)


def _n(numeric: bool) -> str:
    return ' class="n"' if numeric else ""


def _w(column: str, text: str) -> str:
    """Long texts wrap, all else stays on a line."""
    return ' class="w"' if len(text) > 40 and column != "command" else ""


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"-|[-+]?[\d.]+(e[-+]?\d+)?[kMGTP]?(/\d+)?", text))


def _pack(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content, 9)).decode()


def _bokeh() -> bytes:
    import bokeh

    return (Path(bokeh.__file__).parent / BOKEH).read_bytes()


def _resource(name: str) -> str:
    return resources.files("crlscale.report").joinpath(name).read_text()
