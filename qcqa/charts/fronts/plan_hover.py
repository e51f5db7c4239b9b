"""What a chart over the size of the cache says of a plan when the pointer is on it."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcqa.charts.common.kv_axis import KvAxis, load_text, significant
from qcqa.charts.common.markup import in_chart
from qcqa.charts.fronts.heads_kept import kept_texts
from qcqa.charts.quality.series import metrics_of, value_text
from qcqa.measure.comparable import PlanId, figures_of_plans
from qcqa.measure.evaluation import Evaluation
from qcqa.search.front import Front
from qcqa.search.result import SearchResult

#: More measured figures than this make a box of half a screen.
_MOST_FIGURES = 4

#: A number with four digits and never a power of ten.
_NUMBER = ",.4~r"

ObjectArray = NDArray[np.object_]


class PlanHover:
    """Data and template of the hover boxes of a result's plans.

    Each point carries a row of data, first of all the plan's id: its method and its bits per token.
    The template puts the row into words, in the browser, which keeps large fronts small.

    Parameters
    ----------
    result : SearchResult
        Whose plans they are.
    axis : KvAxis
        Its load decides the size in GiB.
    rows : iterable of Evaluation
        What was measured of the plans.
    """

    def __init__(self, result: SearchResult, axis: KvAxis, rows: Iterable[Evaluation] = ()):
        self._result = result
        self._axis = axis
        self._figures = _figures(tuple(rows))

    def rows(self, front: Front, kept: Any, shown: Any) -> ObjectArray:
        """Return the data of some plans, a row each, shape (n, 6).

        Parameters
        ----------
        front : Front
            Of the result.
        kept : array or list of int, shape (n,)
            Places of the plans in the front.
        shown : array, shape (n,)
            What the vertical axis shows of them.
        """
        texts = kept_texts(front)
        wse = self._result.wse(front.method)[kept]
        trace = self._result.grams.trace
        rows = [
            [
                front.method,
                kv_bits,
                self._round(100 * size / self._axis.spec.kv_bits),
                self._round(self._axis.load.cache_gib(self._axis.spec, size)),
                self._round(value),
                _wse_line(error, trace)
                + self._figures.get((front.method, kv_bits), "")
                + "<br>"
                + texts[place],
            ]
            for place, kv_bits, size, value, error in zip(
                np.asarray(kept).tolist(),
                front.cost[kept].tolist(),
                front.size[kept].tolist(),
                np.asarray(shown).tolist(),
                wse.tolist(),
                strict=True,
            )
        ]
        # An array, for Plotly looks into every cell of nested lists.
        return np.array(rows, dtype=object).reshape(-1, 6)

    def template(self, name: str, shown: str) -> str:
        """Return the template of a trace.

        Parameters
        ----------
        name : str
            What the point is.
        shown : str
            Name of the vertical axis.
        """
        lines = [
            f"<b>{name}</b>",
            f"{shown} %{{customdata[4]:{_NUMBER}}}",
            f"KV cache %{{customdata[2]:{_NUMBER}}} % of the source's",
            f"%{{customdata[3]:{_NUMBER}}} GiB at {load_text(self._axis.load)}",
        ]
        return "<br>".join(lines) + "%{customdata[5]}<extra></extra>"

    @staticmethod
    def _round(value: float) -> float | None:
        return float(f"{value:.5g}") if np.isfinite(value) else None


def size_and_error_lines(row: Evaluation, front: Front | None, axis: KvAxis) -> list[str]:
    """Return what a measured plan's cache needs and what was predicted of it, as lines."""
    size = front.size_of(row.kv_bits) if front else row.kv_bits
    gib = KvAxis(axis.spec, axis.load, "gib").text(size)
    lines = [
        f"KV cache {100 * size / axis.spec.kv_bits:.1f} % of the source's",
        f"{gib} at {load_text(axis.load)}",
    ]
    if row.read_bits:
        here = 100 * row.read_bits / axis.spec.kv_bits
        lines.append(f"{here:.1f} % at the lengths of the texts that were read")
    if row.is_of_weights_alone and row.wse:
        wse, relative = significant(row.wse), significant(row.relative_wse)
        lines.append(f"WSE {wse}, relative WSE {relative}")
    return lines


def kept_line(front: Front | None, kv_bits: int) -> str:
    """Return what each layer of a front's plan keeps; empty where it has none such."""
    places = [] if front is None else np.flatnonzero(front.cost == kv_bits).tolist()
    return f"<br>{kept_texts(front)[places[0]]}" if front and places else ""


def _wse_line(error: float, trace: float) -> str:
    if not np.isfinite(error):
        return ""
    return f"<br>WSE {significant(error)}, relative WSE {significant(error / trace)}"


def _figures(rows: tuple[Evaluation, ...]) -> Mapping[PlanId, str]:
    """Return what was measured of plans, as lines."""
    lines: dict[PlanId, list[str]] = {}
    for metric, label in list(metrics_of(rows).items())[:_MOST_FIGURES]:
        for plan, figure in figures_of_plans(rows, metric).items():
            lines.setdefault(plan, []).append(
                f"<br>{in_chart(label)}: {value_text(metric, figure.value)}"
            )
    return {plan: "".join(texts) for plan, texts in lines.items()}
