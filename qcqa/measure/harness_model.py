"""A live model as lm-evaluation-harness wants to see it.

The harness asks three things of a model: the likelihood of a continuation, the likelihood of a
whole text, and text that goes on from a prompt. It asks for no base class, and none is used: its
own wrapper for transformers needs more packages, and tells nobody how far it is.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    StoppingCriteria,
    StoppingCriteriaList,
)

from qcqa.progress import OnProgress, Progress
from qcqa.text.running import context_limit, evaluating, input_device
from qcqa.text.scoring import Answer, Query, answer_queries, tokens_of
from qcqa.text.token_ids import require_embedded
from qcqa.text.windows import cut_windows, encode, encode_prompt, first_token, special_prefix

#: Context and new tokens where neither config nor task says, as in the harness.
_DEFAULT_CONTEXT = 2048
_DEFAULT_NEW_TOKENS = 256

#: What a task may say of sampling.
_SAMPLING = ("temperature", "top_p", "top_k")


class Request(Protocol):
    """What is used of the harness's ``Instance``."""

    @property
    def args(self) -> tuple[Any, ...]:
        """Return the arguments of the question."""


class HarnessModel:
    """Answers the harness's questions.

    Parameters
    ----------
    model : PreTrainedModel
        Source or converted, on any device.
    tokenizer : PreTrainedTokenizerBase
        The model's.
    batch_tokens : int or None
        Tokens of a batch; None for what keeps its logits within 1 GiB.
    piece_tokens : int or None
        Tokens that the model reads at a time, a prompt's too; None for all in one call.
    on_progress : callable
        Called with the requests answered so far, after every batch.
    """

    #: The harness can spread questions over processes; here is one.
    rank = 0
    world_size = 1

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        batch_tokens: int | None,
        piece_tokens: int | None = None,
        on_progress: OnProgress,
    ):
        self._model = model
        self._tokenizer = tokenizer
        self._batch_tokens = batch_tokens
        self._piece_tokens = piece_tokens
        self._on_progress = on_progress
        self._prefix = special_prefix(tokenizer)
        self._limit = context_limit(model) or _DEFAULT_CONTEXT

    def loglikelihood(self, requests: Sequence[Request]) -> list[tuple[float, bool]]:
        """Return for each (context, continuation) the log-likelihood and whether greedy finds it.

        Contexts that are too long lose their beginning.
        """
        answers = self._answers([self._query(*request.args) for request in requests])
        return [
            (-float(answer.nll.sum(dtype=float)), bool(answer.is_right.all())) for answer in answers
        ]

    def loglikelihood_rolling(self, requests: Sequence[Request]) -> list[float]:
        """Return the log-likelihood of each whole text, in windows if it is long.

        Every window begins with BOS, and BOS itself is not scored.
        """
        texts = [encode(self._tokenizer, request.args[0]) for request in requests]
        # One token more than the model reads: the last is only predicted.
        prefix = (self._first_token(),)
        windows = list(cut_windows(texts, prefix, length=self._limit + 1, stride=None))
        answers = self._answers([window.query for window in windows])
        sums = [0.0] * len(texts)
        for window, answer in zip(windows, answers, strict=True):
            sums[window.document] -= float(answer.nll.sum(dtype=float))
        return sums

    def generate_until(self, requests: Sequence[Request]) -> list[str]:
        """Return the continuation of each context up to the first of its stop strings.

        One at a time: in a batch, padding would change what is generated.
        """
        prompts = [self._prompt(*request.args) for request in requests]
        self._require_embedded(prompts)
        texts = []
        for prompt, request in zip(prompts, requests, strict=True):
            texts.append(self._generate(prompt, request.args[1]))
            self._tell(len(texts), len(requests))
        return texts

    def _answers(self, queries: Sequence[Query]) -> list[Answer]:
        self._require_embedded(tokens_of(queries))
        return answer_queries(
            self._model,
            queries,
            batch_tokens=self._batch_tokens,
            piece_tokens=self._piece_tokens,
            on_answered=lambda done: self._tell(done, len(queries)),
        )

    def _require_embedded(self, texts: Iterable[Iterable[int]]) -> None:
        require_embedded(texts, self._tokenizer, self._model, what="the tasks")

    def _query(self, context: str, continuation: str) -> Query:
        if not context:
            before = [self._first_token()]
            whole = before + encode(self._tokenizer, continuation)
        else:
            # Tokens begin with their space, so that one at the end belongs to what follows.
            stripped = context.rstrip()
            before = self._encode_prompt(stripped)
            whole = self._encode_prompt(context + continuation)
        # A token may span the seam; at least the last one is the continuation's.
        start = min(len(before), len(whole) - 1)
        ids = whole[-(self._limit + 1) :]
        targets = whole[max(start, len(whole) - len(ids) + 1) :]
        return Query(tuple(ids[:-1]), tuple(targets))

    def _encode_prompt(self, text: str) -> list[int]:
        return encode_prompt(self._tokenizer, self._prefix, text)

    def _first_token(self) -> int:
        return first_token(self._tokenizer) or 0

    def _new_tokens(self, settings: Mapping[str, Any]) -> int:
        return min(int(settings.get("max_gen_toks", _DEFAULT_NEW_TOKENS)), self._limit - 1)

    def _prompt(self, context: str, settings: Mapping[str, Any]) -> list[int]:
        return self._encode_prompt(context)[-(self._limit - self._new_tokens(settings)) :]

    def _generate(self, prompt: list[int], settings: Mapping[str, Any]) -> str:
        stops = settings.get("until") or []
        stops = [stops] if isinstance(stops, str) else list(stops)
        options: dict[str, Any] = {"do_sample": bool(settings.get("do_sample", False))}
        if options["do_sample"]:
            options |= {name: settings[name] for name in _SAMPLING if name in settings}
        if self._piece_tokens is not None:
            # The configs of some families leave the cache out.
            options |= {"prefill_chunk_size": self._piece_tokens, "use_cache": True}
        if stops:
            seen = _StopStringSeen(self._tokenizer, stops, len(prompt))
            options["stopping_criteria"] = StoppingCriteriaList([seen])
        ids = torch.tensor([prompt], device=input_device(self._model))
        model: Any = self._model
        with evaluating(self._model):
            generated = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=self._new_tokens(settings),
                pad_token_id=self._first_token(),
                **options,
            )
        text = _decode(self._tokenizer, generated[0, len(prompt) :])
        for stop in stops:
            text = text.partition(stop)[0]
        return text

    def _tell(self, step: int, total: int) -> None:
        self._on_progress(Progress.of_stage("tasks", step, total))


class _StopStringSeen(StoppingCriteria):
    """Ends generation at a stop string; that of transformers cannot read word-level vocabularies.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
        The model's.
    stops : sequence of str
        The stop strings.
    prompt_length : int
        Tokens before what is generated.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, stops: Sequence[str], prompt_length: int
    ):
        self._tokenizer = tokenizer
        self._stops = stops
        self._prompt_length = prompt_length

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:  # noqa: ARG002  # transformers passes them
        """Return for each sequence whether it holds a stop string."""
        texts = [_decode(self._tokenizer, row[self._prompt_length :]) for row in input_ids]
        seen = [any(stop in text for stop in self._stops) for text in texts]
        return torch.tensor(seen, device=input_ids.device)


def _decode(tokenizer: PreTrainedTokenizerBase, token_ids: Tensor) -> str:
    return str(tokenizer.decode(token_ids, skip_special_tokens=True))
