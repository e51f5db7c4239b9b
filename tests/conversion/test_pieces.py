"""Texts that are read piece by piece, through the cache, have the figures of one call."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from qcqa.conversion.live import convert
from qcqa.measure.harness_model import HarnessModel
from qcqa.progress import silent
from qcqa.text.scoring import Query, answer_queries


@pytest.fixture
def queries() -> list[Query]:
    """Return texts of unlike lengths, most of them longer than any sliding window."""
    drawn = torch.randint(3, 32, (4, 2, 40), generator=torch.Generator().manual_seed(0)).tolist()
    lengths = ((40, 40), (37, 5), (20, 20), (3, 1))
    return [
        Query(tuple(ids[:length]), tuple(targets[:count]))
        for (ids, targets), (length, count) in zip(drawn, lengths, strict=True)
    ]


def _implementations(model: PreTrainedModel) -> list[str]:
    return ["eager", "sdpa"] if model._supports_sdpa else ["eager"]


def test_pieces_have_the_logits_of_one_call(case: Any, queries: list[Query]) -> None:
    for model in (case.model, convert(case.model, case.plan)):
        for implementation in _implementations(model):
            model.set_attn_implementation(implementation)
            whole = answer_queries(model, queries)
            for piece_tokens in (16, 7, 1):
                pieces = answer_queries(model, queries, source=model, piece_tokens=piece_tokens)
                for one, other in zip(pieces, whole, strict=True):
                    np.testing.assert_allclose(one.nll, other.nll, rtol=1e-4, atol=2e-5)
                    np.testing.assert_array_equal(one.is_right, other.is_right)
                    assert one.kl.max() < 1e-6
                    assert one.is_same.all()


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of numbers."""
    numbers = {"unknown": 0} | {str(number): number for number in range(1, 32)}
    words = Tokenizer(WordLevel(numbers, unk_token="unknown"))
    words.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=words, unk_token="unknown")


def test_a_prompt_is_read_in_pieces_and_goes_on_as_in_one_call(
    case: Any, tokenizer: PreTrainedTokenizerFast
) -> None:
    model = convert(case.model, case.plan)
    model.generation_config.eos_token_id = None
    read: list[int] = []
    model.register_forward_pre_hook(
        lambda _model, _args, kwargs: read.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    prompt = " ".join(map(str, range(3, 32)))

    def generated(piece_tokens: int | None) -> list[str]:
        harness_model = HarnessModel(
            model, tokenizer, batch_tokens=None, piece_tokens=piece_tokens, on_progress=silent
        )
        return harness_model.generate_until([SimpleNamespace(args=(prompt, {"max_gen_toks": 4}))])

    whole = generated(None)
    read.clear()
    assert generated(16) == whole
    assert read == [16, 13, 1, 1, 1]
