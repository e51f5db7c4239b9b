"""Perplexity and next-token accuracy of a causal language model on documents."""

import hashlib
from collections.abc import Sequence

import numpy as np
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from qcqa.errors import EvaluationError
from qcqa.measure.text_scores import TextScores
from qcqa.progress import OnProgress, Progress, silent
from qcqa.text.running import context_limit
from qcqa.text.scoring import answer_queries, tokens_of
from qcqa.text.token_ids import require_embedded
from qcqa.text.windows import Window, cut_windows, encode, evenly, first_tokens, special_prefix

#: Tokens of a window unless the model's context is shorter: that of most published perplexities.
DEFAULT_WINDOW_TOKENS = 2048


def evaluate_text(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    documents: Sequence[str],
    *,
    data: str,
    source: PreTrainedModel | None = None,
    window_tokens: int | None = None,
    stride: int | None = None,
    max_documents: int | None = None,
    max_windows: int | None = None,
    max_tokens: int | None = None,
    batch_tokens: int | None = None,
    piece_tokens: int | None = None,
    on_progress: OnProgress = silent,
) -> TextScores:
    """Score every token of some documents.

    Documents are read apart from each other, in windows (see :func:`cut_windows`). Every token is
    scored once.

    Parameters
    ----------
    model : PreTrainedModel
        Source or converted, on any device, in any float type; log-likelihoods are float32.
    tokenizer : PreTrainedTokenizerBase
        The model's.
    documents : sequence of str
        The text.
    data : str
        What measurements call the text.
    source : PreTrainedModel, optional
        Reads the same windows, to tell how close the model's predictions are to its own; by
        default the model is its own source.
    window_tokens : int, optional
        Tokens that the model reads at once; by default 2048, or its longest context if shorter.
    stride : int, optional
        Tokens that a window after a document's first scores; by default all but one of a window.
    max_documents : int, optional
        Use only so many documents, taken evenly from all.
    max_windows : int, optional
        Use only so many windows of those documents, taken evenly from all.
    max_tokens : int, optional
        Stop after so many tokens.
    batch_tokens : int, optional
        Tokens of a batch; by default what keeps its logits within 1 GiB.
    piece_tokens : int, optional
        Tokens that the model reads at a time, as :func:`~qcqa.text.scoring.answer_queries` has it.
    on_progress : callable
        Called with the windows scored so far; what it raises ends the evaluation.

    Raises
    ------
    EvaluationError
        If there is nothing to score, a number is out of range, or a batch does not fit.
    """
    _require_positive(batch_tokens=batch_tokens, piece_tokens=piece_tokens)
    windows = text_windows(
        model,
        tokenizer,
        documents,
        data=data,
        window_tokens=window_tokens,
        stride=stride,
        max_documents=max_documents,
        max_windows=max_windows,
        max_tokens=max_tokens,
    )
    counts = np.array([len(window.query.targets) for window in windows])
    answers = answer_queries(
        model,
        [window.query for window in windows],
        source=source,
        batch_tokens=batch_tokens,
        piece_tokens=piece_tokens,
        on_answered=lambda done: on_progress(Progress.of_stage(data, done, len(windows))),
    )
    return TextScores(
        data=data,
        digest=_digest(windows),
        nll=np.concatenate([answer.nll for answer in answers]),
        is_right=np.concatenate([answer.is_right for answer in answers]),
        kl=np.concatenate([answer.kl for answer in answers]),
        is_same=np.concatenate([answer.is_same for answer in answers]),
        document=np.repeat([window.document for window in windows], counts).astype(np.int32),
        window=np.repeat(np.arange(len(windows)), counts).astype(np.int32),
    )


def text_windows(
    model: PreTrainedModel | PreTrainedConfig,
    tokenizer: PreTrainedTokenizerBase,
    documents: Sequence[str],
    *,
    data: str,
    window_tokens: int | None = None,
    stride: int | None = None,
    max_documents: int | None = None,
    max_windows: int | None = None,
    max_tokens: int | None = None,
) -> list[Window]:
    """Return what :func:`evaluate_text` scores; the config alone will do, before weights are read.

    Raises
    ------
    EvaluationError
        If there is nothing to score, a number is out of range, or the model has no embedding for
        a token of the text.
    """
    _require_positive(max_documents=max_documents, max_windows=max_windows, max_tokens=max_tokens)
    ids = [encode(tokenizer, document) for document in evenly(documents, max_documents)]
    length = _window_length(model, window_tokens)
    cut = cut_windows(ids, special_prefix(tokenizer), length=length, stride=stride)
    windows = list(first_tokens(iter(evenly(list(cut), max_windows)), max_tokens))
    if not windows:
        raise EvaluationError(f"{data} has no token to score", expected="a longer text")
    require_embedded(tokens_of([window.query for window in windows]), tokenizer, model, what=data)
    return windows


def _window_length(model: PreTrainedModel | PreTrainedConfig, wanted: int | None) -> int:
    limit = context_limit(model)
    if wanted is None:
        return min(DEFAULT_WINDOW_TOKENS, limit or DEFAULT_WINDOW_TOKENS)
    if limit is not None and wanted > limit:
        raise EvaluationError(
            f"windows of {wanted} tokens", expected=f"at most {limit}, the model's context"
        )
    return wanted


def _digest(windows: Sequence[Window]) -> str:
    digest = hashlib.sha256()
    for window in windows:
        for ids in (window.query.token_ids, window.query.targets):
            digest.update(np.array([len(ids), *ids], dtype="<i8").tobytes())
    return digest.hexdigest()[:32]


def _require_positive(**numbers: int | None) -> None:
    for name, number in numbers.items():
        if number is not None and number < 1:
            raise EvaluationError(f"{name} = {number}", expected="at least 1")
