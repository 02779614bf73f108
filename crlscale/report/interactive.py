"""A drawn figure again as plots one can zoom and hover, by Bokeh: the same marks, numbers and words.

What a report shows on the screen is translated from the artists of the static figure, so that no
number is drawn twice. Lines, points, bands, rectangles, meshes and texts are known; anything else is
a ValueError, so that a figure cannot lose a part in silence."""

import json
import re
from dataclasses import dataclass

import numpy as np
from bokeh.embed import json_item
from bokeh.models import (
    BoxAnnotation,
    ColumnDataSource,
    CustomJSTickFormatter,
    FixedTicker,
    HoverTool,
    Label,
    Range1d,
    Span,
)
from bokeh.plotting import figure as new_plot
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection, QuadMesh
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import EngFormatter, FixedLocator

MARKERS = {
    "o": "circle",
    ".": "dot",
    "s": "square",
    "^": "triangle",
    "v": "inverted_triangle",
    "D": "diamond",
    "P": "plus",
    "X": "x",
    "x": "x",
    "*": "star",
}
DASHES = {"-": "solid", "--": "dashed", "-.": "dashdot", ":": "dotted"}
ALIGN = {"center": "center", "right": "right"}
BASELINE = {"center": "middle", "top": "top"}
HEIGHT = 340  # of a panel [CSS pixels]
TOOLS = "pan,box_zoom,wheel_zoom,zoom_in,zoom_out,reset"
STEPS = {"steps-pre": "before", "steps-post": "after"}
ENGINEERING = """
let at = 0, value = tick;
while (Math.abs(value) >= 1000 && at < 6) { value /= 1000; at += 1; }
return String(Number(value.toPrecision(3))) + ["", "k", "M", "G", "T", "P", "E"][at];
"""
NOTHING = ("", "none", "None", " ", None)


@dataclass(frozen=True)
class Panel:
    """One axes: its title, and what `Bokeh.embed.embed_item` takes."""

    title: str
    item: dict


def panels(figure: Figure, prefix: str) -> list[Panel]:
    """The axes of `figure` from left to right as plots; `prefix` makes their ids unique on a page.
    The same figure gives the same ids."""
    found = []
    for axes in figure.axes:
        if axes.get_label() == "<colorbar>":
            continue
        plot = _plot(axes)
        text = json.dumps(json_item(plot))
        found.append(
            Panel(axes.get_title(loc="left") or axes.get_title(), _own_ids(text, prefix, len(found)))
        )
    return found


def _own_ids(text: str, prefix: str, index: int) -> dict:
    """The item with ids by order of appearance instead of Bokeh's running numbers."""
    known: dict[str, str] = {}

    def number(match: re.Match) -> str:
        return known.setdefault(match[0], f'"{prefix}-{index}-{len(known)}"')

    return json.loads(re.sub(r'"p\d+"', number, text))


def recolouring(light: list[Panel], dark: list[Panel]) -> dict[str, str]:
    """Colours of the light plots -> those of the same plots drawn dark."""
    colours: dict[str, str] = {}

    def walk(one, other) -> None:
        if isinstance(one, dict):
            for key, value in one.items():
                walk(value, other[key])
        elif isinstance(one, list):
            for value, another in zip(one, other, strict=True):
                walk(value, another)
        elif isinstance(one, str) and re.fullmatch("#[0-9a-f]{6}", one):
            colours.setdefault(one, other)

    walk([panel.item for panel in light], [panel.item for panel in dark])
    return colours


# --- one axes ------------------------------------------------------------------------------
def _plot(axes: Axes):
    x_range, y_range = (Range1d(*map(float, limits)) for limits in (axes.get_xlim(), axes.get_ylim()))
    square = axes.get_aspect() == 1.0
    plot = new_plot(
        height=HEIGHT,
        sizing_mode="stretch_width",
        x_axis_type=axes.get_xscale(),
        y_axis_type=axes.get_yscale(),
        x_range=x_range,
        y_range=y_range,
        x_axis_label=axes.get_xlabel() or None,
        y_axis_label=axes.get_ylabel() or None,
        tools=TOOLS,
        match_aspect=square,
        toolbar_location="above",
    )
    plot.toolbar.logo = None
    _style(plot, axes)
    told = [_draw(plot, axes, artist) for artist in _artists(axes)]
    hovered = [renderer for renderer in told if renderer is not None]
    plot.add_tools(
        HoverTool(renderers=hovered, tooltips="<div class='told'>@told</div>", attachment="above")
    )
    return plot


