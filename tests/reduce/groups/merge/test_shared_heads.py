"""Merges on the weights of one layer: what they leave, and how long shared heads are."""

from typing import Any

import pytest
import torch

from qcqa.model.key_norm import KeyNorm
from qcqa.reduce.groups.grouping import Grouping, LayerGrouping
from qcqa.reduce.groups.merge import MERGES, merge_named
from qcqa.reduce.groups.merge.context import LayerContext
from qcqa.reduce.groups.merge.grams import layer_grams
from qcqa.reduce.groups.merge.layer_weights import LayerWeights

KEYS, VALUES = Grouping((0, 1, 0, 2)), Grouping((0, 1, 2, 2))
GROUPING = LayerGrouping(key=KEYS, value=VALUES)
PLANES = ((0, 2), (1, 3))
CONTEXTS = {
    "free": LayerContext(),
    "rotary": LayerContext(rotary_planes=PLANES),
    "partial": LayerContext(rotary_planes=PLANES[:1]),
    "normed": LayerContext(rotary_planes=PLANES, key_norm=KeyNorm()),
    "clipped": LayerContext(rotary_planes=PLANES, is_clipped=True),
}


def weights_in(dtype: torch.dtype, *, scale: float = 1.0) -> LayerWeights:
    """Return 4 KV heads of 4 dimensions, 2 query heads each."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return (scale * torch.randn(*shape, generator=generator, dtype=torch.float64)).to(dtype)

    return LayerWeights(
        key=random(4, 4, 11),
        value=random(4, 4, 11),
        query=random(8, 4, 11),
        output=random(10, 8, 4),
    )


@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
@pytest.mark.parametrize("name", MERGES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_heads_alone_keep_every_bit(name: Any, context: LayerContext, dtype: torch.dtype) -> None:
    weights = weights_in(dtype)

    merged = merge_named(name)(weights, GROUPING, context)

    assert torch.equal(merged.key[1:], weights.key[[1, 3]])
    assert torch.equal(merged.value[:2], weights.value[:2])
    assert weights.query is not None
    assert merged.query is not None
    assert torch.equal(merged.query[[2, 3, 6, 7]], weights.query[[2, 3, 6, 7]])
    assert weights.output is not None
    assert merged.output is not None
    assert torch.equal(merged.output[:, :4], weights.output[:, :4])
    assert {part.dtype for part in (merged.key, merged.value, merged.query)} == {dtype}


@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
@pytest.mark.parametrize("name", ["mean-norm", "svd"])
def test_shared_heads_are_about_as_long_as_theirs(name: Any, context: LayerContext) -> None:
    # The largest weights of float16 are near: nothing may overflow.
    weights = weights_in(torch.float16, scale=1e4)

    merged = merge_named(name)(weights, GROUPING, context)

    for shared, own in ((merged.key[0], weights.key[[0, 2]]), (merged.value[2], weights.value[2:])):
        length = float(own.double().norm()) / 2**0.5
        assert 0.5 * length < float(shared.double().norm()) < 1.5 * length
    assert merged.query is not None
    assert merged.query.isfinite().all()


def test_the_rescaled_mean_keeps_the_root_mean_square() -> None:
    weights = weights_in(torch.float64)

    merged = merge_named("mean-norm")(weights, GROUPING, LayerContext())

    mean = weights.key[[0, 2]].mean(dim=0)
    wanted = torch.sqrt((weights.key[[0, 2]] ** 2).sum() / 2)
    torch.testing.assert_close(merged.key[0], mean / mean.norm() * wanted)
    nothing = LayerWeights(key=weights.key * 0, value=weights.value)
    assert not merge_named("mean-norm")(nothing, GROUPING, LayerContext()).key.any()


def test_a_search_sees_the_error_of_the_merge() -> None:
    weights, context = weights_in(torch.float64), LayerContext(rotary_planes=PLANES)
    merged = merge_named("svd")(weights, GROUPING, context)
    objective = layer_grams(weights, context).objective("value")
    assert weights.output is not None
    assert merged.output is not None

    error = 0.0
    for head, label in enumerate(VALUES.labels):
        for query_head in (2 * head, 2 * head + 1):
            before = weights.output[:, query_head] @ weights.value[head]
            after = merged.output[:, query_head] @ merged.value[label]
            error += float(((before - after) ** 2).sum())

    assert objective.error_of_groups(VALUES.groups).sum() == pytest.approx(error, rel=1e-9)
