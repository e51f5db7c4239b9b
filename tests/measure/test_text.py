"""Perplexity and accuracy: against transformers' own loss, in any batch, in pairs."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from qcqa.errors import EvaluationError
from qcqa.measure.text import evaluate_text
from qcqa.measure.text_scores import TextScores, load_text_scores
from qcqa.progress import Progress
from qcqa.text.documents import demo_documents, read_documents
from qcqa.text.windows import cut_windows

Tokenizer = PreTrainedTokenizerBase


def values(scores: TextScores) -> dict[str, float]:
    return {one.metric: one.value for one in scores.measurements()}


@torch.no_grad()
def loss_of_transformers(model: PreTrainedModel, ids: list[int]) -> float:
    row = torch.tensor([ids])
    return float(model.eval()(input_ids=row, labels=row).loss)


def test_the_likelihood_is_transformers_own_loss(
    any_model: PreTrainedModel, tokenizer: Tokenizer, documents: list[str]
) -> None:
    scores = evaluate_text(any_model, tokenizer, documents, data="text")
    for number, document in enumerate(documents):
        # The tokenizer's EOS is not text.
        ids = tokenizer(document).input_ids[:-1]
        expected = loss_of_transformers(any_model, ids)
        assert scores.nll[scores.document == number].mean() == pytest.approx(expected, abs=2e-6)
    assert len(scores.nll) == sum(len(document.split()) for document in documents)
    assert values(scores)["text/perplexity"] == pytest.approx(np.exp(scores.nll.mean()), rel=1e-6)


def test_without_bos_the_first_token_of_a_document_is_not_scored(
    model: PreTrainedModel, plain_tokenizer: Tokenizer, documents: list[str]
) -> None:
    scores = evaluate_text(model, plain_tokenizer, documents[:4], data="text")
    ids = plain_tokenizer(documents[0]).input_ids
    assert scores.nll[scores.document == 0].mean() == pytest.approx(
        loss_of_transformers(model, ids), abs=2e-6
    )
    assert (scores.document == 0).sum() == len(ids) - 1


@pytest.mark.parametrize("batch_tokens", [1, 100, 100_000])
def test_batches_and_padding_change_nothing(
    any_model: PreTrainedModel, tokenizer: Tokenizer, documents: list[str], batch_tokens: int
) -> None:
    alone = [evaluate_text(any_model, tokenizer, [one], data="text").nll for one in documents]
    together = evaluate_text(
        any_model, tokenizer, documents, data="text", batch_tokens=batch_tokens
    )
    np.testing.assert_allclose(together.nll, np.concatenate(alone), atol=2e-5)


def test_accuracy_counts_the_most_probable_token(
    model: PreTrainedModel, tokenizer: Tokenizer, documents: list[str]
) -> None:
    scores = evaluate_text(model, tokenizer, documents[:1], data="text")
    ids = torch.tensor([tokenizer(documents[0]).input_ids[:-1]])
    with torch.no_grad():
        predicted = model(ids).logits[0, :-1].argmax(-1)
    assert scores.is_right.tolist() == (predicted == ids[0, 1:]).tolist()


def test_a_long_document_is_read_in_windows_that_score_every_token_once(
    model: PreTrainedModel, tokenizer: Tokenizer, documents: list[str]
) -> None:
    text = " ".join(documents)
    count = len(text.split())
    full = evaluate_text(model, tokenizer, [text], data="text")
    assert len(full.nll) == count
    assert len(np.unique(full.window)) > 5
    # One long document: what repeats are its windows.
    assert full.clusters is full.window
    halves = evaluate_text(model, tokenizer, [text], data="text", window_tokens=32, stride=7)
    assert len(halves.nll) == count
    assert halves.digest != full.digest


@pytest.mark.parametrize("prefix", [(), (1,)])
@pytest.mark.parametrize("stride", [None, 1, 4])
def test_windows_read_what_stands_before_and_never_more_than_their_length(
    prefix: tuple[int, ...], stride: int | None
) -> None:
    documents = [list(range(100, 100 + length)) for length in (1, 2, 9, 10, 11, 40)]
    windows = list(cut_windows(documents, prefix, length=10, stride=stride))
    for number, tokens in enumerate(documents):
        of_document = [window.query for window in windows if window.document == number]
        scored = [token for query in of_document for token in query.targets]
        assert scored == tokens[0 if prefix else 1 :]
        for query in of_document:
            assert len(query.token_ids) < 10
            assert query.token_ids[: len(prefix)] == prefix
            end = query.targets[-1]
            text = query.token_ids[len(prefix) :]
            assert text == tuple(range(end - len(text), end))


def test_limits_count_documents_evenly_or_tokens_from_the_start(
    model: PreTrainedModel, tokenizer: Tokenizer, documents: list[str]
) -> None:
    full = evaluate_text(model, tokenizer, documents, data="text")
    some = evaluate_text(model, tokenizer, documents, data="text", max_documents=10)
    chosen = [full.nll[full.document == 3 * number] for number in range(10)]
    np.testing.assert_allclose(some.nll, np.concatenate(chosen), atol=2e-5)
    first = evaluate_text(model, tokenizer, documents, data="text", max_tokens=100)
    np.testing.assert_allclose(first.nll, full.nll[:100], atol=2e-5)


def test_a_limit_of_windows_counts_those_of_a_single_long_document_evenly(
    model: PreTrainedModel, tokenizer: Tokenizer, documents: list[str]
) -> None:
    whole = " ".join(documents)
    full = evaluate_text(model, tokenizer, [whole], data="text", window_tokens=32)
    count = int(full.window.max()) + 1
    some = evaluate_text(model, tokenizer, [whole], data="text", window_tokens=32, max_windows=3)
    chosen = [full.nll[full.window == place * count // 3] for place in range(3)]
    np.testing.assert_allclose(some.nll, np.concatenate(chosen), atol=2e-5)
    assert len(some.nll) < len(full.nll) / 4


def test_bfloat16_is_near_float32(
    model: PreTrainedModel, tokenizer: Tokenizer, documents: list[str]
) -> None:
    exact = evaluate_text(model, tokenizer, documents, data="text")
    rounded = evaluate_text(deepcopy(model).bfloat16(), tokenizer, documents, data="text")
    assert rounded.nll.dtype == np.float32
    assert values(rounded)["text/nll"] == pytest.approx(values(exact)["text/nll"], abs=0.02)


def test_similar_models_are_told_apart_in_pairs(
    model: PreTrainedModel, tokenizer: Tokenizer, documents: list[str]
) -> None:
    source = evaluate_text(model, tokenizer, documents, data="text")
    other_model = deepcopy(model)
    with torch.no_grad():
        for parameter in other_model.parameters():
            parameter.add_(0.01 * torch.randn(parameter.shape))
    other = evaluate_text(other_model, tokenizer, documents, data="text")
    compared = {one.metric: one for one in other.compared_with(source)}
    difference = compared["text/nll_difference"]
    alone = {one.metric: one for one in source.measurements()}["text/nll"]
    assert difference.value == pytest.approx(
        values(other)["text/nll"] - values(source)["text/nll"], abs=1e-6
    )
    assert difference.standard_error is not None
    assert alone.standard_error is not None
    assert 0 < difference.standard_error < alone.standard_error / 3
    ratio = compared["text/perplexity_ratio"]
    assert ratio.value == pytest.approx(np.exp(difference.value))
    assert all(one.value in (0, 1) for one in source.compared_with(source))
    assert all(one.standard_error == 0 for one in source.compared_with(source))


def test_a_perplexity_beyond_all_numbers_is_left_out(
    model: PreTrainedModel, tokenizer: Tokenizer, documents: list[str]
) -> None:
    source = evaluate_text(model, tokenizer, documents[:3], data="text")
    with torch.no_grad():
        model.lm_head.weight.mul_(1e4)
    broken = evaluate_text(model, tokenizer, documents[:3], data="text")
    for figures, left_out in (
        (broken.measurements(), "text/perplexity"),
        (broken.compared_with(source), "text/perplexity_ratio"),
    ):
        assert left_out not in [one.metric for one in figures]
        assert all(np.isfinite(one.value) for one in figures)


def test_scores_of_other_tokens_are_not_compared(
    model: PreTrainedModel, tokenizer: Tokenizer, documents: list[str]
) -> None:
    some, others = (
        evaluate_text(model, tokenizer, part, data="text")
        for part in (documents[:9], documents[9:])
    )
    with pytest.raises(EvaluationError, match="the same text in the same windows"):
        some.compared_with(others)


def test_errors_are_those_of_documents_where_there_are_enough(
    model: PreTrainedModel, tokenizer: Tokenizer, documents: list[str]
) -> None:
    scores = evaluate_text(model, tokenizer, documents, data="text")
    assert scores.clusters is scores.document
    sums = np.bincount(scores.document, weights=scores.nll)
    sizes = np.bincount(scores.document)
    draws = np.random.default_rng(0).integers(len(sums), size=(2000, len(sums)))
    bootstrap = (sums[draws].sum(1) / sizes[draws].sum(1)).std()
    error = {one.metric: one.standard_error for one in scores.measurements()}["text/nll"]
    assert error == pytest.approx(bootstrap, rel=0.12)


def test_progress_is_told_and_stops_the_evaluation(
    model: PreTrainedModel, tokenizer: Tokenizer, documents: list[str]
) -> None:
    seen: list[Progress] = []
    evaluate_text(
        model, tokenizer, documents, data="text", batch_tokens=200, on_progress=seen.append
    )
    assert len(seen) > 3
    assert seen[-1].fraction == 1
    assert [one.step for one in seen] == sorted(one.step for one in seen)

    def cancel(_: Progress) -> None:
        raise KeyboardInterrupt

    model.train()
    with pytest.raises(KeyboardInterrupt):
        evaluate_text(model, tokenizer, documents, data="text", on_progress=cancel)
    assert model.training


def test_a_model_can_be_trained_after_its_evaluation(
    model: PreTrainedModel, tokenizer: Tokenizer, documents: list[str]
) -> None:
    evaluate_text(model, tokenizer, documents[:2], data="text")
    ids = torch.tensor([tokenizer(documents[0]).input_ids])
    model(input_ids=ids, labels=ids).loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_what_cannot_be_evaluated_is_refused_in_one_line(
    model: PreTrainedModel, tokenizer: Tokenizer, make_model: Callable[..., PreTrainedModel]
) -> None:
    def refused(message: str, texts: list[str], **options: int) -> None:
        with pytest.raises(EvaluationError, match=message):
            evaluate_text(model, tokenizer, texts, data="text", **options)  # type: ignore[arg-type]  # any option

    refused("no token to score", [""])
    refused("at most 64", ["a b"], window_tokens=65)
    refused("at least 3", ["a b"], window_tokens=2)
    refused("1 to 62", ["a b"], stride=63)
    refused("max_tokens = 0", ["a b"], max_tokens=0)
    broken = make_model("llama")
    with torch.no_grad():
        broken.lm_head.weight.fill_(float("nan"))
    with pytest.raises(EvaluationError, match="not numbers"):
        evaluate_text(broken, tokenizer, ["a b"], data="text")


def test_text_files_are_read_and_bad_ones_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("a b\n\nc d\n\n\n", encoding="utf-8")
    assert read_documents(path) == ["a b\n\nc d"]
    assert read_documents(path, separator="\n\n") == ["a b", "c d"]
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EvaluationError, match="UTF-8"):
        read_documents(path)
    path.write_text(" \n")
    with pytest.raises(EvaluationError, match="empty"):
        read_documents(path)
    with pytest.raises(EvaluationError, match="cannot be read"):
        read_documents(tmp_path / "none.txt")
    assert len(demo_documents()) > 100


def test_scores_come_back_from_their_file(
    model: PreTrainedModel, tokenizer: Tokenizer, documents: list[str], tmp_path: Path
) -> None:
    scores = evaluate_text(model, tokenizer, documents, data="text")
    path = tmp_path / "scores.safetensors"
    scores.save(path)
    loaded = load_text_scores(path)
    assert loaded.measurements() == scores.measurements()
    assert all(one.value in (0, 1) for one in loaded.compared_with(scores))
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(EvaluationError, match="is damaged: it ends early"):
        load_text_scores(path)
    with pytest.raises(EvaluationError, match="cannot be read"):
        load_text_scores(tmp_path / "none.safetensors")