def _artists(axes: Axes) -> list:
    drawn = [*axes.patches, *axes.collections, *axes.lines, *axes.texts]
    return sorted((a for a in drawn if a.get_visible()), key=lambda artist: artist.get_zorder())


def _style(plot, axes: Axes) -> None:
    """Ink, grid and ticks of the axes."""
    ink = to_hex(axes.xaxis.label.get_color())
    plot.background_fill_color = plot.border_fill_color = None  # the page's
    plot.outline_line_color = None
    for side, axis, grid in (
        (axes.xaxis, plot.xaxis, plot.xgrid),
        (axes.yaxis, plot.yaxis, plot.ygrid),
    ):
        axis.axis_line_color = axis.major_tick_line_color = ink
        axis.axis_label_text_color = axis.major_label_text_color = ink
        axis.axis_label_text_font_style = "normal"
        axis.minor_tick_line_color = None
        lines = side.get_gridlines()
        shown = lines and lines[0].get_visible() and axes.axison and side._major_tick_kw.get("gridOn")
        grid.grid_line_color = to_hex(lines[0].get_color()) if shown else None
        _ticks(axis[0], side)


def _ticks(axis, side) -> None:
    """The ticks of the static figure where they are fixed; else Bokeh's, which follow a zoom."""
    locator, formatter = side.get_major_locator(), side.get_major_formatter()
    if isinstance(locator, FixedLocator):
        ticks = [float(tick) for tick in locator()]
        labels = [text.replace("$", "") for text in formatter.format_ticks(ticks)]
        axis.ticker = FixedTicker(ticks=ticks)
        axis.major_label_overrides = dict(zip(ticks, labels, strict=True))
    if isinstance(formatter, EngFormatter):
        axis.formatter = CustomJSTickFormatter(code=ENGINEERING)
    elif side.get_scale() == "log" and not isinstance(locator, FixedLocator):
        axis.formatter = CustomJSTickFormatter(code="return String(Number(tick.toPrecision(3)))")


def _draw(plot, axes: Axes, artist):
    """Add `artist` to `plot`; returns the renderer to hover, if its points say something."""
    if isinstance(artist, Line2D):
        return _line(plot, axes, artist)
    if isinstance(artist, Rectangle):
        return _rectangle(plot, axes, artist)
    if isinstance(artist, QuadMesh):
        return _mesh(plot, artist)
    if isinstance(artist, PolyCollection):
        return _band(plot, artist)
    if hasattr(artist, "get_text"):
        return _text(plot, artist)
    raise ValueError(f"no translation for {type(artist).__name__}")


def _alpha(artist) -> float:
    return 1.0 if artist.get_alpha() is None else float(artist.get_alpha())


def _line(plot, axes: Axes, line: Line2D):
    if line.get_transform() != axes.transData:
        return _span(plot, axes, line)
    x, y = (np.asarray(part, dtype=float) for part in line.get_data(orig=False))
    colour, alpha = to_hex(line.get_color()), _alpha(line)
    if line.get_linestyle() not in NOTHING and len(x) > 1:
        look = {
            "line_color": colour,
            "line_alpha": alpha,
            "line_width": line.get_linewidth() * 1.3,
            "line_dash": DASHES[line.get_linestyle()],
        }
        if line.get_drawstyle() in STEPS:
            plot.step(_plain(x), _plain(y), mode=STEPS[line.get_drawstyle()], **look)
        else:
            plot.line(_plain(x), _plain(y), **look)
    told = getattr(line, "told", None)
    marker = MARKERS.get(line.get_marker())
    if marker is None and told is None:
        return None
    source = {"x": _plain(x), "y": _plain(y)} | ({"told": told} if told else {})
    face = line.get_markerfacecolor()
    shown = marker is not None
    renderer = plot.scatter(
        "x",
        "y",
        source=ColumnDataSource(source),
        marker=marker or "circle",
        size=line.get_markersize() * 1.4 if shown else 5,
        line_color=to_hex(line.get_markeredgecolor()),
        line_alpha=alpha if shown else 0.0,
        fill_color=None if face in NOTHING else to_hex(face),
        fill_alpha=alpha if shown else 0.0,
    )
    _emphasise(renderer, axes)
    return renderer if told else None


