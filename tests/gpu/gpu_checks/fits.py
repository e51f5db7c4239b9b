"""Rises and refits of every kind: how long they take, and that a refit lowers the loss."""

from collections.abc import Iterator, Sequence
from time import perf_counter

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from gpu_checks.calibration import random_batches
from gpu_checks.models import alone, build, like_gqa, plan_for
from gpu_checks.parts import Row, checked
from gpu_checks.sizes import Sizes
from qcqa.conversion.live import converted_copy
from qcqa.packaged import demo_model_folder
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.groups.grouping import LayerGrouping
from qcqa.text.batches import TokenBatch, make_batches
from qcqa.text.calibration_windows import calibration_windows
from qcqa.text.documents import read_documents
from qcqa.text.moments import second_moments
from qcqa.text.refit import RefitSettings, refit
from qcqa.text.rises import RiseMeter
from qcqa.text.source_reading import SourceReading

KINDS = ("shared", "key", "value")

#: Steps of a rise, as in a search.
_SHORT = 40
#: One batch in so many tells the loss of the whole model.
_MEASURED_EVERY = 4
#: The layer whose rise is measured.
_LAYER = 1


def fits_of_the_demo(sizes: Sizes, device: torch.device, merge: str, kind: str) -> Iterator[Row]:
    """Measure the demo model, which was trained: there is something to mend."""
    folder = demo_model_folder()
    source = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).to(device)
    windows = calibration_windows(
        AutoTokenizer.from_pretrained(folder),
        read_documents(folder / "calibration.txt", separator="\n\n"),
        max_tokens=sizes.fit_tokens,
        window_tokens=sizes.fit_window_tokens,
    )
    batches = make_batches(windows, batch_tokens=sizes.fit_batch_tokens, device=device)
    pairs, apart = (make(source.config.num_key_value_heads) for make in (like_gqa, alone))
    grouping = LayerGrouping(
        key=apart.key if kind == "value" else pairs.key,
        value=apart.value if kind == "key" else pairs.value,
    )
    yield from _fits(source, batches, merge, grouping, sizes.refit_steps, most=1.0)


def fits_of_a_large_model(sizes: Sizes, device: torch.device, merge: str) -> Iterator[Row]:
    """Measure random weights, in which hardly anything can be mended: for the times."""
    source = build(sizes.fitted, dtype=torch.float32, device=device)
    batches = random_batches(
        source,
        sizes.fit_tokens,
        sizes.fit_window_tokens,
        batch_tokens=sizes.fit_batch_tokens,
    )
    grouping = like_gqa(sizes.fitted.heads)
    yield from _fits(source, batches, merge, grouping, sizes.refit_steps, most=1.1)


def _fits(
    source: PreTrainedModel,
    batches: Sequence[TokenBatch],
    merge: str,
    grouping: LayerGrouping,
    steps: int,
    *,
    most: float,
) -> Iterator[Row]:
    """Measure a layer's rise as merged and as fitted, and the whole model's, likewise.

    Parameters
    ----------
    source, batches, merge, grouping
        What is merged how, and the calibration text.
    steps : int
        Of the refit.
    most : float
        What may be left of a loss, as a share.
    """
    moments = list(second_moments(source, batches, with_bias=False))
    num_layers = len(moments)

    def merged(layers: Sequence[LayerGrouping]) -> PreTrainedModel:
        plan = plan_for(source, layers, merge=merge)
        return converted_copy(source, plan, moments=moments.__getitem__)

    def merge_layer(layer: int, choice: LayerChoice) -> PreTrainedModel:
        num_heads = source.config.num_key_value_heads
        layers = [alone(num_heads)] * num_layers
        layers[layer] = LayerGrouping.of(choice, num_heads)
        return merged(layers)

    rises = []
    for settings in (None, RefitSettings(steps=min(_SHORT, steps))):
        reading = SourceReading(source, batches, is_fitted_to=settings is not None)
        meter = RiseMeter(reading, merge_layer, settings)
        started = perf_counter()
        rises.append(float(meter(_LAYER, [grouping.choice])[0]))
    yield _fell("a rise", rises, perf_counter() - started, most)

    model = merged([grouping] * num_layers)
    measured = batches[::_MEASURED_EVERY]
    before = _divergence(source, model, measured)
    started = perf_counter()
    # In the end the host asks whether a fit is to be kept: nothing is under way any more.
    refit(source, model, batches, RefitSettings(steps=steps), layers=range(num_layers))
    seconds = perf_counter() - started
    yield _fell("a refit", [before, _divergence(source, model, measured)], seconds, most)


def _fell(what: str, losses: Sequence[float], seconds: float, most: float) -> Row:
    before, after = losses
    figure = f"loss over the source's {before:.4f} -> {after:.4f} nats, {seconds:.1f} s"
    passed = 0 <= after < most * before
    return checked(what, passed, figure, merged=before, fitted=after, seconds=seconds)


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
