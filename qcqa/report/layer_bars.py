"""What each layer of a plan keeps of the KV cache, and what it adds to the plan's error."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from qcqa.plan import GroupingPlan
from qcqa.report.comparison import BudgetPoint
from qcqa.report.kv_axis import significant
from qcqa.report.palette import method_style
from qcqa.search_result import SearchResult
from qcqa.terms import Fitness

#: What a layer's error is called, by what the search minimised.
ERROR_LABELS: Mapping[Fitness, str] = {
    "wse": "relative WSE",
    "output-error": "relative output error",
    "loss": "loss rise, nats",
}

#: Narrower rows have no room for a number at their bar.
_MOST_LAYERS_WITH_NUMBERS = 40

_KEPT_COLOUR = "#7F858D"


@dataclass(frozen=True, slots=True, eq=False)
class LayerErrors:
    """The error of a plan by what its search minimised, split into layers.

    Parameters
    ----------
    fitness : Fitness
        What the errors are.
    values : array, shape (L,)
        Each layer's part of the plan's error: they sum to it. WSE and output error are relative
        to the whole model's, loss is in nats per token.
    """

    fitness: Fitness
    values: NDArray[np.float64]

    @property
    def label(self) -> str:
        """What the errors are called, with their unit."""
        return ERROR_LABELS[self.fitness]

    @property
    def sentence(self) -> str:
        """Which layer adds most to the error, for people."""
        whole, most = float(self.values.sum()), int(self.values.argmax())
        if whole <= 0:
            return "Nothing is lost."
        name, _, unit = self.label.partition(", ")
        of = f"the {name} of {f'{significant(whole)} {unit}'.strip()}"
        return f"Layer {most} adds {self.values[most] / whole:.0%} to {of}, more than any other."


def layer_errors(result: SearchResult, point: BudgetPoint) -> LayerErrors:
    """Return what each layer of a method's plan adds to its error.

    Parameters
    ----------
    result : SearchResult
        Fronts of the methods.
    point : BudgetPoint
        The plan, of :func:`~qcqa.report.comparison.points_at_budget`.
    """
    front = result.front(point.method)
    return LayerErrors(front.fitness, front.layer_error[point.index] / (front.total or 1.0))


def add_layer_bars(
    figure: go.Figure, plan: GroupingPlan, errors: LayerErrors, *, column: int
) -> None:
    """Add two bars to each row of a grid of layers: KV cache kept, and error.

    Parameters
    ----------
    figure : Figure
        As :func:`~qcqa.report.head_grid.head_grid` returns it.
    plan : GroupingPlan
        Whose layers they are.
    errors : LayerErrors
        Of the same plan.
    column : int
        Column of the first bars, from 1; the second follows.
    """
    layers = np.arange(plan.model.num_layers)
    num_heads = plan.model.num_kv_heads
    kept = [(layer.key.num_groups, layer.value.num_groups) for layer in plan.layers]
    # Keys and values alike need one number; apart they need both.
    is_apart = any(layer.key != layer.value for layer in plan.layers)
    words = [f"{k} + {v}" if is_apart else f"{k} of {num_heads}" for k, v in kept]
    figure.add_trace(
        _bars(
            layers,
            np.array([50 * (k + v) / num_heads for k, v in kept]),
            words,
            colour=_KEPT_COLOUR,
            hover=[f"{k} K and {v} V heads of {num_heads} each" for k, v in kept],
        ),
        row=1,
        col=column,
    )
    whole = float(errors.values.sum())
    shares = errors.values / whole if whole > 0 else np.zeros(len(layers))
    figure.add_trace(
        _bars(
            layers,
            errors.values,
            [significant(value) if value else "0" for value in errors.values.tolist()],
            colour=method_style(plan.method).colour,
            hover=[
                f"{errors.label} {value:.4g}: {share:.1%} of the plan's"
                for value, share in zip(errors.values.tolist(), shares.tolist(), strict=True)
            ],
        ),
        row=1,
        col=column + 1,
    )
    room = 1.6 if len(layers) <= _MOST_LAYERS_WITH_NUMBERS else 1.0
    largest = float(errors.values.max())
    figure.update_xaxes(range=[0, 100 * room], tickvals=[0, 50, 100], row=1, col=column)
    figure.update_xaxes(range=[0, room * largest if largest > 0 else 1], row=1, col=column + 1)


def _bars(
    layers: NDArray[np.int64],
    lengths: NDArray[np.float64],
    words: list[str],
    *,
    colour: str,
    hover: list[str],
) -> go.Bar:
    has_numbers = len(layers) <= _MOST_LAYERS_WITH_NUMBERS
    return go.Bar(
        x=lengths,
        y=layers,
        orientation="h",
        marker_color=colour,
        text=words if has_numbers else None,
        textposition="outside" if has_numbers else "none",
        textangle=0,
        constraintext="none",
        cliponaxis=False,
        customdata=hover,
        hovertemplate="layer %{y}: %{customdata}<extra></extra>",
    )
