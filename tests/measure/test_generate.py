"""Texts as transformers generates them, told piece by piece."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from qcqa.conversion.live import convert
from qcqa.errors import EvaluationError
from qcqa.measure.generate import _Choice, generate_text, prompt_ids
from qcqa.measure.generated import GenerationFigures, GenerationSettings
from qcqa.plan.plan import Plan

MakeModel = Callable[..., PreTrainedModel]


def _generate(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, settings: GenerationSettings
) -> tuple[list[int], list[str], GenerationFigures]:
    ids, pieces = [], []

    def on_token(token: int, text: str) -> None:
        ids.append(token)
        pieces.append(text)

    prompt = prompt_ids(tokenizer, settings.prompt)
    figures = generate_text(model, tokenizer, prompt, settings, on_token=on_token)
    return ids, pieces, figures


def _without_end(model: PreTrainedModel) -> PreTrainedModel:
    """Return the model with no token that ends a text, so that its length is known."""
    model.generation_config.eos_token_id = [-1]
    return model


def _reference(model: PreTrainedModel, prompt: list[int], count: int) -> list[int]:
    """Return what transformers generates greedily."""
    ids = torch.tensor([prompt])
    model.eval()
    whole = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=count,
        pad_token_id=0,
    )
    return whole[0, len(prompt) :].tolist()


def test_greedy_text_is_that_of_transformers_for_every_family(
    any_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    settings = GenerationSettings("the cat a b c", 20)
    prompt = prompt_ids(tokenizer, settings.prompt)
    wanted = _reference(any_model, prompt, 20)
    ids, _, figures = _generate(any_model, tokenizer, settings)
    # The token that ends a text is no part of it.
    assert ids == [token for token in wanted if token != 2]
    assert figures.new_tokens == len(ids)
    assert figures.ending == ("eos" if 2 in wanted else "length")


def test_a_converted_model_generates_as_transformers_does_and_holds_its_plans_cache(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    unequal_plan: Callable[[Path], Plan],
    tmp_path: Path,
) -> None:
    model.save_pretrained(tmp_path)
    plan = unequal_plan(tmp_path)
    converted = _without_end(convert(deepcopy(model), plan))
    settings = GenerationSettings("a b c", 12)
    prompt = prompt_ids(tokenizer, settings.prompt)
    ids, _, figures = _generate(converted, tokenizer, settings)
    assert ids == _reference(converted, prompt, 12)
    # The last token is never read.
    assert figures.cached_tokens == len(prompt) + 11
    assert figures.cache_bytes == plan.kv_bytes_per_token * figures.cached_tokens
    assert figures.prompt_tokens == len(prompt)
    assert figures.tokens_per_second == pytest.approx(11 / figures.decode_seconds)


def test_pieces_are_the_whole_text(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    ids, pieces, _ = _generate(_without_end(model), tokenizer, GenerationSettings("a b c", 30))
    prompt = prompt_ids(tokenizer, "a b c")
    decoded = [tokenizer.decode(one, skip_special_tokens=True) for one in (prompt, prompt + ids)]
    assert "".join(pieces) == decoded[1].removeprefix(decoded[0])
    assert len(pieces) == len(ids) == 30


def _byte_tokenizer(text: str) -> PreTrainedTokenizerBase:
    """Return a byte-level tokenizer whose tokens are single bytes."""
    vocabulary = {byte: place for place, byte in enumerate(pre_tokenizers.ByteLevel.alphabet())}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    assert tokenizer.decode(tokenizer.encode(text).ids) == text
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


class _Reciting(torch.nn.Module):
    """Says given tokens whatever it reads; everything else is the model's own."""

    def __init__(self, model: PreTrainedModel, said: list[int], skip: int):
        super().__init__()
        self.model, self.config, self.generation_config = (
            model,
            model.config,
            model.generation_config,
        )
        self._said, self._calls = said, -skip

    def get_input_embeddings(self) -> torch.nn.Module:
        return self.model.get_input_embeddings()

    def forward(self, **arguments: object) -> object:
        output = self.model(**arguments)
        output.logits[0, -1] = 0.0
        output.logits[0, -1, self._said[max(0, self._calls)]] = 1.0
        self._calls += 1
        return output


