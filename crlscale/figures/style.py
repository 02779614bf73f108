"""How every figure looks and how it is written: the only place that names a colour or a size."""

import functools
import io
import textwrap
from collections.abc import Callable
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from crlscale.files import replace_file

# Okabe and Ito's colours, told apart by the colour-blind; markers tell them apart in grey
INK = "#222222"
FAINT = "#8c8c8c"
BLUE = "#0072B2"
ORANGE = "#D55E00"
BAND = "#E9B44C"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", "--", "-.", ":")

SETTINGS = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.handlelength": 3.0,
    "svg.fonttype": "path",
    "svg.hashsalt": "crlscale",
    "figure.dpi": 100,
    "savefig.dpi": 160,
}
CAPTION_SIZE = 7
CAPTION_LINE = 0.145  # height of a caption line [inches]
CAPTION_CHARACTERS = 17.5  # that fit an inch


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Decorates a function that draws a whole figure: every artist it makes is in house style."""

    @functools.wraps(draw)
    def draw_styled(*arguments, **keywords):
        with matplotlib.rc_context(SETTINGS):
            return draw(*arguments, **keywords)

    return draw_styled


def new_figure(width: float, height: float, panels: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of `width` x `height` inches with `panels` axes side by side that share y."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(1, panels, sharey=True, squeeze=False)[0])


def caption(figure: Figure, text: str) -> None:
    """Write `text` under the axes, wrapped, and make room for it."""
    width, height = figure.get_size_inches()
    lines = textwrap.wrap(text, int((width - 0.2) * CAPTION_CHARACTERS))
    figure.text(
        0.1 / width, 0.05 / height, "\n".join(lines), size=CAPTION_SIZE, color="#555555", va="bottom"
    )
    room = (len(lines) * CAPTION_LINE + 0.1) / height
    figure.get_layout_engine().set(rect=(0, room, 1, 1 - room))


def shades(count: int) -> list[tuple]:
    """`count` colours from dark to light, in order in grey as well."""
    palette = matplotlib.colormaps["cividis"]
    return [palette(0.02 + 0.83 * index / max(count - 1, 1)) for index in range(count)]


def save(figure: Figure, folder: Path, stem: str) -> list[Path]:
    """Write `stem`.png and `stem`.svg; the same figure gives the same bytes."""
    written = []
    for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
        content = io.BytesIO()
        with matplotlib.rc_context(SETTINGS):
            figure.savefig(content, format=kind, metadata=metadata)
        path = Path(folder) / f"{stem}.{kind}"
        replace_file(path, content.getvalue())
        written.append(path)
    return written
