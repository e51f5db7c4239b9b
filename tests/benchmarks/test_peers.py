"""What peers do is what they say: nothing at full size, their own bytes, and equal measurements."""

from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import DynamicCache

from qcqa.reduce.groups.grouping import Grouping
from tests.benchmarks.peers import hf_quantized, palu
from tests.benchmarks.peers.__main__ import PEERS, compare
from tests.benchmarks.peers.alike import alike_groups
from tests.benchmarks.peers.ground import Ground, Made, NoneFitsError
from tests.benchmarks.peers.table import Trial, kv_ratio

TEXT = Trial(["def f_7_1(x):\n    return x + 1\n\n" * 200], 600, 128)


@pytest.mark.parametrize("kind", ["m", "g", "j"])
def test_full_rank_changes_nothing(ground: Ground, kind: str) -> None:
    made = palu.make(ground, 1.0, kind)
    scores, source = TEXT.scores(ground, made), TEXT.scores(ground)
    assert made.note.startswith(f"rank {({'m': 1, 'g': 4, 'j': 8}[kind]) * 32} ")
    np.testing.assert_allclose(scores.nll, source.nll, atol=1e-4)
    assert kv_ratio(ground, made, [100]) == 1


def test_low_rank_is_the_best_of_its_rank_on_the_text() -> None:
    drawn = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 10, generator=drawn, dtype=torch.float64)
    inputs = torch.randn(50, 10, generator=drawn, dtype=torch.float64) * torch.arange(1, 11)
    basis = palu.latent_basis(weight, inputs.T @ inputs / 50, 2)
    torch.testing.assert_close(basis.T @ basis, torch.eye(2, dtype=torch.float64))
    found = basis @ basis.T @ weight
    # Eckart and Young: nothing of rank 2 is closer to the outputs than their own two directions.
    outputs = inputs @ weight.T
    lost = torch.linalg.svdvals(outputs)[2:].square().sum()
    torch.testing.assert_close((outputs - inputs @ found.T).square().sum(), lost)


def test_bytes_of_latents_are_those_of_their_numbers(ground: Ground) -> None:
    # Four layers, keys and values, eight heads of 8 of 32 dimensions, 16 bits each.
    assert palu.make(ground, 0.25, "m").bits(10) == 10 * 4 * 2 * 8 * 8 * 16
    # 0.3 of 128 dimensions is 38 of them, in each of two groups.
    made = palu.make(ground, 0.3, "g")
    assert made.bits(1) == 4 * 2 * 2 * 38 * 16
    assert kv_ratio(ground, made, [7, 9]) == 38 / 128


def test_rounded_latents_lose_little_in_many_bits_and_are_counted(ground: Ground) -> None:
    lost = {}
    for width, ratio in ((8, 0.6), (4, 0.3), (2, 0.2)):
        made = palu.make(ground, ratio, "j", width)
        assert made.note == f"rank 256 of 256 in {width} bits"
        assert made.bits(3) == 3 * 4 * 2 * (256 * width + 32)
        lost[width] = float(np.mean(TEXT.scores(ground, made).kl))
    assert 0 <= lost[8] < lost[4] < lost[2]
    assert lost[8] < 1e-3
    # The rank gives way where the bits do not.
    made = palu.make(ground, 0.125, "j", 4)
    assert made.bits(1) == 4 * 2 * (int(made.note.split()[1]) * 4 + 32) <= 0.125 * 4 * 2 * 256 * 16


def test_rounding_is_to_the_nearest_of_its_steps() -> None:
    latents = torch.tensor([[0.0, 0.2, 1.6, 3.0], [5.0, 5.0, 5.0, 5.0]])
    expected = torch.tensor([[0.0, 0.0, 2.0, 3.0], [5.0, 5.0, 5.0, 5.0]])
    torch.testing.assert_close(palu.rounded(latents, 2), expected)


def test_grouped_heads_of_an_odd_number_are_those_of_another_peer() -> None:
    assert [palu.group_size(kind, 3) for kind in "mgj"] == [1, 3, 3]
    assert palu.group_size("g", 6) == 3


