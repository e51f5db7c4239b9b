"""A merge may change queries and the output projection too: the way is open for all families."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from qcqa.conversion.folder import convert_checkpoint
from qcqa.conversion.live import convert
from qcqa.conversion.loading import load
from qcqa.reduce.groups.grouping import LayerGrouping
from qcqa.reduce.groups.merge.context import LayerContext
from qcqa.reduce.groups.merge.layer_weights import LayerWeights, Role
from qcqa.reduce.groups.merge.mean import MeanMerge


class ScaledMean:
    """The mean, with powers of two moved from the keys into the queries, and likewise values."""

    needs: frozenset[Role] = frozenset({"query", "key", "value", "output", "key_norm"})

    def __init__(self, *, scale_keys: bool):
        self._key_scale = 4.0 if scale_keys else 1.0

    def __call__(
        self, weights: LayerWeights, grouping: LayerGrouping, context: LayerContext
    ) -> LayerWeights:
        merged = MeanMerge()(weights, grouping, context)
        assert merged.query is not None
        assert merged.output is not None
        assert merged.query.shape[0] == merged.output.shape[1]
        return replace(
            merged,
            key=merged.key * self._key_scale,
            query=merged.query / self._key_scale,
            value=merged.value * 2,
            output=merged.output / 2,
        )


@torch.no_grad()
def test_what_moves_between_projections_cancels(
    case: Any, tokens: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    dense = case.dense()
    # A norm between a projection and the scores takes the scale away.
    merge = ScaledMean(scale_keys=case.checkpoint.architecture.modules.key_norm is None)
    monkeypatch.setattr("qcqa.reduce.groups.merge.MERGES", {"mean": merge})
    convert_checkpoint(str(case.folder), case.plan, case.folder / "out")

    live = convert(case.model, case.plan)

    expected = dense(tokens[0]).logits
    tolerance = 5e-6 * float(expected.abs().max())
    for model in (live, load(case.folder / "out", attn_implementation="eager")):
        logits = model(tokens[0]).logits
        torch.testing.assert_close(logits, expected, rtol=1e-4, atol=tolerance)
    if case.checkpoint.spec.num_kv_heads > 1:  # else there is nothing to merge
        output = case.checkpoint.module_name(case.checkpoint.architecture.modules.output, 1)
        ours, theirs = (one.get_submodule(output).weight for one in (live, dense))
        assert torch.equal(2 * ours, theirs)
