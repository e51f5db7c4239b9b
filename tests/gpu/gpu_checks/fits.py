"""Rises and refits of every kind: how long they take, and that a refit lowers the loss."""

from collections.abc import Iterator, Sequence
from time import perf_counter

import torch
from transformers import PreTrainedModel

from gpu_checks.calibration import text_batches
from gpu_checks.models import alone, build, like_gqa, plan_for
from gpu_checks.parts import Row, checked
from gpu_checks.sizes import Sizes
from qcqa.attention import converted_copy
from qcqa.calibrate import RefitSettings, RiseMeter, TokenBatch, refit, second_moments
from qcqa.grouping import LayerGrouping

KINDS = ("shared", "key", "value")

_BATCH_TOKENS = 1024
#: Of a rise, as in a search.
_SHORT = 40


def fits_lower_the_loss(sizes: Sizes, device: torch.device, merge: str, kind: str) -> Iterator[Row]:
    """Measure a layer's rise as merged and as fitted, and the whole model's, likewise."""
    shape = sizes.fitted
    source = build(shape, dtype=torch.float32, device=device)
    batches = text_batches(
        source, sizes.fit_tokens, sizes.window_tokens, batch_tokens=_BATCH_TOKENS
    )
    moments = list(second_moments(source, batches, with_bias=False))
    grouping = _grouping(shape.heads, kind)

    def merged(layers: Sequence[LayerGrouping]) -> PreTrainedModel:
        plan = plan_for(source, layers, merge=merge)
        return converted_copy(source, plan, moments=moments.__getitem__)

    def merge_layer(layer: int, one: LayerGrouping) -> PreTrainedModel:
        layers = [alone(shape.heads)] * shape.layers
        layers[layer] = one
        return merged(layers)

    rises, seconds = [], []
    for settings in (None, RefitSettings(steps=min(_SHORT, sizes.refit_steps))):
        meter = RiseMeter(source, batches, merge_layer, settings)
        started = perf_counter()
        rises.append(float(meter(1, [grouping])[0]))
        seconds.append(perf_counter() - started)
    yield _fell("a rise", rises, seconds=seconds[1], seconds_unfitted=seconds[0])

    model = merged([grouping] * shape.layers)
    before = _divergence(source, model, batches)
    started = perf_counter()
    refit(
        source, model, batches, RefitSettings(steps=sizes.refit_steps), layers=range(shape.layers)
    )
    # Whether to keep a layer's fit is asked on the host: nothing is under way any more.
    took = perf_counter() - started
    yield _fell("a refit", [before, _divergence(source, model, batches)], seconds=took)


def _grouping(num_heads: int, kind: str) -> LayerGrouping:
    pairs, apart = like_gqa(num_heads), alone(num_heads)
    return LayerGrouping(
        key=apart.key if kind == "value" else pairs.key,
        value=apart.value if kind == "key" else pairs.value,
    )


def _fell(what: str, losses: Sequence[float], **seconds: float) -> Row:
    before, after = losses
    figure = f"loss over the source's {before:.3f} -> {after:.3f} nats, {seconds['seconds']:.1f} s"
    return checked(what, 0 <= after < before, figure, merged=before, fitted=after, **seconds)


@torch.no_grad()
def _divergence(
    source: PreTrainedModel, model: PreTrainedModel, batches: Sequence[TokenBatch]
) -> float:
    """Return the mean divergence of a model's predictions from the source's, in nats."""
    total, count = 0.0, 0
    for batch in batches:
        p, q = (
            one(input_ids=batch.token_ids, use_cache=False).logits[batch.is_real].log_softmax(-1)
            for one in (source, model)
        )
        total += float((p.exp() * (p - q)).sum())
        count += len(p)
    return total / count
