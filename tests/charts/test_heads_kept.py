"""Layers' head counts in few words say what the plan's groupings are."""

import numpy as np
import pytest

from qcqa.charts.fronts.heads_kept import heads_kept_text, kept_texts
from qcqa.search.result import SearchResult


def _text(keys: list[int], values: list[int] | None = None, num_heads: int = 8) -> str:
    text = heads_kept_text(np.array(keys), np.array(values or keys), num_heads)
    assert max(map(len, text.split("<br>"))) <= 60
    return text


def test_runs_of_equal_layers_are_put_together() -> None:
    assert _text([8, 8, 8, 8, 4]) == "heads kept of 8<br>L0-3: 8 · L4: 4"
    assert _text([8]) == "heads kept of 8<br>L0: 8"


def test_keys_and_values_apart_have_two_numbers() -> None:
    assert _text([8, 8, 2], [4, 4, 1]) == "K/V heads kept of 8<br>L0-1: 8/4 · L2: 2/1"


def test_many_different_layers_are_told_one_by_one() -> None:
    keys = [1 + layer % 7 for layer in range(30)]
    lines = _text(keys).split("<br>")
    assert lines[1] == "L0-7: 1 2 3 4 5 6 7 1"
    assert lines[-1] == "L24-29: 4 5 6 7 1 2"
    told = [int(count) for line in lines[1:] for count in line.split(": ")[1].split()]
    assert told == keys


def test_deep_models_are_summed_up() -> None:
    rng = np.random.default_rng(0)
    keys = rng.integers(1, 64, size=80)
    keys[:7] = 64
    keys[7] = 1
    text = _text(keys.tolist(), num_heads=64)
    assert "all 64: 7 layers" in text
    assert f"32-63: {int(((keys >= 32) & (keys < 64)).sum())} layers" in text
    counts = [
        int(part.split(": ")[1].split()[0]) for part in text.replace("<br>", " · ").split(" · ")[1:]
    ]
    assert sum(counts) == 80
    apart = _text(keys.tolist(), keys[::-1].tolist(), num_heads=64)
    assert apart.count("all 64: 7 layers") == 2


@pytest.mark.parametrize("method", ["gqa", "mqa", "optimal"])
def test_front_has_a_text_for_each_of_its_plans(result: SearchResult, method: str) -> None:
    front = result.fronts[method]
    texts = kept_texts(front)
    assert len(texts) == len(front)
    for place in range(len(front)):
        kept = np.array([one.picture(8).key.num_stored for one in front.plan_layers(place)])
        assert texts[place] == heads_kept_text(kept, kept, 8)
