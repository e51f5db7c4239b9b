"""Closeness to the source: against the definition, token by token, in any batch."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from qcqa.measure.text import evaluate_text

Tokenizer = PreTrainedTokenizerBase


def disturbed(model: PreTrainedModel) -> PreTrainedModel:
    other = deepcopy(model)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return other


@torch.no_grad()
def test_divergence_and_agreement_are_those_of_the_whole_distributions(
    model: PreTrainedModel, tokenizer: Tokenizer, documents: list[str]
) -> None:
    other = disturbed(model)

    scores = evaluate_text(other, tokenizer, documents[:1], data="text", source=model)

    ids = torch.tensor([tokenizer(documents[0]).input_ids[:-1]])
    theirs, ours = (one.eval()(ids).logits[0, :-1].double().softmax(-1) for one in (model, other))
    expected = (theirs * (theirs / ours).log()).sum(-1)
    assert expected.min() > 0
    np.testing.assert_allclose(scores.kl, expected, rtol=1e-3, atol=1e-6)
    assert scores.is_same.tolist() == (theirs.argmax(-1) == ours.argmax(-1)).tolist()


@pytest.mark.parametrize("batch_tokens", [1, 100_000])
def test_batches_change_nothing(
    model: PreTrainedModel, tokenizer: Tokenizer, documents: list[str], batch_tokens: int
) -> None:
    other = disturbed(model)
    whole = evaluate_text(other, tokenizer, documents, data="text", source=model)
    scores = evaluate_text(
        other, tokenizer, documents, data="text", source=model, batch_tokens=batch_tokens
    )
    np.testing.assert_allclose(scores.kl, whole.kl, atol=2e-5)


def test_a_large_vocabulary_is_taken_in_pieces(
    model: PreTrainedModel,
    tokenizer: Tokenizer,
    documents: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = disturbed(model)
    whole = evaluate_text(other, tokenizer, documents, data="text", source=model)
    monkeypatch.setattr("qcqa.text.scoring._CHUNK_ELEMENTS", model.config.vocab_size)
    scores = evaluate_text(other, tokenizer, documents, data="text", source=model)
    np.testing.assert_allclose(scores.kl, whole.kl, rtol=1e-4, atol=1e-7)


def test_a_source_is_as_close_as_can_be(
    model: PreTrainedModel, tokenizer: Tokenizer, documents: list[str]
) -> None:
    alone = evaluate_text(model, tokenizer, documents, data="text")
    beside = evaluate_text(model, tokenizer, documents, data="text", source=deepcopy(model))
    for scores in (alone, beside):
        assert not scores.kl.any()
        assert scores.is_same.all()
    figures = {one.metric: one.value for one in beside.compared_with(alone)}
    assert figures["text/kl"] == 0
    assert figures["text/same_top"] == 1
