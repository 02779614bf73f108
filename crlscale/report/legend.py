"""The legend of a drawn figure, wherever it stands, as HTML."""

from dataclasses import dataclass
from html import escape

from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from crlscale.report.artists import DASHES, MARKERS, NOTHING, alpha_of

SWATCH = {"solid": "", "dashed": "6 3", "dashdot": "6 2 1.5 2", "dotted": "1.5 2"}


@dataclass(frozen=True)
class Key:
    """One entry of a legend: what a swatch needs to look like its marks."""

    label: str
    colour: str
    alpha: float
    dash: str | None
    marker: str | None
    hollow: bool


def legend(figure: Figure) -> tuple[str, list[Key]]:
    """Title and entries of the figure's legend, wherever it stands."""
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend())]
    if not legends:
        return "", []
    keys = [
        _key(handle, text.get_text())
        for handle, text in zip(legends[0].legend_handles, legends[0].get_texts(), strict=True)
    ]
    return legends[0].get_title().get_text(), keys


def _key(handle, label: str) -> Key:
    if isinstance(handle, Patch):
        colour = handle.get_facecolor()
        return Key(label, to_hex(colour), colour[3], None, "band", False)
    dashed = handle.get_linestyle() not in NOTHING
    marker = MARKERS.get(handle.get_marker())
    hollow = handle.get_markerfacecolor() in NOTHING
    colour = to_hex(handle.get_markeredgecolor() if not dashed else handle.get_color())
    dash = DASHES[handle.get_linestyle()] if dashed else None
    return Key(label, colour, alpha_of(handle), dash, marker, hollow)


def legend_html(figure: Figure, recolouring: dict[str, str]) -> str:
    """The legend as a list of HTML, empty where there is none. `recolouring`: light colour -> dark."""
    title, keys = legend(figure)
    if not keys:
        return ""
    items = "".join(f"<li>{_swatch(key, recolouring)}{escape(key.label)}</li>" for key in keys)
    head = f"<li>{escape(title)}:</li>" if title else ""
    return f'<ul class="legend">{head}{items}</ul>'


def _swatch(key: Key, recolouring: dict[str, str]) -> str:
    """A small drawing of the marks of a legend's entry, in the colours of both themes."""
    dark = recolouring.get(key.colour, key.colour)
    parts = []
    if key.dash is not None:
        parts.append(
            f'<path d="M1 6h24" stroke="currentColor" stroke-width="2" stroke-dasharray="{SWATCH[key.dash]}"/>'
        )
    if key.marker == "band":
        parts.append(f'<path d="M1 1h24v10h-24z" fill="currentColor" opacity="{key.alpha:g}"/>')
    elif key.marker:
        fill = "none" if key.hollow else "currentColor"
        parts.append(f'<path d="{SHAPES[key.marker]}" fill="{fill}" stroke="currentColor"/>')
    style = f"--c:{key.colour};--d:{dark}"
    return f'<svg aria-hidden="true" width="26" height="12" style="{style}">{"".join(parts)}</svg>'


SHAPES = {
    "circle": "M9.5 6a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z",
    "dot": "M12 6a1 1 0 1 0 2 0a1 1 0 1 0 -2 0z",
    "square": "M10 3h6v6h-6z",
    "triangle": "M13 2l4 7h-8z",
    "inverted_triangle": "M13 10l4 -7h-8z",
    "diamond": "M13 1.5l4 4.5l-4 4.5l-4 -4.5z",
    "plus": "M12 2h2v3h3v2h-3v3h-2v-3h-3v-2h3z",
    "x": "M10 3l6 6M16 3l-6 6",
    "star": "M13 1l1.5 3.4l3.7 .4l-2.8 2.5l.8 3.7l-3.2 -1.9l-3.2 1.9l.8 -3.7l-2.8 -2.5l3.7 -.4z",
}
