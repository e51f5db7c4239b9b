"""What each layer does alone, in words and bars: honest about noise, level with the heatmap."""

from dataclasses import replace

import pytest

from qcqa.charts.layers.groups import grouping_figure
from qcqa.charts.layers.layer_effects import conditions_text, effects_figure, effects_sentence
from qcqa.measure.sensitivity import LayerEffect, LayerSensitivity, SensitivitySettings
from qcqa.plan.plan import Plan, Prediction
from qcqa.reduce.groups.gram import ModelGrams
from qcqa.reduce.groups.grouping import Grouping, LayerGrouping

ALONE = LayerEffect(is_measured=False, kl=0.0, same_top=1.0)


def layer(kl: float, error: float | None = 0.01, behind: float | None = 0.01) -> LayerEffect:
    return LayerEffect(
        is_measured=True,
        kl=kl,
        same_top=0.912,
        kl_error=error,
        same_top_error=error,
        behind_error=behind,
    )


def found(*layers: LayerEffect, num_windows: int = 16) -> LayerSensitivity:
    return LayerSensitivity(
        method="gqa",
        kv_ratio=0.5,
        plan_digest="0" * 24,
        settings=SensitivitySettings("/a/b/wiki.txt"),
        window_tokens=512,
        num_windows=num_windows,
        num_tokens=8000,
        device="cpu",
        dtype="bfloat16",
        seconds=75.0,
        token_passes=1.0,
        finished="2026-11-27T10:00:00+00:00",
        layers=layers,
    )


def test_the_layer_that_moves_most_is_named_with_its_error() -> None:
    said = effects_sentence(found(layer(0.03), layer(0.12), ALONE))
    assert "Layer 1 alone moves the predictions most: 0.120 ± 0.01 nats per token" in said
    assert "91.2 % of the most probable tokens stay the same" in said
    assert "differs from every other layer by more than two standard errors" in said
    assert "1 layer is left alone" in said


def test_layers_that_cannot_be_told_apart_are_said_to_be() -> None:
    said = effects_sentence(found(layer(0.11), layer(0.12), layer(0.03)))
    assert "Layer 0 is within two standard errors of it." in said
    said = effects_sentence(found(layer(0.11), layer(0.12), layer(0.115)))
    assert "Layers 0 and 2 are within two standard errors of it." in said
    said = effects_sentence(found(*[layer(0.12)] * 8))
    assert "7 others are within" in said
    # Paired, layers differ by more than each by itself is uncertain.
    said = effects_sentence(found(layer(0.11, error=0.1, behind=0.001), layer(0.12, error=0.1)))
    assert "differs from every other" in said


@pytest.mark.parametrize(("num_windows", "words"), [(9, "9 windows"), (1, "One window")])
def test_without_an_error_nothing_is_said_of_differences(num_windows: int, words: str) -> None:
    few = [layer(0.11, error=None, behind=None), layer(0.12, error=None, behind=None)]
    said = effects_sentence(found(*few, num_windows=num_windows))
    assert f"{words} of text" in said
    assert "two standard errors" not in said
    assert "±" not in said


def test_what_was_measured_on_what_is_told() -> None:
    told = conditions_text(found(layer(0.1)))
    assert told == (
        "wiki.txt: 8,000 tokens in 16 windows of up to 512; cpu, bfloat16; 75 seconds; 2026-11-27"
    )


def plan_of(grams: ModelGrams) -> Plan:
    groups = LayerGrouping.shared(Grouping.contiguous(8, 4))
    return Plan(
        model=grams.spec,
        fingerprint=grams.fingerprint,
        method="gqa",
        merge="mean",
        layers=(groups.choice,) * 3,
        predicted=Prediction(wse=1.0, relative_wse=0.1),
    )


def test_bars_are_level_with_the_heatmap(random_grams: ModelGrams) -> None:
    plan = plan_of(random_grams)
    figure = effects_figure(plan, found(layer(0.03), layer(0.12, error=0.02), ALONE))
    heatmap = grouping_figure(plan)
    assert figure.layout.height == heatmap.layout.height
    assert figure.layout.margin == heatmap.layout.margin
    assert figure.layout.yaxis.range == heatmap.layout.yaxis.range
    bars, words = figure.data
    assert list(bars.x) == [0.03, 0.12, 0.0]
    assert list(bars.error_x.array) == [0.01, 0.02, 0.0]
    # No word lies on a bar or its error.
    ends = [0.04, 0.14, 0.0]
    assert all(x > end for x, end in zip(words.x, ends, strict=True))
    assert list(words.text) == ["0.0300", "0.120", "0"]
    assert "left alone" in bars.customdata[2]


def test_many_layers_have_no_numbers(random_grams: ModelGrams) -> None:
    one = plan_of(random_grams)
    plan = replace(one, model=replace(one.model, num_layers=80), layers=(one.layers[0],) * 80)
    figure = effects_figure(plan, found(*[layer(0.1)] * 80))
    assert len(figure.data) == 1
