"""Refits bring merged attention back to the source; rises are measured as they are defined."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from qcqa.conversion.live import converted_copy
from qcqa.model.opening import open_checkpoint
from qcqa.plan.plan import Plan, Prediction
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.groups.grouping import Grouping, LayerGrouping
from qcqa.reduce.latent.choice import Latent
from qcqa.text.refit import RefitSettings, refit
from qcqa.text.rises import RiseMeter
from qcqa.text.source_reading import SourceReading

PAIRS = LayerGrouping.shared(Grouping.from_labels([0, 0, 1, 1])).choice
ALONE = LayerChoice()


@pytest.fixture
def plan(model, tmp_path):
    model.save_pretrained(tmp_path)
    checkpoint = open_checkpoint(str(tmp_path))
    return Plan(
        model=checkpoint.spec,
        fingerprint=checkpoint.fingerprint(),
        method="by hand",
        merge="mean",
        layers=(PAIRS, ALONE, PAIRS),
        predicted=Prediction(wse=1.0, relative_wse=0.5),
    )


@torch.no_grad()
def distance(one, other, batches):
    """Mean divergence of predictions, nats per token."""
    total, count = 0.0, 0
    for batch in batches:
        p, q = (
            model(input_ids=batch.token_ids).logits[batch.is_real].log_softmax(-1)
            for model in (one, other)
        )
        total += float((p.exp() * (p - q)).sum())
        count += len(p)
    return total / count


def test_a_refit_brings_the_merged_model_nearer_and_leaves_the_source(model, plan, batches):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    merged = converted_copy(model, plan)
    untouched = [value.clone() for value in merged.get_parameter(_key(model, 1))]
    was = distance(model, merged, batches)
    done = []
    refit(
        model,
        merged,
        batches,
        RefitSettings(steps=80),
        layers=[0, 2],
        on_layer=lambda layer, total: done.append((layer, total)),
    )
    assert distance(model, merged, batches) < 0.5 * was
    assert done == [(1, 3), (2, 3), (3, 3)]
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    for now, old in zip(merged.get_parameter(_key(model, 1)), untouched, strict=True):
        torch.testing.assert_close(now, old, rtol=0, atol=0)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_refit_keeps_to_what_latents_hold(model, plan, batches):
    spec = plan.model
    values = Latent(free=2 * spec.head_dim)
    keys = values if spec.model_type == "opt" else Latent((2,) * (spec.head_dim // 2))
    half = LayerChoice((keys,), (values,))
    merged = converted_copy(model, replace(plan, layers=(half, ALONE, half)))
    maps = {name: value.clone() for name, value in merged.state_dict().items() if "qcqa" in name}
    assert len(maps) == 2 * 4
    was = distance(model, merged, batches)
    refit(model, merged, batches, RefitSettings(steps=80), layers=[0, 2])
    assert distance(model, merged, batches) < 0.5 * was
    for name, value in maps.items():
        assert torch.equal(merged.state_dict()[name], value)
    ids = batches[0].token_ids
    with torch.no_grad():
        whole = merged(input_ids=ids, use_cache=False).logits
        cached = merged(input_ids=ids, use_cache=True).logits
    torch.testing.assert_close(cached, whole, rtol=1e-4, atol=1e-5)


def test_the_output_projection_alone_helps_by_least_squares(model, plan, batches):
    merged = converted_copy(model, plan)
    was = distance(model, merged, batches)
    name = _key(model, 2).replace("k_proj", "o_proj")
    name = name if model.config.model_type == "llama" else name.replace("o_proj", "out_proj")
    before = {key: value.clone() for key, value in merged.state_dict().items()}
    refit(model, merged, batches, RefitSettings(steps=0), layers=[2])
    assert distance(model, merged, batches) < 0.9 * was
    changed = [key for key, value in merged.state_dict().items() if not value.equal(before[key])]
    assert changed == [name]


def test_the_same_refit_gives_the_same_model(model, plan, batches):
    models = []
    for _ in range(2):
        merged = converted_copy(model, plan)
        refit(model, merged, batches, RefitSettings(steps=5), layers=[0, 2])
        models.append(merged)
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_a_fit_that_does_not_help_is_not_kept(model, plan, batches):
    models = []
    # steps of many times the weights' size lead nowhere
    for settings in (RefitSettings(steps=0), RefitSettings(steps=3, rate=1e4)):
        merged = converted_copy(model, plan)
        refit(model, merged, batches, settings, layers=[0, 2])
        models.append(merged)
    for old, now in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(now, old, rtol=0, atol=0)


def test_what_ends_a_refit_leaves_the_source_trainable(model, plan, batches):
    def stop(_layer, _total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        refit(
            model,
            converted_copy(model, plan),
            batches,
            RefitSettings(steps=2),
            layers=[0],
            on_layer=stop,
        )
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_rises_are_divergences_from_the_sources_predictions(model, plan, batches):
    def merge_layer(layer, choice):
        layers = [ALONE] * 3
        layers[layer] = choice
        return converted_copy(model, replace(plan, layers=tuple(layers)))

    meter = RiseMeter(SourceReading(model, batches, is_fitted_to=False), merge_layer, None)
    one = LayerChoice(key=(Grouping.contiguous(4, 1),))
    # in any order of layers, and asked again
    for layer in (2, 0, 1, 2):
        rises = meter(layer, [PAIRS, ALONE, one])
        assert rises[1] == 0.0
        for choice, rise in ((PAIRS, rises[0]), (one, rises[2])):
            wanted = distance(model, merge_layer(layer, choice), batches[::4])
            assert rise == pytest.approx(wanted, rel=1e-4)
    reading = SourceReading(model, batches, is_fitted_to=True)
    fitted = RiseMeter(reading, merge_layer, RefitSettings(steps=30))
    assert fitted(0, [PAIRS])[0] < 0.8 * meter(0, [PAIRS])[0]
    assert np.isfinite(fitted(2, [one])).all()


def _key(model, layer):
    prefix = "model.layers" if model.config.model_type == "llama" else "model.decoder.layers"
    return f"{prefix}.{layer}.self_attn.k_proj.weight"
