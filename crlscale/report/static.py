"""A drawn figure as the picture that a report has on paper and without scripts: SVG in an address."""

import re
from urllib.parse import quote

from matplotlib.figure import Figure
from matplotlib.text import Text

from crlscale.figures import style


def captions(figure: Figure) -> list[Text]:
    """The texts under the axes."""
    return [text for text in figure.texts if text is not figure._suptitle]


def address(figure: Figure) -> str:
    """The figure as the address of an image, readable where it may be. Its caption is left out, for
    good: the page has it as text, and drawn letter by letter it makes a third of the picture."""
    _drop_caption(figure)
    svg = style.rendered(figure, "svg").decode()
    svg = svg[svg.index("<svg") :].replace('"', "'")
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"\s+", " ", svg)
    return "data:image/svg+xml," + quote(svg, safe=" ='():;/,.-_+*@!?$[]")


def _drop_caption(figure: Figure) -> None:
    """Remove the caption and the room below the axes that it has."""
    for text in captions(figure):
        text.remove()
    engine, (width, height) = figure.get_layout_engine(), figure.get_size_inches()
    figure.set_size_inches(width, height * (1 - engine.get()["rect"][1]))
    engine.set(rect=(0, 0, 1, 1))
