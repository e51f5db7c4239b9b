"""The model card says what is kept of heads and in how many bits, and what that changes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from qcqa.conversion.card import model_card
from qcqa.model.opening import open_checkpoint
from qcqa.plan.plan import Plan, Prediction
from qcqa.reduce.bits.choice import Bits
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.groups.grouping import Grouping
from qcqa.reduce.latent.choice import Latent

FOUR, STAIRS = Bits(((4, None),), group=8), Bits(((8, 4), (2, None)))
SHARED = Grouping((0, 0, 1, 1, 2, 2))


@pytest.fixture
def card(tiny_folder: Callable[[str], Path]) -> Callable[..., str]:
    """Return a maker of the card of a plan whose first layer is left as it is."""
    checkpoint = open_checkpoint(str(tiny_folder("llama")))

    def make(key: tuple, value: tuple) -> str:
        plan = Plan(
            model=checkpoint.spec,
            fingerprint="0",
            method="made-up",
            merge="mean",
            layers=(LayerChoice(), *[LayerChoice(key, value)] * 2),
            predicted=Prediction(wse=1.0, relative_wse=0.5),
        )
        text = model_card(plan)
        size = plan.cache_bytes(32768, dtype="float32") / 2**30
        assert f"| KV cache of 32768 tokens | {size:.3g} GiB |" in text
        return text

    return make


def test_heads_alone(card: Callable[..., str]) -> None:
    text = card((SHARED,), (SHARED,))
    assert "llama with attention heads that share keys and values, chosen by **made-up**" in text
    assert "Heads are merged by **mean**; weights and KV cache hold the shared heads" in text
    assert "| 0 | none shared | none shared |\n| 1 | 3: (0 1), (2 3), (4 5) |" in text
    assert "WSE 1" in text
    assert "What is cached" not in text


def test_bits_alone_change_no_weights(card: Callable[..., str]) -> None:
    text = card((STAIRS,), (FOUR,))
    assert "llama with a KV cache in 8-2 or 4 bits or all, chosen by **made-up**" in text
    assert "The weights are the source's, unchanged." in text
    assert (
        "- keys in **8-2 bits**: the newest 32 tokens, and what is no whole block of 32 yet, stay "
        "in full (`rungs [[8, 4], [2, null]], block 32, group 32, window 32, rotated false`)"
    ) in text
    assert "- values in **4 bits**" in text
    assert "group 8" in text
    assert "| 0 | as in the source | as in the source |\n| 1 | 8-2 bits | 4 bits |" in text
    assert "merged" not in text
    assert "WSE" not in text


def test_heads_and_bits(card: Callable[..., str]) -> None:
    text = card((SHARED, STAIRS), (FOUR,))
    assert "that share keys and values and with a KV cache in 8-2 or 4 bits or all" in text
    assert "| 1 | 3: (0 1), (2 3), (4 5); 8-2 bits | none shared; 4 bits |" in text
    assert "Heads are merged by **mean**" in text


def test_latents_and_bits(card: Callable[..., str]) -> None:
    text = card((Latent((1, 2, 0, 3)), STAIRS), (Latent(free=24), FOUR))
    assert "Weights are projected to what latents keep." in text
    assert f"| K and V dimensions of a token | {2 * 48 + 2 * (12 + 24)} | {6 * 48} |" in text
    assert "Layers cache keys, values or both as latents. Linear maps" in text
    assert "## How it is packed" in text
    assert "| 1 | 12 latents, 8-2 bits | 24 latents, 4 bits |" in text
    assert "| layer | key latents, packing | value latents, packing |" in text
    assert "merged" not in text
    assert "WSE" not in text
