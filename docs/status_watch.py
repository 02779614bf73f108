"""Draws what `crlscale status STUDY --watch` shows right now: `python docs/status_watch.py FOLDER`.

docs/figures/status-watch.svg is such a picture of `crlscale sweep depth --min 2 --max 32 --seeds 4
--preset smoke --set env_steps=60000 --runs-per-process 4 --retries 0` in the middle, after one of
its processes was killed."""

import io
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI

from crlscale.cli.board import Screen, board
from crlscale.overview import Overview

FIGURE = Path(__file__).parent / "figures" / "status-watch.svg"
WIDTH, HEIGHT = 80, 30
# rich's own frame fetches a font from the network
SVG = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>.{unique_id}-matrix {{font: {char_height}px Menlo, Consolas, "DejaVu Sans Mono", monospace;
line-height: {line_height}px; white-space: pre;}} {styles}</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}"
height="{terminal_height}"/></clipPath>{lines}</defs>
<rect width="100%" height="100%" rx="8" fill="#191919"/>
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}<g class="{unique_id}-matrix">{matrix}</g></g></svg>
"""


def main(folder: Path) -> None:
    overview = Overview(folder)
    overview.look()
    console = Console(width=WIDTH, height=HEIGHT, record=True, file=io.StringIO(), force_terminal=True)
    console.print(board(overview, Screen(WIDTH, HEIGHT)))
    console.print()
    FIGURE.write_text(console.export_svg(theme=DIMMED_MONOKAI, code_format=SVG))
    print(FIGURE)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
