"""How each method looks wherever it is drawn.

The colours are safe for colour-blind readers and stand out from a light and from a dark page
alike; dash and symbol say the same once more, so that colour is never the only sign.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from qcqa.model.spec import ModelSpec
from qcqa.search.methods import METHODS


@dataclass(frozen=True, slots=True)
class MethodStyle:
    """Name and looks of a method.

    Parameters
    ----------
    label : str
        Name for people.
    colour : str
        Of lines and markers, ``#rrggbb``.
    dash : str
        Plotly's name of the line's dash pattern.
    symbol : str
        Plotly's name of the marker.
    width : float
        Of lines, in pixels. The optimal front often lies on QCQA-AC's: a thin line on a broad one
        shows both.
    """

    label: str
    colour: str
    dash: str
    symbol: str
    width: float = 2.2


#: In the order in which they are shown: what was searched before what it is compared with.
METHOD_STYLES: dict[str, MethodStyle] = {
    "everything": MethodStyle(METHODS["everything"].label, "#C2452D", "solid", "star-diamond", 3),
    "heads-bits": MethodStyle(METHODS["heads-bits"].label, "#E0457B", "solid", "diamond-tall", 3),
    "bits": MethodStyle(METHODS["bits"].label, "#6B9A1F", "solid", "pentagon"),
    "latents": MethodStyle(METHODS["latents"].label, "#2F8F9D", "solid", "hourglass"),
    "head-dims": MethodStyle(METHODS["head-dims"].label, "#A36A2C", "dash", "bowtie"),
    "best": MethodStyle(METHODS["best"].label, "#7A5FB5", "solid", "hexagon"),
    "qcqa-ac": MethodStyle(METHODS["qcqa-ac"].label, "#1B75BC", "solid", "circle", 4.5),
    "qcqa-ec": MethodStyle(METHODS["qcqa-ec"].label, "#009E73", "dash", "square"),
    "qcqa-ac-wse": MethodStyle(METHODS["qcqa-ac-wse"].label, "#4A90D9", "dash", "triangle-down"),
    "qcqa-ec-wse": MethodStyle(METHODS["qcqa-ec-wse"].label, "#2E9E83", "dot", "cross"),
    "optimal": MethodStyle(METHODS["optimal"].label, "#B5489A", "solid", "star", 1.6),
    "staircase": MethodStyle(METHODS["staircase"].label, "#8F7A2E", "dot", "star-triangle-up"),
    "bits-8": MethodStyle(METHODS["bits-8"].label, "#82923A", "dot", "square-cross"),
    "bits-4": MethodStyle(METHODS["bits-4"].label, "#7D8F45", "dot", "circle-cross"),
    "bits-2": MethodStyle(METHODS["bits-2"].label, "#93893A", "dot", "diamond-cross"),
    "gqa": MethodStyle(METHODS["gqa"].label, "#D55E00", "dot", "triangle-up"),
    "mqa": MethodStyle(METHODS["mqa"].label, "#B07D00", "dot", "diamond"),
    "mha": MethodStyle("source", "#7F858D", "dot", "x"),
}

#: Other runs laid over one: neither colour, dash nor marker is a method's.
OVERLAY_STYLES = (
    MethodStyle("", "#1E91B0", "longdash", "diamond-open", 2),
    MethodStyle("", "#CC6677", "dashdot", "square-open", 2),
    MethodStyle("", "#999933", "longdashdot", "circle-open", 2),
)

#: The lower bound is nobody's plan: it takes no colour.
BOUND_COLOUR = "#7F858D"
BOUND_FILL = "rgba(127, 133, 141, 0.14)"

#: Groups of heads within one layer, after Okabe and Ito and Paul Tol, in an order that keeps
#: neighbours apart. All are light enough for numbers in one dark colour.
GROUP_COLOURS = (
    "#2B83CC",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#999933",
    "#CC6677",
    "#44AA99",
    "#DDAA33",
    "#9A86D0",
    "#A67F55",
)

#: Numbers on them.
GROUP_INK = "#000000"

#: What belongs to no method and to no group, and lines across a chart.
NEUTRAL_COLOUR = "#7F858D"

#: A head that shares with none: barely there on either page colour.
ALONE_COLOUR = "rgba(127, 133, 141, 0.20)"


def method_style(name: str, spec: ModelSpec | None = None) -> MethodStyle:
    """Return the looks of a method; one that is not known here is drawn in grey.

    What such a one is called comes from a file: of its name only letters and digits are kept.

    Parameters
    ----------
    name : str
        Name of the method.
    spec : ModelSpec, optional
        The source model, where it is known: only MHA is called that.
    """
    label = METHODS[name].label if name in METHODS else re.sub(r"[^\w-]", "", name)
    style = METHOD_STYLES.get(name) or MethodStyle(label, "#7F858D", "dashdot", "cross")
    if name != "mha" or spec is None:
        return style
    return replace(style, label="MHA" if spec.attention == "MHA" else f"source ({spec.attention})")


def source_text(spec: ModelSpec) -> str:
    """Return what a line or a column calls the source: ``MHA, the source``."""
    kind = spec.attention
    return "MHA, the source" if kind == "MHA" else f"the source ({kind})"


def in_order(names: Iterable[str]) -> list[str]:
    """Return names of methods in the order in which they are shown."""
    present = set(names)
    known = [name for name in METHOD_STYLES if name in present]
    return known + sorted(present - set(known))
