"""What each layer of a plan does alone, as a table."""

from qcqa.charts.common.kv_axis import size_text
from qcqa.charts.common.palette import method_style
from qcqa.charts.layers.layer_effects import conditions_text, effects_sentence
from qcqa.cli.output import console, print_table
from qcqa.measure.sensitivity import LayerEffect, LayerSensitivity


def print_layers(found: LayerSensitivity) -> None:
    """Print a line per layer, and in words what stands out."""
    rows = [
        {"layer": str(number), **_cells(layer, is_most=number == found.most)}
        for number, layer in enumerate(found.layers)
    ]
    print_table(rows)
    style = method_style(found.method)
    console.print(f"Layers of {style.label} at {size_text(100 * found.kv_ratio, 'percent')}:")
    # Sentences are broken where the terminal ends, and have nothing to be coloured.
    console.print(effects_sentence(found), highlight=False)
    console.print(conditions_text(found), highlight=False, style="dim")


def _cells(layer: LayerEffect, *, is_most: bool) -> dict[str, str]:
    if not layer.is_measured:
        return {"KL, nats per token": "0, left alone", "same top token, %": "100"}
    return {
        "KL, nats per token": _figure(layer.kl, layer.kl_error) + (" (most)" if is_most else ""),
        "same top token, %": _figure(100 * layer.same_top, layer.same_top_error, scale=100),
    }


def _figure(value: float, error: float | None, *, scale: float = 1.0) -> str:
    return f"{value:.4g}" + ("" if error is None else f" ±{scale * error:.2g}")
