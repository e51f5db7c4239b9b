"""For each family: what a site of its cache costs in few bits is measured, or refused."""

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from qcqa.conversion.live import converted_copy
from qcqa.conversion.travelling.bits_qcqa import Ladder
from qcqa.errors import SettingsError
from qcqa.text.batches import TokenBatch
from qcqa.text.bits_rises import BitsMeter
from qcqa.text.source_reading import SourceReading

Case = Any

#: Of a divergence, in float32.
_NOISE = 1e-7

EIGHT, TWO = (Ladder(((bits, None),), block=8, group=4) for bits in (8, 2))


@pytest.fixture
def batch() -> TokenBatch:
    """Return a row of 20 tokens and one of 12."""
    ids = torch.randint(3, 32, (2, 20), generator=torch.Generator().manual_seed(1))
    is_real = torch.arange(20) < torch.tensor([[20], [12]])
    return TokenBatch(ids * is_real, is_real)


def test_rises_of_every_site_are_measured_or_refused(case: Case, batch: TokenBatch) -> None:
    meter = BitsMeter(SourceReading(case.model, [batch], is_fitted_to=False))
    kinds = DynamicCache(config=case.model.config).layers
    for layer in range(case.checkpoint.spec.num_layers):
        sees_all = not kinds or type(kinds[layer]) is DynamicLayer
        for role in ("key", "value"):
            if not sees_all:
                with pytest.raises(SettingsError, match=f"layer {layer} keeps keys or values"):
                    meter(layer, role, [TWO])
                continue
            eight, two = meter(layer, role, [EIGHT, TWO])
            assert eight > -_NOISE
            assert eight < two / 4 + _NOISE
            together = meter.together({(layer, role): TWO})
            assert together == pytest.approx(two, rel=1e-3, abs=_NOISE)


@torch.no_grad()
def test_of_a_converted_model_the_shared_heads_are_quantised(case: Case, batch: TokenBatch) -> None:
    merged = converted_copy(case.model, case.plan)
    meter = BitsMeter(SourceReading(case.model, [batch], is_fitted_to=False))
    p, q = (
        one(input_ids=batch.token_ids, use_cache=False).logits[batch.is_real].log_softmax(-1)
        for one in (case.model, merged)
    )
    wanted: Tensor = (p.exp() * (p - q)).sum(-1).mean()
    assert meter.together({}, merged) == pytest.approx(float(wanted), rel=1e-3)
    kinds = DynamicCache(config=case.model.config).layers
    if all(type(kind) is DynamicLayer for kind in kinds):
        all_sites = {
            (layer, role): TWO
            for layer in range(case.checkpoint.spec.num_layers)
            for role in ("key", "value")
        }
        assert meter.together(all_sites, merged) != pytest.approx(float(wanted), rel=1e-3)
