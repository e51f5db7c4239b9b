"""What each layer of a plan keeps of the KV cache, and what it adds to the plan's error."""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from qcqa.charts.common.head_grid import axes_of, layer_rows
from qcqa.charts.common.kv_axis import significant
from qcqa.charts.common.palette import NEUTRAL_COLOUR, method_style
from qcqa.charts.common.wording import ERROR_NAMES, error_text
from qcqa.plan.plan import Plan
from qcqa.reduce.terms import Fitness
from qcqa.search.front import Front

#: Narrower rows have no room for a number at their bar.
MOST_LAYERS_WITH_NUMBERS = 40

#: Length of the axis over that of the longest bar, so that numbers fit behind it.
ROOM_FOR_NUMBERS = 1.6


@dataclass(frozen=True, slots=True, eq=False)
class LayerErrors:
    """The error of a plan by what its search minimised, split into layers.

    Parameters
    ----------
    fitness : Fitness
        What the errors are.
    per_layer : array, shape (L,)
        Each layer's part of the plan's error: they sum to it. WSE and output error are relative
        to the whole model's, loss is in nats per token.
    """

    fitness: Fitness
    per_layer: NDArray[np.float64]

    @property
    def label(self) -> str:
        """What the errors are called, with their unit."""
        name, unit = ERROR_NAMES[self.fitness]
        # A layer's own error is no sum, and bars are narrow.
        shown = name.removeprefix("summed "), unit.removesuffix(" per token")
        return ", ".join(filter(None, shown))

    @property
    def sentence(self) -> str:
        """Which layer adds most to the error, for people."""
        whole, most = float(self.per_layer.sum()), int(self.per_layer.argmax())
        if whole <= 0:
            return "Nothing is lost."
        error = error_text(self.fitness, whole)
        if len(self.per_layer) == 1:
            return f"Its error: {error}."
        share = 100 * self.per_layer[most] / whole
        return f"Its error: {error}. Layer {most} adds {share:.0f} % of it, more than any other."


def layer_errors(front: Front, plan: Plan) -> LayerErrors:
    """Return what each layer adds to a plan's error.

    Parameters
    ----------
    front : Front
        The front of the plan's method.
    plan : Plan
        One of its plans.
    """
    index = int(np.searchsorted(front.cost, plan.kv_bits))
    return LayerErrors(front.fitness, front.layer_error[index] / (front.total or 1.0))


def layer_bars_figure(plan: Plan, errors: LayerErrors) -> go.Figure:
    """Return two bars for each layer of a plan: the KV cache that it keeps, and its error.

    Beside :func:`~qcqa.charts.layers.groups.grouping_figure` of the same plan its rows are level
    with those of that figure.

    Parameters
    ----------
    plan : Plan
        Whose layers they are.
    errors : LayerErrors
        Of the same plan.
    """
    num_layers, num_heads = plan.model.num_layers, plan.model.num_kv_heads
    kept = [(layer.key.num_stored, layer.value.num_stored) for layer in plan.pictures]
    full = 2 * num_heads * plan.model.head_bits
    percent = [100 * layer.bits_per_token(plan.model) / full for layer in plan.layers]
    values = errors.per_layer.tolist()
    whole = sum(values)
    room = ROOM_FOR_NUMBERS if num_layers <= MOST_LAYERS_WITH_NUMBERS else 1.0
    figure = layer_rows(
        [
            {
                "title": {"text": "KV kept, %"},
                "range": [0, 100 * room],
                "tickvals": [0, 50, 100],
            },
            {
                "title": {"text": errors.label},
                "range": [0, room * (max(values) or 1.0)],
                "nticks": 4,
            },
        ],
        num_layers,
        gap=0.12,
    )
    figure.add_trace(
        _bars(
            percent,
            [f"{value:.3g} %" for value in percent],
            [f"{k} K and {v} V heads of {num_heads} each" for k, v in kept],
            colour=NEUTRAL_COLOUR,
            place=0,
        )
    )
    figure.add_trace(
        _bars(
            values,
            [significant(value) if value else "0" for value in values],
            [
                f"{errors.label} {value:.4g}, {100 * value / (whole or 1.0):.0f} % of the plan's"
                for value in values
            ],
            colour=method_style(plan.method).colour,
            place=1,
        )
    )
    return figure


def layer_bars_caption(errors: LayerErrors) -> str:
    """Return how to read :func:`layer_bars_figure`."""
    what = {
        "wse": "its part of the plan's relative WSE",
        "output-error": "its part of the plan's relative output error",
        "loss": "by how much merging this layer alone raised the loss on calibration text",
    }[errors.fitness]
    return f"Bars: the share of its KV cache that a layer keeps, and {what}."


def _bars(
    lengths: list[float], words: list[str], hover: list[str], *, colour: str, place: int
) -> go.Bar:
    has_numbers = len(lengths) <= MOST_LAYERS_WITH_NUMBERS
    return go.Bar(
        x=lengths,
        y=list(range(len(lengths))),
        orientation="h",
        marker_color=colour,
        text=words if has_numbers else None,
        textposition="outside" if has_numbers else "none",
        constraintext="none",
        cliponaxis=False,
        customdata=hover,
        hovertemplate="layer %{y}: %{customdata}<extra></extra>",
        **axes_of(place),
    )
