"""Which query heads share a K/V head, drawn as an SVG picture of a few layers."""

from collections.abc import Sequence

from qcqa.charts.common.palette import GROUP_COLOURS
from qcqa.charts.layers.groups import group_colours
from qcqa.reduce.picture import SitePicture

#: Of a head that shares with none.
_ALONE = "#6B7280"

_WIDTH, _LAYER_HEIGHT = 320.0, 118.0
#: Boxes: width, height, and where the two rows of a layer begin.
_BOX, _TALL = 30.0, 24.0
_QUERIES, _CACHED = 22.0, 80.0


def sharing_picture(layers: Sequence[SitePicture], *, ink: str) -> str:
    """Return an SVG: for each layer its query heads above, and the K/V heads in the cache below.

    Parameters
    ----------
    layers : sequence of SitePicture
        Of as many heads each, up to about ten.
    ink : str
        Colour of words and of outlines on the page, ``#rrggbb``.
    """
    parts = [
        _layer(picture, number, _LAYER_HEIGHT * (number - 1), ink)
        for number, picture in enumerate(layers, start=1)
    ]
    height = _LAYER_HEIGHT * len(layers)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:g} {height:g}" '
        'font-family="system-ui, sans-serif" text-anchor="middle">' + "".join(parts) + "</svg>"
    )


def _layer(picture: SitePicture, number: int, top: float, ink: str) -> str:
    """Draw one layer; groups stand below their heads as nearly as they can without crossing."""
    colours = group_colours(picture)
    step = _WIDTH / picture.num_heads
    groups = sorted(picture.readers, key=lambda heads: sum(heads) / len(heads))
    lines, boxes = [], []
    for place, heads in enumerate(groups):
        colour = GROUP_COLOURS[colours[heads[0]]] if len(heads) > 1 else _ALONE
        x = _WIDTH * (place + 0.5) / len(groups)
        for head in heads:
            above = step * (head + 0.5)
            # Some colours are too pale for a line on a white page: each has an outline.
            lines += [
                f'<line x1="{above:.1f}" y1="{top + _QUERIES + _TALL:.1f}" '
                f'x2="{x:.1f}" y2="{top + _CACHED:.1f}" stroke="{stroke}" stroke-width="{width}"/>'
                for stroke, width in ((ink, 3), (colour, 2))
            ]
            boxes.append(_box(above, top + _QUERIES, str(head), colour))
        boxes.append(_box(x, top + _CACHED, "KV", colour, outlined=ink))
    title = (
        f'<text x="0" y="{top + 14:.1f}" font-size="12" text-anchor="start" fill="{ink}">'
        f"layer {number}</text>"
    )
    return title + "".join(lines) + "".join(boxes)


def _box(x: float, y: float, text: str, colour: str, *, outlined: str | None = None) -> str:
    outline = f' stroke="{outlined}" stroke-width="1.5"' if outlined else ""
    return (
        f'<rect x="{x - _BOX / 2:.1f}" y="{y:.1f}" width="{_BOX:g}" height="{_TALL:g}" rx="4" '
        f'fill="{colour}"{outline}/>'
        f'<text x="{x:.1f}" y="{y + 16.5:.1f}" font-size="12.5" font-weight="600" '
        f'fill="{_ink_on(colour)}">{text}</text>'
    )


def _ink_on(colour: str) -> str:
    """Return black or white, whichever stands out more from a colour (WCAG 2 luminance)."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if (luminance + 0.05) ** 2 > 0.05 * 1.05 else "#ffffff"
