"""What each layer of a plan does to the predictions when it alone is reduced: words and bars."""

import plotly.graph_objects as go

from qcqa.charts.common.duration import about
from qcqa.charts.common.head_grid import axes_of, layer_rows
from qcqa.charts.common.kv_axis import significant
from qcqa.charts.common.palette import method_style
from qcqa.charts.common.wording import counted, listed
from qcqa.charts.layers.layer_bars import MOST_LAYERS_WITH_NUMBERS, ROOM_FOR_NUMBERS
from qcqa.measure.sensitivity import LayerEffect, LayerSensitivity
from qcqa.plan.plan import Plan

_PLUS_MINUS = "\N{PLUS-MINUS SIGN}"

#: More layers in a list are a number of layers.
_MOST_LAYERS_NAMED = 4


def effects_sentence(found: LayerSensitivity) -> str:
    """Return which layer moves the predictions most, and whether others do as much."""
    most = found.layers[found.most]
    said = [
        f"Layer {found.most} alone moves the predictions most: {_kl_text(most)} nats per token; "
        f"{100 * most.same_top:.1f} % of the most probable tokens stay the same."
    ]
    measured = [layer for layer in found.layers if layer.is_measured]
    if most.kl_error is None:
        said.append(
            f"{counted(found.num_windows, 'window')} of text are too few for a standard error."
            if found.num_windows > 1
            else "One window of text is too little for a standard error."
        )
    elif len(measured) > 1:
        said.append(_others(found))
    left_alone = len(found.layers) - len(measured)
    if left_alone:
        verb = "is" if left_alone == 1 else "are"
        said.append(f"{counted(left_alone, 'layer')} {verb} left alone by the plan.")
    return " ".join(said)


def conditions_text(found: LayerSensitivity) -> str:
    """Return what was measured on how much, where, and how long it took."""
    return (
        f"{found.settings.text_name}: {counted(found.num_tokens, 'token')} in "
        f"{counted(found.num_windows, 'window')} of up to {found.window_tokens}; "
        f"{found.device}, {found.dtype}; {about(found.seconds)}; {found.finished[:10]}"
    )


def effects_figure(plan: Plan, found: LayerSensitivity) -> go.Figure:
    """Return a bar for each layer of a plan: how far it alone moves the predictions.

    Beside :func:`~qcqa.charts.layers.groups.grouping_figure` of the same plan its rows are level
    with those of that figure.

    Parameters
    ----------
    plan : Plan
        Whose layers they are.
    found : LayerSensitivity
        Of the same plan.
    """
    layers, colour = found.layers, method_style(plan.method).colour
    has_numbers = len(layers) <= MOST_LAYERS_WITH_NUMBERS
    errors = [layer.kl_error or 0.0 for layer in layers]
    ends = [layer.kl + error for layer, error in zip(layers, errors, strict=True)]
    room = ROOM_FOR_NUMBERS if has_numbers else 1.05
    longest = max(ends) or 1.0
    figure = layer_rows(
        [
            {
                "title": {"text": "KL alone, nats"},
                "range": [0, room * longest],
                "nticks": 4,
            }
        ],
        len(layers),
    )
    figure.add_trace(
        go.Bar(
            x=[layer.kl for layer in layers],
            y=list(range(len(layers))),
            orientation="h",
            # Pale, so that the inner half of the error is seen on it.
            marker={"color": colour, "opacity": 0.55},
            error_x={
                "type": "data",
                "array": errors,
                "color": colour,
                "thickness": 1.5,
                "width": 3,
            },
            customdata=[_hover(layer) for layer in layers],
            hovertemplate="layer %{y}: %{customdata}<extra></extra>",
            **axes_of(0),
        )
    )
    if has_numbers:
        # Behind the error bar, which words at the end of a bar would cross.
        figure.add_trace(
            go.Scatter(
                x=[end + 0.02 * room * longest for end in ends],
                y=list(range(len(layers))),
                text=[significant(layer.kl) if layer.is_measured else "0" for layer in layers],
                mode="text",
                textposition="middle right",
                cliponaxis=False,
                hoverinfo="skip",
                **axes_of(0),
            )
        )
    return figure


def effects_caption() -> str:
    """Return how to read :func:`effects_figure`."""
    return (
        "KL alone: how far the predictions move from the source's when this layer alone is "
        "reduced, measured, with one standard error. The figures do not add up to the plan's."
    )


def _others(found: LayerSensitivity) -> str:
    """Return which layers move the predictions as much as the first, as far as can be told."""
    others = found.not_told_apart
    if not others:
        return "It differs from every other layer by more than two standard errors."
    if len(others) > _MOST_LAYERS_NAMED:
        return f"{len(others)} others are within two standard errors of it."
    names = listed([str(layer) for layer in others])
    return (
        f"Layer {names} is within two standard errors of it."
        if len(others) == 1
        else f"Layers {names} are within two standard errors of it."
    )


def _kl_text(layer: LayerEffect) -> str:
    error = "" if layer.kl_error is None else f" {_PLUS_MINUS} {layer.kl_error:.2g}"
    return significant(layer.kl) + error


def _hover(layer: LayerEffect) -> str:
    if not layer.is_measured:
        return "left alone, so nothing moves"
    return f"{_kl_text(layer)} nats per token, {100 * layer.same_top:.1f} % same top token"
