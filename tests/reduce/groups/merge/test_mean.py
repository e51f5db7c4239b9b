"""The mean of a group's heads."""

import pytest
import torch

from qcqa.errors import PlanError
from qcqa.reduce.groups.grouping import Grouping, LayerGrouping
from qcqa.reduce.groups.merge import merge_named
from qcqa.reduce.groups.merge.context import LayerContext
from qcqa.reduce.groups.merge.layer_weights import LayerWeights
from qcqa.reduce.groups.merge.mean import mean_of_groups

GROUPING = Grouping((0, 1, 0, 2, 1, 0))


def test_mean_of_each_group_in_their_order() -> None:
    heads = torch.arange(6.0)[:, None, None].expand(6, 2, 3)

    shared = mean_of_groups(heads, GROUPING)

    assert shared.shape == (3, 2, 3)
    assert shared[:, 0, 0].tolist() == [pytest.approx(7 / 3), 2.5, 3.0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_head_alone_comes_back_bit_for_bit(dtype: torch.dtype) -> None:
    heads = torch.randn(6, 2, 3, dtype=torch.float64).to(dtype)

    shared = mean_of_groups(heads, GROUPING)

    assert shared.dtype == dtype
    assert torch.equal(shared[2], heads[3])
    assert torch.equal(mean_of_groups(heads, Grouping.singletons(6)), heads)


def test_means_of_small_types_are_rounded_once() -> None:
    heads = torch.randn(6, 20, 30).bfloat16()

    shared = mean_of_groups(heads, GROUPING)

    exact = torch.stack([heads.double()[list(group)].mean(0) for group in GROUPING.groups])
    torch.testing.assert_close(shared, exact.bfloat16(), rtol=2**-8, atol=0)
    assert (shared == exact.bfloat16()).float().mean() > 0.99


def test_half_precision_does_not_overflow() -> None:
    heads = torch.full((6, 1, 1), 6e4, dtype=torch.float16)

    assert mean_of_groups(heads, Grouping((0,) * 6)).isfinite().all()


def test_keys_and_values_have_groupings_of_their_own() -> None:
    heads = torch.randn(6, 2, 3)
    values = Grouping((0, 0, 0, 0, 0, 1))

    merged = merge_named("mean")(
        LayerWeights(key=heads, value=heads, query=heads, key_norm=heads[..., 0]),
        LayerGrouping(key=GROUPING, value=values),
        LayerContext(),
    )

    assert torch.equal(merged.key, mean_of_groups(heads, GROUPING))
    assert torch.equal(merged.value, mean_of_groups(heads, values))
    assert merged.query is heads
    assert merged.output is None
    assert merged.key_norm is not None
    assert merged.key_norm.shape == (6, 2)
    assert torch.equal(merged.key_norm[0], merged.key_norm[5])


def test_unknown_merge_is_refused() -> None:
    with pytest.raises(PlanError, match="merge 'median'; expected one of mean"):
        merge_named("median")
