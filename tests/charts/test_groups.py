"""The chart of layers by heads shows who shares with whom."""

from dataclasses import replace

import numpy as np
import pytest

from qcqa.charts.common.palette import GROUP_COLOURS
from qcqa.charts.layers.groups import group_colours, grouping_figure
from qcqa.model.spec import ModelSpec
from qcqa.pick.plan import plan_of_result
from qcqa.plan.plan import Plan, Prediction
from qcqa.reduce.bits.choice import Bits
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.groups.grouping import Grouping, LayerGrouping
from qcqa.reduce.latent.choice import Latent
from qcqa.reduce.picture import SitePicture
from qcqa.search.result import SearchResult

#: Bits per token of one head of the model: 4 elements of 16 bits.
HEAD = 64


def _plan(layers: tuple[LayerGrouping, ...], spec: ModelSpec) -> Plan:
    model = replace(
        spec,
        num_layers=len(layers),
        num_query_heads=layers[0].key.num_heads,
        num_kv_heads=layers[0].key.num_heads,
    )
    return Plan(
        model=model,
        fingerprint="0",
        method="optimal",
        merge="mean",
        layers=tuple(layer.choice for layer in layers),
        predicted=Prediction(wse=1.0, relative_wse=0.1),
    )


def test_heads_of_one_group_have_one_colour_and_number(result: SearchResult) -> None:
    plan = plan_of_result(result, 24 * HEAD, method="optimal")
    cells = grouping_figure(plan).data[0]
    assert np.shape(cells.z) == (3, 8)
    for layer, picture in enumerate(plan.pictures):
        for group in picture.key.readers:
            assert len({cells.z[layer][head] for head in group}) == 1
            texts = {cells.text[layer][head] for head in group}
            assert texts == ({""} if len(group) == 1 else {str(picture.key.reads[group[0]])})


def test_colour_stays_with_the_lowest_head() -> None:
    few = group_colours(SitePicture((0, 0, 1, 1, 1, 1)))
    more = group_colours(SitePicture((0, 1, 2, 2, 3, 3)))
    assert few[2] == more[2]
    assert more[:2] == [-1, -1]
    assert more[2] != more[4]


def test_layers_of_more_groups_than_colours_are_drawn() -> None:
    num_groups = 2 * len(GROUP_COLOURS) + 1
    colours = group_colours(SitePicture(tuple(head // 2 for head in range(2 * num_groups))))
    assert set(colours) == set(range(len(GROUP_COLOURS)))
    # Neighbouring groups are told apart.
    assert all(a != b for a, b in zip(colours[1::2], colours[2::2], strict=False))


@pytest.mark.parametrize(("num_layers", "num_heads"), [(1, 1), (1, 12), (80, 64)])
def test_any_size_is_drawn(result: SearchResult, num_layers: int, num_heads: int) -> None:
    layer = LayerGrouping.shared(Grouping.contiguous(num_heads, 1))
    figure = grouping_figure(_plan((layer,) * num_layers, result.spec))
    assert np.shape(figure.data[0].z) == (num_layers, num_heads)
    assert 100 < figure.layout.height < 1100


def test_keys_and_values_grouped_apart_get_a_panel_each(result: SearchResult) -> None:
    layer = LayerGrouping(key=Grouping.contiguous(8, 4), value=Grouping.contiguous(8, 2))
    figure = grouping_figure(_plan((layer, layer), result.spec))
    assert [note.text for note in figure.layout.annotations] == ["Keys", "Values"]


@pytest.mark.parametrize("compact", [False, True])
def test_wide_plans_have_no_text_in_their_cells(result: SearchResult, compact: bool) -> None:
    layer = LayerGrouping(key=Grouping.contiguous(64, 8), value=Grouping.contiguous(64, 1))
    figure = grouping_figure(_plan((layer,) * 80, result.spec), compact=compact)
    assert figure.data[0].text is None
    # What is sent to the browser stays small.
    assert len(figure.to_json()) < 800_000


def test_pointer_names_the_heads_of_a_group(result: SearchResult) -> None:
    layer = LayerGrouping.shared(Grouping.from_groups([[0, 2], [1]], 3))
    plan = _plan((layer,), result.spec)
    told = grouping_figure(plan).data[0].customdata
    expected = ["group 0: heads 0, 2 share one", "keeps its own head"]
    assert told[0].tolist() == [*expected, expected[0]]
    told = grouping_figure(plan, compact=True).data[0].customdata
    assert told[0].tolist() == ["group 0, of 2 heads", expected[1], "group 0, of 2 heads"]


def test_words_at_the_ends_of_two_panels_have_two_lines(result: SearchResult) -> None:
    bits = Bits(((4, None),), group=4)
    apart = LayerGrouping(key=Grouping.contiguous(8, 4), value=Grouping.contiguous(8, 2)).choice
    layer = LayerChoice(apart.key, (*apart.value, bits))
    plan = _plan((LayerGrouping.shared(Grouping.contiguous(8, 2)),), result.spec)
    _, keys, _, values = grouping_figure(replace(plan, layers=(layer,))).data
    assert (*keys.text, *values.text) == ("4/8", "2/8<br>4 bits")


def test_heads_in_latents_keep_none_of_their_own(result: SearchResult) -> None:
    bits = Bits(((4, None),), group=4)
    layer = LayerChoice((Latent((1, 2)),), (Latent(free=8), bits))
    plan = _plan((LayerGrouping.shared(Grouping.contiguous(8, 2)),), result.spec)
    cells, keys, _, values = grouping_figure(replace(plan, layers=(layer,))).data
    assert (*keys.text, *values.text) == ("6 latents", "8 latents, 4 bits")
    assert set(cells.customdata[0]) == {"in 6 latents"}
