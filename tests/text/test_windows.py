"""Calibration text as windows and batches of tokens."""

import numpy as np
import pytest
import torch

from qcqa.errors import CalibrationError
from qcqa.text.batches import make_batches
from qcqa.text.calibration_windows import calibration_windows


def text(num_words: int) -> str:
    return " ".join(["Anna", "has", "a", "dog", "."] * (num_words // 5))


def test_windows_begin_as_the_tokenizer_does_and_keep_to_their_length(demo_tokenizer):
    windows = calibration_windows(demo_tokenizer, [text(500), text(400)], window_tokens=64)
    bos = demo_tokenizer("Anna").input_ids[0]
    assert all(window[0] == bos and len(window) <= 64 for window in windows)
    assert sum(map(len, windows)) > 850


def test_few_tokens_are_taken_evenly_from_all_of_the_text(demo_tokenizer):
    whole = calibration_windows(demo_tokenizer, [text(2000)], window_tokens=32)
    some = calibration_windows(demo_tokenizer, [text(2000)], window_tokens=32, max_tokens=512)
    assert sum(map(len, some)) <= 512
    assert 2 <= len(some) < len(whole)


def test_too_little_text_is_refused_in_one_line(demo_tokenizer):
    with pytest.raises(CalibrationError, match=r"a calibration text of .* tokens") as refusal:
        calibration_windows(demo_tokenizer, ["Anna has a dog."])
    assert "\n" not in refusal.value.one_line()


def test_batches_hold_every_token_once_and_know_their_padding():
    rng = np.random.default_rng(0)
    windows = [rng.integers(1, 99, size=size, dtype=np.int32) for size in (5, 30, 7, 31, 8, 200)]
    batches = make_batches(windows, batch_tokens=64)
    assert all(batch.token_ids.numel() <= 64 for batch in batches[:-1])
    found = torch.cat([batch.token_ids[batch.is_real] for batch in batches])
    wanted = np.concatenate(sorted(windows, key=len))
    assert found.tolist() == wanted.tolist()
    assert sum(batch.num_tokens for batch in batches) == len(wanted)
