"""Bars of a plan's layers and the similarity of one layer's heads."""

from dataclasses import replace

import numpy as np
import pytest

from qcqa.charts.layers.groups import grouping_figure
from qcqa.charts.layers.layer_bars import (
    LayerErrors,
    layer_bars_caption,
    layer_bars_figure,
    layer_errors,
)
from qcqa.charts.layers.similarity import similarity_figure, similarity_limit
from qcqa.pick.plan import plan_of_result
from qcqa.reduce.bits.choice import Bits
from qcqa.reduce.bits.options import BitsOptions
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.groups.gram import head_similarity
from qcqa.reduce.groups.wse import choices_wse
from qcqa.search.result import SearchResult

#: Bits per token of one head of the model: 4 elements of 16 bits.
HEAD = 64


def test_bars_are_what_layers_keep_and_lose(result: SearchResult) -> None:
    plan = plan_of_result(result, 24 * HEAD, method="optimal")
    errors = layer_errors(result.fronts["optimal"], plan)
    kept, lost = layer_bars_figure(plan, errors).data
    assert kept.x == pytest.approx([100 * layer.key.num_stored / 8 for layer in plan.pictures])
    wse = [
        choices_wse(gram, [layer])[0] for gram, layer in zip(result.grams, plan.layers, strict=True)
    ]
    assert lost.x == pytest.approx(np.array(wse) / result.grams.trace)
    assert sum(lost.x) == pytest.approx(plan.predicted.relative_wse)
    assert f"Layer {np.argmax(wse)} adds" in errors.sentence


def test_rows_are_level_with_those_of_the_groups(result: SearchResult) -> None:
    plan = plan_of_result(result, 24 * HEAD, method="optimal")
    bars = layer_bars_figure(plan, layer_errors(result.fronts["optimal"], plan)).layout
    grid = grouping_figure(plan).layout
    assert bars.height == grid.height
    assert (bars.margin.t, bars.margin.b) == (grid.margin.t, grid.margin.b)
    assert bars.yaxis.range == grid.yaxis.range


def test_another_fitness_is_said(with_best: SearchResult) -> None:
    plan = plan_of_result(with_best, 24 * HEAD, method="best")
    errors = layer_errors(with_best.fronts["best"], plan)
    figure = layer_bars_figure(plan, errors)
    assert figure.layout.xaxis2.title.text == "rise of the loss, nats"
    assert "raised the loss" in layer_bars_caption(errors)
    assert plan.predicted.error == pytest.approx(sum(figure.data[1].x))


def test_source_loses_nothing(result: SearchResult) -> None:
    plan = plan_of_result(result, 48 * HEAD, method="mha")
    errors = layer_errors(result.fronts["mha"], plan)
    assert errors.sentence == "Nothing is lost."
    figure = layer_bars_figure(plan, errors)
    assert set(figure.data[0].x) == {100}
    assert set(figure.data[1].x) == {0}


def test_similarity_is_ordered_by_group(result: SearchResult) -> None:
    gram = result.grams.layers[0].key
    figure = similarity_figure(gram, [[0], [1, 6], [2], [3, 4, 7], [5]])
    # Groups first, heads on their own last.
    order = [1, 6, 3, 4, 7, 0, 2, 5]
    assert list(figure.layout.xaxis.ticktext) == [str(head) for head in order]
    assert list(figure.layout.yaxis.ticktext) == [str(head) for head in order]
    expected = head_similarity(gram)[np.ix_(order, order)]
    np.testing.assert_allclose(figure.data[0].z, expected)
    assert (figure.data[0].zmin, figure.data[0].zmax) == (-1, 1)
    frames = [(shape.x0, shape.x1) for shape in figure.layout.shapes]
    assert frames == [(-0.5, 1.5), (1.5, 4.5)]


def test_colours_can_end_at_the_largest_similarity(result: SearchResult) -> None:
    gram = result.grams.layers[0].key
    similarity = np.abs(head_similarity(gram))
    limit = similarity_limit(gram)
    assert limit == similarity[~np.eye(8, dtype=bool)].max()
    figure = similarity_figure(gram, [range(4), range(4, 8)], limit=limit)
    assert figure.data[0].zmax == limit
    assert similarity_limit(np.eye(1)) == 1


@pytest.mark.parametrize("num_heads", [1, 64])
def test_similarity_of_any_number_of_heads(num_heads: int) -> None:
    figure = similarity_figure(np.eye(num_heads), [range(num_heads)])
    assert np.shape(figure.data[0].z) == (num_heads, num_heads)


def test_bars_of_fewer_bits_are_shorter(result: SearchResult) -> None:
    plan = plan_of_result(result, result.spec.kv_bits, method="mha")
    bits = [Bits.uniform(4, BitsOptions(), kind, result.spec) for kind in ("key", "value")]
    packed = replace(plan, layers=tuple(LayerChoice((bits[0],), (bits[1],)) for _ in plan.layers))
    errors = LayerErrors("loss", np.zeros(len(plan.layers)))
    shown = sum(layer_bars_figure(packed, errors).data[0].x) / len(plan.layers)
    assert shown == pytest.approx(100 * packed.kv_ratio)
    assert shown < 60  # of heads so small scales are a third
