"""Rises of bits are measured as they are defined: each whole block as it is stored."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import DynamicCache

from qcqa.conversion.travelling.bits_qcqa import WIDTHS, Ladder
from qcqa.conversion.travelling.blocks_qcqa import pack, unpack
from qcqa.errors import SettingsError
from qcqa.text.batches import TokenBatch, make_batches
from qcqa.text.bits_rises import BitsMeter
from qcqa.text.known_rises import KnownRises
from qcqa.text.running import cache_argument
from qcqa.text.source_reading import SourceReading

#: Blocks of 8 tokens, as windows are short, and groups of 4 channels, as heads have 8.
LADDERS = [Ladder(((bits, None),), block=8, group=4) for bits in WIDTHS]
SITES = [(layer, role) for layer in range(3) for role in ("key", "value")]


@pytest.fixture
def model(model):
    """A model that looks at few tokens, and says what it saw: what is lost of them is no noise."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    return model


@pytest.fixture
def batches():
    """One batch of windows of 13 to 24 tokens."""
    rng = np.random.default_rng(0)
    windows = [rng.integers(3, 64, size=size, dtype=np.int32) for size in (13, 16, 19, 24, 24)]
    return make_batches(windows, batch_tokens=1000)


@pytest.fixture
def meter(model, batches):
    return BitsMeter(SourceReading(model, batches, is_fitted_to=False))


class NaiveCache(DynamicCache):
    """Quantises one site row by row and block by block."""

    def __init__(self, site, ladder, lengths):
        super().__init__()
        self.site, self.ladder, self.lengths = site, ladder, lengths

    def update(self, keys, values, layer, *args, **kwargs):
        held = super().update(keys, values, layer, *args, **kwargs)
        states = dict(zip(("key", "value"), held, strict=True))
        for role, of_role in states.items():
            if (layer, role) != self.site:
                continue
            group = None if role == "key" else self.ladder.group
            for row, length in enumerate(self.lengths):
                for start in range(0, length - self.ladder.block + 1, self.ladder.block):
                    part = of_role[row : row + 1, :, None, start : start + self.ladder.block]
                    packed = pack(part, self.ladder.rungs[0][0], group)
                    part.copy_(unpack(packed, torch.empty_like(part)))
        return states["key"], states["value"]


@torch.no_grad()
def naive_rise(model, batch, site, ladder):
    lengths = batch.is_real.sum(dim=1).tolist()
    cache = NaiveCache(site, ladder, lengths)
    p = model(batch.token_ids, use_cache=False).logits[batch.is_real].log_softmax(-1)
    q = model(batch.token_ids, **{cache_argument(): cache}).logits[batch.is_real].log_softmax(-1)
    return float((p.exp() * (p - q)).sum(-1).mean())


def test_a_rise_is_that_of_all_whole_blocks_as_they_are_stored(model, batches, meter):
    for layer, role in reversed(SITES):
        rises = meter(layer, role, LADDERS)
        wanted = [naive_rise(model, batches[0], (layer, role), one) for one in LADDERS]
        np.testing.assert_allclose(rises, wanted, rtol=1e-3, atol=1e-7)
        # each bit less makes steps at least twice as wide, and what errs by them four times
        assert (rises[1:] > 2 * rises[:-1]).all()


def test_nothing_quantised_is_no_rise_at_all(meter):
    assert meter.together({}) == 0.0


def test_one_site_of_the_whole_model_rises_as_it_does_alone(meter):
    for layer, role in SITES:
        alone = meter(layer, role, LADDERS[-1:])[0]
        assert meter.together({(layer, role): LADDERS[-1]}) == pytest.approx(alone, rel=1e-4)


def test_all_sites_together_are_more_than_the_worst_alone(meter):
    worst = max(meter(layer, role, LADDERS[-1:])[0] for layer, role in SITES)
    assert meter.together(dict.fromkeys(SITES, LADDERS[-1])) > worst


def test_padding_has_no_say(model, batches):
    (batch,) = batches
    other = TokenBatch(torch.where(batch.is_real, batch.token_ids, 63), batch.is_real)
    rises = []
    for one in (batch, other):
        meter = BitsMeter(SourceReading(model, [one], is_fitted_to=False))
        rises.append([meter(layer, role, LADDERS[-1:])[0] for layer, role in SITES])
    np.testing.assert_allclose(*rises, rtol=1e-4)


def test_window_and_younger_rungs_do_not_count(model, batches, tmp_path, monkeypatch):
    path = tmp_path / "rises.jsonl"
    reading = SourceReading(model, batches, is_fitted_to=False)
    plain = BitsMeter(reading, KnownRises(path))(1, "key", [LADDERS[-1]])
    staircase = replace(LADDERS[-1], rungs=((8, 4), (2, None)), window=64)
    monkeypatch.setattr(reading, "divergence", lambda _: pytest.fail("this was measured before"))
    again = BitsMeter(reading, KnownRises(path))(1, "key", [staircase])
    np.testing.assert_array_equal(again, plain)


@pytest.mark.parametrize(
    ("role", "change"),
    [("key", {"rotated": True}), ("key", {"block": 16}), ("value", {"group": 8})],
)
def test_what_is_packed_otherwise_is_measured_by_itself(model, batches, tmp_path, role, change):
    reading, path = SourceReading(model, batches, is_fitted_to=False), tmp_path / "rises.jsonl"
    ladders = [LADDERS[-1], replace(LADDERS[-1], **change)]
    plain, other = (BitsMeter(reading, KnownRises(path))(0, role, [one])[0] for one in ladders)
    assert 0 < other != plain > 0
    # Kept beside each other.
    again = BitsMeter(reading, KnownRises(path))(0, role, ladders[::-1])
    assert again.tolist() == [other, plain]
    assert len(path.read_text().splitlines()) == 2


def test_groups_that_do_not_divide_a_head_are_refused(meter):
    ladder = replace(LADDERS[0], group=3)
    for measure in (
        lambda: meter(0, "value", [ladder]),
        lambda: meter.together({(0, "value"): ladder}),
    ):
        with pytest.raises(SettingsError, match="groups of 3 channels: expected a divisor") as no:
            measure()
        assert "\n" not in no.value.one_line()
