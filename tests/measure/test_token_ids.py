"""Tokens that the embedding has no row for are found before a model reads any."""

from collections.abc import Callable
from copy import deepcopy
from types import SimpleNamespace

import pytest
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from qcqa.errors import EvaluationError
from qcqa.measure.generate import generate_text, prompt_ids
from qcqa.measure.generated import GenerationSettings
from qcqa.measure.harness_model import HarnessModel
from qcqa.measure.text import evaluate_text
from qcqa.progress import silent
from qcqa.text.token_ids import embedding_rows, require_embedded


@pytest.fixture
def outgrown(plain_tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """Return a tokenizer that was given a word, of which no model here knows."""
    tokenizer = deepcopy(plain_tokenizer)
    assert tokenizer.add_tokens(["zebra"]) == 1
    return tokenizer


@pytest.fixture
def asleep(any_model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch) -> PreTrainedModel:
    """Return a model that must not run."""
    monkeypatch.setattr(any_model, "forward", lambda *_, **__: pytest.fail("the model ran"))
    return any_model


def _harness(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> HarnessModel:
    return HarnessModel(model, tokenizer, batch_tokens=None, on_progress=silent)


def _request(*args: object) -> SimpleNamespace:
    return SimpleNamespace(args=args)


_FINE = _request("a b", " c")
READERS: dict[str, Callable[[PreTrainedModel, PreTrainedTokenizerBase], object]] = {
    "a text": lambda model, its: evaluate_text(model, its, ["a b", "a zebra"], data="text"),
    "the last word, which is only predicted": lambda model, its: evaluate_text(
        model, its, ["a b zebra"], data="text"
    ),
    "a prompt": lambda model, its: generate_text(
        model, its, prompt_ids(its, "a zebra"), GenerationSettings(""), on_token=silent
    ),
    "a question": lambda model, its: _harness(model, its).loglikelihood(
        [_FINE, _request("a zebra", " b")]
    ),
    "an answer": lambda model, its: _harness(model, its).loglikelihood(
        [_FINE, _request("a", " zebra")]
    ),
    "a whole text of a task": lambda model, its: _harness(model, its).loglikelihood_rolling(
        [_request("a b"), _request("a zebra")]
    ),
    "a task that goes on": lambda model, its: _harness(model, its).generate_until(
        [_request("a b", {}), _request("a zebra", {})]
    ),
}


@pytest.mark.parametrize("what", READERS)
def test_it_is_found_before_the_model_runs(
    asleep: PreTrainedModel, outgrown: PreTrainedTokenizerBase, what: str
) -> None:
    with pytest.raises(EvaluationError, match=r"'zebra' .* the id 32, .* has 32 rows") as refused:
        READERS[what](asleep, outgrown)
    assert "\n" not in refused.value.one_line()
    assert "resize_token_embeddings" in refused.value.one_line()


def test_a_word_before_every_text_is_found_as_well(
    asleep: PreTrainedModel, outgrown: PreTrainedTokenizerBase
) -> None:
    outgrown.bos_token = "zebra"
    with pytest.raises(EvaluationError, match="'zebra'"):
        generate_text(
            asleep, outgrown, prompt_ids(outgrown, ""), GenerationSettings(""), on_token=silent
        )
    with pytest.raises(EvaluationError, match="'zebra'"):
        _harness(asleep, outgrown).loglikelihood([_request("", "a")])


def test_a_model_that_was_given_rows_reads_it(
    any_model: PreTrainedModel, outgrown: PreTrainedTokenizerBase
) -> None:
    assert embedding_rows(any_model) == embedding_rows(any_model.config) == 32
    any_model.resize_token_embeddings(33, mean_resizing=False)
    assert embedding_rows(any_model) == embedding_rows(any_model.config) == 33
    assert evaluate_text(any_model, outgrown, ["a zebra b"], data="text").measurements()
    require_embedded([[0, 32]], outgrown, any_model, what="the text")


def test_a_word_that_no_text_has_is_not_looked_for(
    any_model: PreTrainedModel, outgrown: PreTrainedTokenizerBase
) -> None:
    outgrown.pad_token = outgrown.eos_token = "zebra"
    assert evaluate_text(any_model, outgrown, ["a b c"], data="text").measurements()
    assert _harness(any_model, outgrown).loglikelihood([_FINE])
