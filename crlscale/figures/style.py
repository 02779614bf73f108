"""How every figure looks and how it is written: the only place that names a colour or a size."""

import functools
import io
import textwrap
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from crlscale.files import replace_file


@dataclass(frozen=True)
class Palette:
    """The colours of one theme. blue, orange and green are Okabe and Ito's, told apart by the
    colour-blind; markers tell them apart in grey. `span` is the part of the shades that stands out
    from `paper`, from strongest to weakest."""

    paper: str
    ink: str
    faint: str
    caption: str
    grid: str
    shared: str
    blue: str
    orange: str
    green: str
    band: str
    span: tuple[float, float]


PALETTES = {
    "light": Palette(
        paper="#ffffff",
        ink="#222222",
        faint="#8c8c8c",
        caption="#555555",
        grid="#e4e4e4",
        shared="#efefef",
        blue="#0072B2",
        orange="#D55E00",
        green="#009E73",
        band="#E9B44C",
        span=(0.02, 0.85),
    ),
    "dark": Palette(
        paper="#16181c",
        ink="#e6e6e6",
        faint="#999ea6",
        caption="#b0b4ba",
        grid="#32363d",
        shared="#24272d",
        blue="#56B4E9",
        orange="#F58231",
        green="#2BC79A",
        band="#8A6A2B",
        span=(1.0, 0.42),
    ),
}
THEMES = tuple(PALETTES)
FORMATS = ("png", "svg", "pdf")
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
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.linewidth": 0.6,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.handlelength": 3.0,
    "svg.fonttype": "path",
    "svg.hashsalt": "crlscale",
    "pdf.fonttype": 42,
    "figure.dpi": 100,
    "savefig.dpi": 160,
}
_INKED = (
    "text.color",
    "axes.edgecolor",
    "axes.labelcolor",
    "axes.titlecolor",
    "xtick.color",
    "ytick.color",
)
_METADATA = {  # nothing that differs from one day to the next
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
ROWS_OF_LEGEND = 16
MARGIN = 0.4  # of an axis of levels, beyond the first and the last [doublings]
CAPTION_SIZE = 7
CAPTION_LINE = 0.145  # height of a caption line [inches]
CAPTION_CHARACTERS = 17.5  # that fit an inch

_theme: ContextVar[str] = ContextVar("theme", default="light")
_note: ContextVar[str] = ContextVar("note", default="")


def palette() -> Palette:
    """The colours of the theme that is being drawn."""
    return PALETTES[_theme.get()]


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Decorates a function that draws a whole figure: every artist it makes is in house style, in
    the theme that the keyword `theme` names; its caption ends with the sentence `note`."""

    @functools.wraps(draw)
    def draw_styled(*arguments, theme: str = "light", note: str = "", **keywords):
        tokens = _theme.set(theme), _note.set(note)
        try:
            with matplotlib.rc_context(_settings()):
                return draw(*arguments, **keywords)
        finally:
            _theme.reset(tokens[0])
            _note.reset(tokens[1])

    return draw_styled


def _settings() -> dict:
    colours = palette()
    return {
        **SETTINGS,
        **dict.fromkeys(_INKED, colours.ink),
        "grid.color": colours.grid,
        "figure.facecolor": colours.paper,
        "axes.facecolor": colours.paper,
    }


def empty_figure(width: float, height: float) -> Figure:
    """A figure of `width` x `height` inches without axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def new_figure(width: float, height: float, panels: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of `width` x `height` inches with `panels` axes side by side that share y."""
    figure = empty_figure(width, height)
    return figure, list(figure.subplots(1, panels, sharey=True, squeeze=False)[0])


def caption(figure: Figure, text: str) -> None:
    """Write `text` under the axes, wrapped, and make room for it."""
    width, height = figure.get_size_inches()
    text = f"{text} {_note.get()}".rstrip()
    lines = textwrap.wrap(text, int((width - 0.2) * CAPTION_CHARACTERS))
    figure.text(
        0.1 / width,
        0.05 / height,
        "\n".join(lines),
        size=CAPTION_SIZE,
        color=palette().caption,
        va="bottom",
    )
    room = (len(lines) * CAPTION_LINE + 0.1) / height
    figure.get_layout_engine().set(rect=(0, room, 1, 1 - room))


def shade_map() -> Colormap:
    """Colours in order in grey as well, from strongest to weakest against the paper."""
    low, high = palette().span
    cividis = matplotlib.colormaps["cividis"]
    return ListedColormap([cividis(low + (high - low) * index / 255) for index in range(256)], "shades")


def shades(count: int) -> list[tuple]:
    """`count` colours of `shade_map`."""
    shade = shade_map()
    return [shade(index / max(count - 1, 1)) for index in range(count)]


def one_colour(colour: str) -> Colormap:
    """A colour map of a single colour."""
    return ListedColormap([colour], "one")


def ink_on(colour: tuple) -> str:
    """Black or white, whichever reads better on `colour`."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3]
    )
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "#000000" if luminance > 0.18 else "#ffffff"


def looks(levels: Sequence[dict]) -> list[dict]:
    """One look for each cell, given by its levels: colour by the level of the first axis, dashes of
    the second, marker of the third; with fewer axes the last one has what is left, so that lines
    differ in grey."""
    axes = list(levels[0])
    of_axes = [list(dict.fromkeys(cell[axis] for cell in levels)) for axis in axes]
    colours = shades(len(of_axes[0]))
    found = []
    for cell in levels:
        at = [known.index(cell[axis]) for axis, known in zip(axes, of_axes, strict=True)]
        second = at[min(1, len(at) - 1)]
        third = at[min(2, len(at) - 1)]
        found.append(
            {
                "color": colours[at[0]],
                "linestyle": DASHES[second % len(DASHES)],
                "marker": MARKERS[third % len(MARKERS)],
            }
        )
    return found


def legend_beside(figure: Figure, cells: Sequence, looks: Sequence[dict], title: str) -> None:
    """A legend right of the axes, one line a cell, in columns of at most 16."""
    handles = [
        Line2D(
            [], [], label=", ".join(map(str, cell.levels.values())), linewidth=1.8, markersize=4, **look
        )
        for cell, look in zip(cells, looks, strict=True)
    ]
    columns = -(-len(handles) // ROWS_OF_LEGEND)
    figure.legend(
        handles=handles, title=title, loc="outside right upper", ncols=columns, alignment="left"
    )


LEVEL_UNITS = {"width": "units", "batch_size": "triples"}


def level_axis(axes: Axes, axis: str, levels: Sequence) -> None:
    """x in log2 steps with a tick at each of the positive `levels` of the config field `axis`."""
    if all(isinstance(level, int | float) and level > 0 for level in levels):
        axes.set_xscale("log", base=2)
        room = 2**MARGIN
        axes.set_xlim(min(levels) / room, max(levels) * room)
        axes.set_xlabel(level_label(axis, "log2 scale"))
    else:
        axes.set_xlabel(level_label(axis))
    axes.set_xticks(levels, [f"{level}" for level in levels])
    axes.xaxis.set_minor_locator(NullLocator())


def level_label(axis: str, scale: str = "") -> str:
    """The label of an axis of levels of the config field `axis`, with its unit."""
    unit = LEVEL_UNITS.get(axis, "Dense layers" if axis.endswith("depth") else "")
    inside = ", ".join(part for part in (unit, scale) if part)
    return axis.replace("_", " ") + (f" [{inside}]" if inside else "")


def tell(artist: Artist, texts: Sequence[str]) -> None:
    """Note what each point of `artist` stands for, in exact numbers; a report shows it on hover."""
    artist.told = list(texts)


def save(
    figure: Figure, folder: Path, stem: str, formats: Sequence[str] = ("png", "svg")
) -> list[Path]:
    """Write `stem`.png and so on; the same figure gives the same bytes."""
    written = []
    for kind in formats:
        path = Path(folder) / f"{stem}.{kind}"
        replace_file(path, rendered(figure, kind))
        written.append(path)
    return written


def rendered(figure: Figure, kind: str) -> bytes:
    """The figure as the bytes of a file of `kind`, one of FORMATS."""
    content = io.BytesIO()
    with matplotlib.rc_context(SETTINGS):
        figure.savefig(content, format=kind, metadata=_METADATA[kind])
    return content.getvalue()
