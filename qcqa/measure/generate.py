"""A text from a prompt, token by token, with its times and the bytes of its cache."""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from qcqa.errors import EvaluationError
from qcqa.measure.cache_bytes import cache_bytes
from qcqa.measure.generated import Ending, GenerationFigures, GenerationSettings
from qcqa.text.running import (
    cache_argument,
    cache_of,
    context_limit,
    evaluating,
    generating_options,
    input_device,
)
from qcqa.text.token_ids import require_embedded
from qcqa.text.windows import encode_prompt, first_token, special_prefix

#: Takes a token and what it adds to the text. What it raises ends the generation.
OnToken = Callable[[int, str], None]

#: Of the prompt, so many tokens are decoded before the text: what comes may begin with a blank.
_DECODED_BEFORE = 8

#: What tokenizers put in the place of bytes that are no character yet.
_UNFINISHED = "\N{REPLACEMENT CHARACTER}"


def prompt_ids(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """Return the tokens of a prompt, behind the tokenizer's own first ones.

    A prompt without any token is the one that begins a text (BOS, or EOS in its place).

    Raises
    ------
    EvaluationError
        If the prompt has no token, and the tokenizer none that begins a text.
    """
    ids = encode_prompt(tokenizer, special_prefix(tokenizer), prompt)
    if not ids:
        begin = first_token(tokenizer)
        if begin is None:
            raise EvaluationError(
                "an empty prompt for a model without a token that begins a text",
                expected="a prompt of at least one word",
            )
        ids = [begin]
    return ids


def require_prompt(
    model: PreTrainedModel | PreTrainedConfig,
    tokenizer: PreTrainedTokenizerBase,
    prompt: Sequence[int],
) -> None:
    """Refuse a prompt that a model cannot read; its config will do, before weights are read.

    Raises
    ------
    EvaluationError
        If it leaves no room in the model's context, or the model has no embedding for a token.
    """
    limit = context_limit(model)
    if limit is not None and len(prompt) >= limit:
        raise EvaluationError(
            f"a prompt of {len(prompt)} tokens",
            expected=f"at most {limit - 1}, as the model's context is {limit}",
            remedy="shorten the prompt",
        )
    require_embedded([prompt], tokenizer, model, what="the prompt")


def generate_text(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: Sequence[int],
    settings: GenerationSettings,
    *,
    on_token: OnToken,
) -> GenerationFigures:
    """Let a model go on from a prompt, and tell of each token as it comes.

    As ``generate`` of transformers does for one sequence, without the penalties and cuts that a
    checkpoint's ``generation_config`` may ask for: models are compared, not made to read well.
    With a temperature, models are given the same random numbers: those that agree say the same.

    Parameters
    ----------
    model : PreTrainedModel
        Source or converted, on any device.
    tokenizer : PreTrainedTokenizerBase
        The model's.
    prompt : sequence of int
        As :func:`prompt_ids` returns it.
    settings : GenerationSettings
        How many tokens, and how they are chosen.
    on_token : callable
        Called with each new token, outside of the times that are taken.

    Raises
    ------
    EvaluationError
        As :func:`require_prompt`, or if the model yields no numbers.
    """
    require_prompt(model, tokenizer, prompt)
    most = _room(model, len(prompt), settings.max_new_tokens)
    device, options = input_device(model), generating_options(model)
    argument = cache_argument()
    ends, choose = _end_tokens(model, tokenizer), _Choice(settings)
    text = _Text(tokenizer, prompt)
    times: list[float] = []
    num_new = 0
    ending: Ending | None = None
    cache: Any = None
    fed = torch.tensor([list(prompt)], device=device)  # (1, prompt)
    with evaluating(model):
        # The first step of a model is slower than all others.
        model(input_ids=fed[:, -1:], **options)
        while ending is None:
            started = perf_counter()
            output = model(input_ids=fed, **{argument: cache}, **options)
            # Bringing the token over waits for the device.
            token = choose(output.logits[0, -1])
            times.append(perf_counter() - started)
            cache = cache_of(output)
            if token in ends:
                ending = "eos"
                break
            num_new += 1
            on_token(token, text.add(token))
            if num_new == most:
                ending = _ending_at(most, settings)
            fed = torch.tensor([[token]], device=device)
    return GenerationFigures(
        prompt_tokens=len(prompt),
        new_tokens=num_new,
        prefill_seconds=times[0],
        decode_seconds=sum(times[1:]),
        cached_tokens=len(prompt) + len(times) - 1,
        cache_bytes=cache_bytes(cache),
        ending=ending,
    )


class _Choice:
    """Chooses the next token from the scores of all."""

    def __init__(self, settings: GenerationSettings):
        self._temperature = settings.temperature
        self._random = torch.Generator().manual_seed(settings.seed)

    def __call__(self, scores: Tensor) -> int:
        """Return a token.

        Raises
        ------
        EvaluationError
            If the highest score is no number.
        """
        if self._temperature > 0:
            # The Gumbel trick draws from the softmax. Unlike a draw by cumulated probability, it
            # gives two models that nearly agree the same token by the same random numbers.
            scores = scores.float().cpu()
            noise = torch.empty_like(scores).exponential_(generator=self._random).log()
            scores = scores / self._temperature - noise
        best = scores.argmax()
        if not torch.isfinite(scores[best]):
            raise EvaluationError(
                f"the model yields no numbers in {scores.dtype}".replace("torch.", ""),
                remedy="run it in another type, such as float32",
            )
        return int(best)


class _Text:
    """Turns tokens into text without ever showing half a character.

    The whole is decoded anew with each token, since a token's text depends on those before it: the
    blank in front of it, and bytes that are a character only together.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, prompt: Sequence[int]):
        self._tokenizer = tokenizer
        self._ids = list(prompt[-_DECODED_BEFORE:])
        self._shown = len(self._decoded())

    def add(self, token: int) -> str:
        """Return what a token adds; what is half a character comes with the token that ends it."""
        self._ids.append(token)
        whole = self._decoded()
        if whole.endswith(_UNFINISHED):
            return ""
        new = whole[self._shown :]
        self._shown = max(self._shown, len(whole))
        return new

    def _decoded(self) -> str:
        # Cleaning up would change text that was shown already.
        return str(
            self._tokenizer.decode(
                self._ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        )


def _room(model: PreTrainedModel, prompt_tokens: int, wanted: int) -> int:
    """Return how many tokens can follow a prompt, at most the wanted ones."""
    limit = context_limit(model)
    return wanted if limit is None else min(wanted, limit - prompt_tokens)


def _ending_at(most: int, settings: GenerationSettings) -> Ending:
    return "length" if most == settings.max_new_tokens else "context"


def _end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Return the tokens that end a text, as the model's own config names them."""
    config = model.generation_config
    ends = None if config is None else config.eos_token_id
    if ends is None:
        ends = tokenizer.eos_token_id
    return frozenset([ends] if isinstance(ends, int) else ends or ())
