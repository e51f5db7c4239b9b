"""The marker of a method, as on the chart, small enough for a line of text."""

from base64 import b64encode

from qcqa.charts.common.palette import MethodStyle

_SHAPES = {
    "circle": '<circle cx="8" cy="8" r="6"/>',
    "square": '<rect x="2.5" y="2.5" width="11" height="11"/>',
    "star": '<path d="M8 .8l2.1 4.9 5.3.5-4 3.5 1.2 5.2L8 12.2l-4.6 2.7 1.2-5.2-4-3.5 5.3-.5z"/>',
    "hexagon": '<path d="M8 1l6.1 3.5v7L8 15l-6.1-3.5v-7z"/>',
    "triangle-up": '<path d="M8 2l6.5 12h-13z"/>',
    "triangle-down": '<path d="M8 14L1.5 2h13z"/>',
    "diamond": '<path d="M8 1l6.5 7L8 15 1.5 8z"/>',
    "diamond-tall": '<path d="M8 .5l4 7.5-4 7.5L4 8z"/>',
    "pentagon": '<path d="M8 1.2l6.8 5-2.6 8H3.8l-2.6-8z"/>',
    "star-triangle-up": '<path d="M8 1l2.2 7.2L15 14l-7-1.6L1 14l4.8-5.8z"/>',
    "x": '<path d="M2 4.5L4.5 2 8 5.5 11.5 2 14 4.5 10.5 8 14 11.5 11.5 14 '
    '8 10.5 4.5 14 2 11.5 5.5 8z"/>',
    "cross": '<path d="M6 2h4v4h4v4h-4v4H6v-4H2V6h4z"/>',
}


def glyph(style: MethodStyle) -> str:
    """Return the marker as an image that needs no file."""
    # What is crossed through on the chart is too small for that here.
    shape = _SHAPES.get(style.symbol.removesuffix("-cross"), _SHAPES["cross"])
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="13" height="13" viewBox="0 0 16 16" '
        f'fill="{style.colour}">{shape}</svg>'
    )
    return f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"