def test_no_character_is_shown_before_it_is_whole(make_model: MakeModel) -> None:
    text = " né “日本” \N{GRINNING FACE}!"
    tokenizer = _byte_tokenizer(text)
    model = make_model("llama")
    model.resize_token_embeddings(256)
    model.generation_config.eos_token_id = [-1]
    said = tokenizer(text).input_ids
    # The first call only warms up.
    reciting = _Reciting(model, said, skip=1)
    settings = GenerationSettings("ab", len(said))
    _, pieces, figures = _generate(reciting, tokenizer, settings)  # type: ignore[arg-type]  # stands for a model
    assert "".join(pieces) == text
    assert "\N{REPLACEMENT CHARACTER}" not in "".join(pieces)
    assert [piece for piece in pieces if piece] == list(text)
    assert figures.new_tokens == len(said)


def test_a_blank_before_the_first_word_is_kept(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    _, pieces, _ = _generate(_without_end(model), tokenizer, GenerationSettings("a b", 9))
    assert next(filter(None, pieces)).startswith(" ")


@pytest.mark.parametrize("temperature", [0.7, 5.0])
def test_the_same_seed_gives_the_same_text_and_equal_models_agree(
    model: PreTrainedModel, plain_tokenizer: PreTrainedTokenizerBase, temperature: float
) -> None:
    _without_end(model)
    twin = deepcopy(model)

    def said(one: PreTrainedModel, seed: int) -> list[int]:
        settings = GenerationSettings("a b c", 20, temperature, seed)
        return _generate(one, plain_tokenizer, settings)[0]

    assert said(model, 1) == said(twin, 1)
    assert said(model, 1) != said(model, 2)


def test_draws_follow_the_distribution() -> None:
    scores = torch.tensor([0.0, 1.0, 2.0])
    choose = _Choice(GenerationSettings("", temperature=2.0))
    drawn = torch.tensor([choose(scores) for _ in range(4000)])
    shares = torch.bincount(drawn, minlength=3) / len(drawn)
    assert torch.allclose(shares, torch.softmax(scores / 2.0, dim=0), atol=0.03)


def test_a_text_ends_at_the_context(
    model: PreTrainedModel, plain_tokenizer: PreTrainedTokenizerBase
) -> None:
    settings = GenerationSettings("a " * 60, 20)
    ids, _, figures = _generate(_without_end(model), plain_tokenizer, settings)
    assert (len(ids), figures.ending, figures.cached_tokens) == (4, "context", 63)
    with pytest.raises(EvaluationError, match="64 tokens; expected at most 63"):
        _generate(model, plain_tokenizer, GenerationSettings("a " * 64, 1))


def test_one_token_has_no_rate(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    figures = _generate(_without_end(model), tokenizer, GenerationSettings("a", 1))[2]
    assert figures.tokens_per_second is None
    assert figures.cached_tokens == figures.prompt_tokens


def test_an_empty_prompt_is_the_beginning_of_a_text(
    tokenizer: PreTrainedTokenizerBase, plain_tokenizer: PreTrainedTokenizerBase
) -> None:
    assert prompt_ids(tokenizer, "") == [1]
    assert prompt_ids(plain_tokenizer, " ") == [1]
    assert prompt_ids(tokenizer, "<bos> a") == prompt_ids(tokenizer, "a")
    without = deepcopy(plain_tokenizer)
    without.bos_token = without.eos_token = None
    with pytest.raises(EvaluationError, match="an empty prompt for a model without a token"):
        prompt_ids(without, "")


def test_a_model_that_yields_no_numbers_is_refused(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    with torch.no_grad():
        model.get_input_embeddings().weight.fill_(float("nan"))
    with pytest.raises(EvaluationError, match="no numbers in float32"):
        _generate(model, tokenizer, GenerationSettings("a", 1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_new_tokens": 0}, "0 new tokens"),
        ({"temperature": -0.1}, "temperature -0.1"),
        ({"temperature": float("nan")}, "temperature nan"),
        ({"seed": -1}, "seed -1"),
        ({"seed": 2**32}, "seed 4294967296; expected 0 to 4294967295"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        GenerationSettings("a", **changes)