def _emphasise(renderer, axes: Axes) -> None:
    """A chosen point is large and in ink, the others stay as they are."""
    ink = to_hex(axes.xaxis.label.get_color())
    chosen = renderer.glyph.clone()
    chosen.update(size=renderer.glyph.size + 7, line_color=ink, line_width=2.5, line_alpha=1.0)
    renderer.selection_glyph, renderer.nonselection_glyph = chosen, renderer.glyph


def _span(plot, axes: Axes, line: Line2D) -> None:
    """A line across the whole axes."""
    x, y = (list(map(float, part)) for part in line.get_data(orig=False))
    upright = x[0] == x[-1]
    plot.add_layout(
        Span(
            location=x[0] if upright else y[0],
            dimension="height" if upright else "width",
            line_color=to_hex(line.get_color()),
            line_dash=DASHES[line.get_linestyle()],
            line_width=line.get_linewidth() * 1.3,
            level="underlay",
        )
    )


def _rectangle(plot, axes: Axes, box: Rectangle) -> None:
    left, bottom, right, top = box.get_x(), box.get_y(), box.get_x() + box.get_width(), None
    top = bottom + box.get_height()
    across = box.get_transform() != box.get_patch_transform() + axes.transData
    plot.add_layout(
        BoxAnnotation(
            left=float(left),
            right=float(right),
            bottom=None if across else float(bottom),
            top=None if across else float(top),
            fill_color=to_hex(box.get_facecolor()),
            fill_alpha=_alpha(box),
            line_color=None,
            level="underlay",
        )
    )


def _mesh(plot, mesh: QuadMesh):
    corners = mesh.get_coordinates()
    values = np.ma.filled(np.ma.asarray(mesh.get_array(), dtype=float), np.nan).reshape(
        corners.shape[0] - 1, corners.shape[1] - 1
    )
    told = getattr(mesh, "told", None)
    texts = np.array(told, dtype=object).reshape(values.shape) if told else None
    kept = np.argwhere(np.isfinite(values)).tolist()
    colours = mesh.cmap(mesh.norm(values))
    source = {
        "left": [float(corners[r, c, 0]) for r, c in kept],
        "right": [float(corners[r + 1, c + 1, 0]) for r, c in kept],
        "bottom": [float(corners[r, c, 1]) for r, c in kept],
        "top": [float(corners[r + 1, c + 1, 1]) for r, c in kept],
        "colour": [to_hex(colours[r, c]) for r, c in kept],
    }
    if told:
        source["told"] = [texts[r, c] for r, c in kept]
    renderer = plot.quad(
        left="left", right="right", bottom="bottom", top="top", fill_color="colour", line_color=None,
        source=ColumnDataSource(source),
    )  # fmt: skip
    if told:
        chosen = renderer.glyph.clone()
        chosen.update(line_color="#d55e00", line_width=3)
        renderer.selection_glyph, renderer.nonselection_glyph = chosen, renderer.glyph
    return renderer if told else None


def _band(plot, band: PolyCollection) -> None:
    colour = to_rgba(band.get_facecolor()[0])
    for path in band.get_paths():
        x, y = path.vertices.T
        plot.patch(
            _plain(x), _plain(y), fill_color=to_hex(colour), fill_alpha=colour[3], line_color=None
        )


def _text(plot, text) -> None:
    x, y = text.get_position()
    bold = str(text.get_weight()) == "bold"
    upright = text.get_rotation() == 90  # and then stands on its place
    plot.add_layout(
        Label(
            x=float(x),
            y=float(y),
            text=text.get_text(),
            text_color=to_hex(text.get_color()),
            angle=text.get_rotation(),
            angle_units="deg",
            text_align="left" if upright else ALIGN.get(text.get_ha(), "left"),
            text_baseline="middle" if upright else BASELINE.get(text.get_va(), "bottom"),
            text_font_size=f"{text.get_size() * 1.35:.0f}px",
            text_font_style="bold" if bold else "normal",
        )
    )


def _plain(values: np.ndarray) -> list:
    """Numbers as JSON has them; NaN stays, Bokeh knows it."""
    return [float(value) for value in values]


# --- the legend ----------------------------------------------------------------------------
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
    return Key(label, colour, _alpha(handle), dash, marker, hollow)