def test_caches_of_other_kinds_are_counted_and_are_begun_with(ground: Ground) -> None:
    handed: list[DynamicCache] = []

    def empty(config: object) -> DynamicCache:
        handed.append(DynamicCache(config=config))
        return handed[-1]

    model = hf_quantized.behind(ground.source, empty)
    made = Made(model, lambda tokens: tokens, piece_tokens=16)
    np.testing.assert_allclose(TEXT.scores(ground, made).nll, TEXT.scores(ground).nll, atol=1e-4)
    assert handed
    assert all(cache.get_seq_length() > 16 for cache in handed)


def test_all_that_a_quantized_cache_holds_is_counted() -> None:
    spec = SimpleNamespace(dtype="bfloat16", num_kv_heads=2, head_dim=8, num_layers=3)
    layer = SimpleNamespace(keys=torch.zeros(0), values=torch.zeros(0))

    class Cache:
        layers = (layer,)

        def update(self, keys: torch.Tensor, values: torch.Tensor, _layer: int) -> None:
            if not hasattr(layer, "_quantized_keys"):
                # Packed by two, with scales: what hqq keeps, in tuples and mappings.
                packed = torch.zeros(keys.numel() // 2, dtype=torch.uint8)
                layer._quantized_keys = (packed, {"scale": keys.new_zeros(5), "bits": 4})
                layer._quantized_values = (packed.clone(), {"scale": keys.new_zeros(5)})
            else:
                layer.keys, layer.values = keys, values

    bits = hf_quantized.held_bits(None, spec, lambda _config: Cache(), 100)
    packed, scales, window = 84 * 2 * 8 // 2, 5 * 2, 16 * 2 * 8 * 2
    assert bits == 8 * 3 * 2 * (packed + scales + window)


@pytest.mark.parametrize("backend", ["hqq", "quanto"])
def test_more_bits_are_closer(ground: Ground, backend: str) -> None:
    pytest.importorskip({"hqq": "hqq", "quanto": "optimum.quanto"}[backend])
    source, found = TEXT.scores(ground), {}
    for ratio in (0.5, 0.2):
        made = hf_quantized.make(ground, ratio, backend)
        assert kv_ratio(ground, made, [4096]) <= ratio
        found[made.note] = float(TEXT.scores(ground, made).compared_with(source)[3].value)
    assert list(found) == ["4 bits", "2 bits"]
    assert 0 < found["4 bits"] < found["2 bits"]


def test_heads_that_are_alike_share() -> None:
    likeness = np.eye(6)
    for one, other in ((0, 5), (1, 3), (2, 4)):
        likeness[one, other] = likeness[other, one] = 1
    assert alike_groups(likeness, 3) == Grouping.from_labels((0, 1, 2, 1, 2, 0))
    drawn = np.random.default_rng(0).normal(size=(6, 6))
    likeness = drawn + drawn.T
    labels = np.array(alike_groups(likeness, 2).labels)
    assert sorted(labels) == [0, 0, 0, 1, 1, 1]
    reached = likeness[labels[:, None] == labels].sum()
    for one, other in combinations(range(6), 2):
        swapped = labels.copy()
        swapped[[one, other]] = labels[[other, one]]
        assert likeness[swapped[:, None] == swapped].sum() <= reached + 1e-9


def test_every_peer_is_measured_alike_and_within_the_bytes(ground: Ground) -> None:
    names = ("palu-j", "aligned", "gqa", "mqa", "uniform-bits", "optimal")
    table = compare(ground, TEXT, [PEERS[name] for name in names], [0.5, 0.1])
    rows = [line.split(" | ") for line in table.splitlines()[2:]]
    assert len(rows) == 1 + 2 * len(names)
    for row in rows[1:]:
        assert row[2] == "-" or float(row[2]) <= float(row[0].removeprefix("| "))
    assert [row[2] for row in rows if row[0] == "| 0.1" and row[1] == "MQA means"] == ["-"]


def test_judge_says_the_same_as_the_source(ground: Ground) -> None:
    made = Made(ground.source, lambda tokens: tokens)
    for _ in range(2):
        scores = TEXT.scores(ground, made)
        assert scores.kl.max() < 1e-6
        assert scores.is_same.all()


def test_what_cannot_be_so_small_says_so(ground: Ground) -> None:
    with pytest.raises(NoneFitsError, match="not one of 32"):
        palu.make(ground, 0.02, "m")
