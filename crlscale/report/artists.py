"""The artists of a drawn figure as glyphs of a Bokeh plot.

Lines, points, bands, rectangles, meshes and texts are known; anything else is a ValueError, so that a
figure cannot lose a part in silence."""

import numpy as np
from bokeh.models import BoxAnnotation, ColumnDataSource, Label, Span
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection, QuadMesh
from matplotlib.colors import to_hex, to_rgba
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

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
STEPS = {"steps-pre": "before", "steps-post": "after"}
NOTHING = ("", "none", "None", " ", None)


def draw(plot, axes: Axes, artist):
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


def alpha_of(artist) -> float:
    return 1.0 if artist.get_alpha() is None else float(artist.get_alpha())


def _line(plot, axes: Axes, line: Line2D):
    if line.get_transform() != axes.transData:
        return _span(plot, axes, line)
    x, y = (np.asarray(part, dtype=float) for part in line.get_data(orig=False))
    colour, alpha = to_hex(line.get_color()), alpha_of(line)
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
            fill_alpha=alpha_of(box),
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
