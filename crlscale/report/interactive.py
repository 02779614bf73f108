"""A drawn figure again as plots one can zoom and hover, by Bokeh: the same marks, numbers and words.

What a report shows on the screen is translated from the artists of the static figure, so that no
number is drawn twice: one axes here, its artists in artists.py, the legend in legend.py."""

import json
import re
from dataclasses import dataclass

from bokeh.embed import json_item
from bokeh.models import CustomJSTickFormatter, FixedTicker, HoverTool, Range1d
from bokeh.plotting import figure as new_plot
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FixedLocator

from crlscale.report.artists import draw

HEIGHT = 340  # of a panel [CSS pixels]
TOOLS = "pan,box_zoom,wheel_zoom,zoom_in,zoom_out,reset"
ENGINEERING = """
let at = 0, value = tick;
while (Math.abs(value) >= 1000 && at < 6) { value /= 1000; at += 1; }
return String(Number(value.toPrecision(3))) + ["", "k", "M", "G", "T", "P", "E"][at];
"""


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
    told = [draw(plot, axes, artist) for artist in _artists(axes)]
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
