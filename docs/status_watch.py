"""Makes docs/figures/status-watch.svg: `python docs/status_watch.py`, minutes on two cores.

Starts a real sweep in a folder of its own, kills one of its runs, and draws what
`crlscale status --watch` shows of it in the middle. The sweep is then stopped."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI

from crlscale.cli.board import Screen, board
from crlscale.overview import Overview

FIGURE = Path(__file__).parent / "figures" / "status-watch.svg"
WIDTH, HEIGHT = 80, 30
SWEEP = [
    "sweep",
    "depth",
    "--min",
    "2",
    "--max",
    "32",
    "--seeds",
    "4",
    "--preset",
    "smoke",
    "--jobs",
    "2",
]
# rich's own picture fetches a font from the network
SVG = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>.{unique_id}-matrix {{font: {char_height}px Menlo, Consolas, "DejaVu Sans Mono", monospace;
line-height: {line_height}px; white-space: pre;}} {styles}</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}"
height="{terminal_height}"/></clipPath>{lines}</defs>
<rect width="100%" height="100%" rx="8" fill="#191919"/>
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}<g class="{unique_id}-matrix">{matrix}</g></g></svg>
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        command = [sys.executable, "-m", "crlscale", *SWEEP, "--results", folder]
        sweep = subprocess.Popen([*command, "--set", "env_steps=60000"], stdout=subprocess.DEVNULL)
        try:
            overview = _in_the_middle(results)
            draw(overview)
        finally:
            sweep.terminate()
            sweep.wait()


def _in_the_middle(results: Path) -> Overview:
    """The study once half of its runs have ended and one of them failed."""
    killed = False
    while True:
        time.sleep(2.0)
        found = list(results.glob("*/study.json"))
        if not found:
            continue
        overview = Overview(found[0].parent)
        overview.look()
        running = [run_id for run_id in overview.named("running") if overview.done(run_id) > 0.1]
        if not killed and running and overview.counts.get("complete", 0) >= 5:
            os.kill(overview.runs[running[0]]["pid"], 9)
            killed = True
        if killed and running and overview.counts.get("complete", 0) >= len(overview.runs) // 2:
            return overview


def draw(overview: Overview) -> None:
    with open(os.devnull, "w") as nowhere:
        console = Console(width=WIDTH, height=HEIGHT, record=True, file=nowhere, force_terminal=True)
        console.print(board(overview, Screen(WIDTH, HEIGHT)))
    FIGURE.write_text(console.export_svg(theme=DIMMED_MONOKAI, code_format=SVG))


if __name__ == "__main__":
    main()
