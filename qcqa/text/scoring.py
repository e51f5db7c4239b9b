"""Log-likelihoods of given tokens: what perplexity and multiple-choice tasks both come down to."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from qcqa.errors import EvaluationError
from qcqa.text.running import default_batch_tokens, evaluating, input_device, read_in_pieces

#: Elements of the float32 copy of logits that is made at a time (128 MiB).
_CHUNK_ELEMENTS = 2**25


@dataclass(frozen=True, slots=True)
class Query:
    """Tokens to read and the tokens whose likelihood is asked for.

    Parameters
    ----------
    token_ids : tuple of int
        What the model reads.
    targets : tuple of int
        The right predictions at the last ``len(targets)`` places of ``token_ids``.
    """

    token_ids: tuple[int, ...]
    targets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model says of a query's targets.

    Parameters
    ----------
    nll : ndarray, shape (targets,)
        Negative log-likelihood of each target in nats, float32.
    is_right : ndarray, shape (targets,)
        Whether the target is the model's most probable prediction.
    kl : ndarray, shape (targets,)
        Kullback-Leibler divergence of the prediction from the source's in nats, float32.
    is_same : ndarray, shape (targets,)
        Whether both have the same most probable prediction.
    """

    nll: NDArray[np.float32]
    is_right: NDArray[np.bool_]
    kl: NDArray[np.float32]
    is_same: NDArray[np.bool_]


def tokens_of(queries: Iterable[Query]) -> Iterator[Iterable[int]]:
    """Yield all that is read or predicted in queries."""
    for query in queries:
        yield query.token_ids
        yield query.targets


def answer_queries(
    model: PreTrainedModel,
    queries: Sequence[Query],
    *,
    source: PreTrainedModel | None = None,
    batch_tokens: int | None = None,
    piece_tokens: int | None = None,
    on_answered: Callable[[int], None] | None = None,
) -> list[Answer]:
    """Return the model's answers, in the order of the queries.

    Queries that read the same tokens, such as one-word choices behind one question, are run once.
    Batches hold queries of like length, longest first, so that a batch that does not fit fails at
    once. Padding is on the right, where the causal mask keeps it out of everything before it.
    Log-likelihoods are computed in float32, whatever the model's type.

    Parameters
    ----------
    model : PreTrainedModel
        A causal language model, on any device.
    queries : sequence of Query
        None may be longer than the model's context.
    source : PreTrainedModel, optional
        Reads the same batches, and predictions are compared with its own; by default the model is
        its own source.
    batch_tokens : int, optional
        Tokens of a batch, padding included; by default what keeps its logits within 1 GiB.
    piece_tokens : int, optional
        Tokens that the model reads at a time, each piece behind the cache of those before it, so
        that it is scored on what its cache gives back; by default all in one call without a cache.
        The source always reads in one call.
    on_answered : callable, optional
        Called with the number of queries answered so far, after every batch.

    Raises
    ------
    EvaluationError
        If a batch does not fit the device's memory, or the model's logits are not numbers.
    """
    same: dict[tuple[int, ...], list[int]] = {}
    for number, query in enumerate(queries):
        same.setdefault(query.token_ids, []).append(number)
    answers: dict[int, Answer] = {}
    with evaluating(model), evaluating(source or model):
        limit = batch_tokens or default_batch_tokens(model) // (2 if source else 1)
        for batch in _batches(sorted(same, key=len, reverse=True), limit):
            numbers = [same[ids] for ids in batch]
            answers.update(_answer_batch(model, source, batch, numbers, queries, piece_tokens))
            if on_answered:
                on_answered(len(answers))
    return [answers[number] for number in range(len(queries))]


def _batches(
    texts: Sequence[tuple[int, ...]], batch_tokens: int
) -> Iterator[Sequence[tuple[int, ...]]]:
    start = 0
    while start < len(texts):
        size = max(1, batch_tokens // len(texts[start]))
        yield texts[start : start + size]
        start += size


def _answer_batch(
    model: PreTrainedModel,
    source: PreTrainedModel | None,
    batch: Sequence[tuple[int, ...]],
    numbers: Sequence[Sequence[int]],
    queries: Sequence[Query],
    piece_tokens: int | None,
) -> dict[int, Answer]:
    """Return the answers to the queries of one batch; ``numbers`` are those of each row."""
    rows: list[int] = []
    places: list[int] = []
    targets: list[int] = []
    for row, (ids, of_row) in enumerate(zip(batch, numbers, strict=True)):
        for number in of_row:
            wanted = queries[number].targets
            rows += [row] * len(wanted)
            places += range(len(ids) - len(wanted), len(ids))
            targets += wanted
    of_source = None if source is None else next(_logits(source, batch, None))
    found = _compare_pieces(
        _logits(model, batch, piece_tokens), of_source, *map(np.array, (rows, places, targets))
    )
    if np.isnan(found.nll).any():
        raise EvaluationError(
            f"the logits of {model.name_or_path or 'the model'} are not numbers",
            remedy="load the model in float32 or bfloat16",
        )
    answers, start = {}, 0
    for number in chain.from_iterable(numbers):
        some = slice(start, start + len(queries[number].targets))
        answers[number] = Answer(
            found.nll[some], found.is_right[some], found.kl[some], found.is_same[some]
        )
        start = some.stop
    return answers


def _logits(
    model: PreTrainedModel, batch: Sequence[tuple[int, ...]], piece_tokens: int | None
) -> Iterator[Tensor]:
    """Yield the logits of each piece of a batch, padded on the right with token 0."""
    width = len(batch[0])
    ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in batch])
    ids = ids.to(input_device(model))
    try:
        if piece_tokens is None:
            yield model(input_ids=ids, use_cache=False).logits  # (rows, tokens, vocab)
        else:
            for output in read_in_pieces(model, ids, piece_tokens):
                yield output["logits"]  # (rows, tokens of the piece, vocab)
    except torch.OutOfMemoryError as error:
        raise EvaluationError(
            f"a batch of {len(batch)} x {width} tokens does not fit the memory of the device",
            remedy=f"use batches of less than {ids.numel()} tokens, or shorter windows",
        ) from error


def _compare_pieces(
    pieces: Iterable[Tensor],
    of_source: Tensor | None,
    rows: NDArray[np.int64],
    places: NDArray[np.int64],
    targets: NDArray[np.int64],
) -> Answer:
    """Return what :func:`compare_logits` does, of logits that come piece by piece."""
    order, answers, start = [], [], 0
    for logits in pieces:
        end = start + logits.shape[1]
        (some,) = np.nonzero((start <= places) & (places < end))
        theirs = None if of_source is None else of_source[:, start:end]
        answers.append(
            compare_logits(logits, theirs, rows[some], places[some] - start, targets[some])
        )
        order.append(some)
        start = end
    back = np.argsort(np.concatenate(order))
    fields = ([getattr(answer, name) for answer in answers] for name in Answer.__slots__)
    return Answer(*(np.concatenate(field)[back] for field in fields))


def compare_logits(
    logits: Tensor,
    of_source: Tensor | None,
    rows: Sequence[int] | NDArray[np.int64],
    places: Sequence[int] | NDArray[np.int64],
    targets: Sequence[int] | NDArray[np.int64],
) -> Answer:
    """Return what the logits at some places say of the targets there, and against the source's.

    Memory beside the logits does not grow with the places: they are gone through piece by piece.

    Parameters
    ----------
    logits : Tensor, shape (B, T, V)
        Of a batch.
    of_source : Tensor or None, shape (B, T, V)
        The source's, of the same batch; None for the source itself.
    rows, places, targets : sequence or array of int
        For each prediction its row and place in the batch, and the right token.
    """
    row, place, target = (
        torch.tensor(numbers, dtype=torch.long, device=logits.device)
        for numbers in (rows, places, targets)
    )
    size = max(1, _CHUNK_ELEMENTS // logits.shape[-1])
    parts = [torch.zeros(4, 0)]
    for start in range(0, len(targets), size):
        some = slice(start, start + size)
        at, wanted = (row[some], place[some]), target[some]
        log_p = logits[at].float().log_softmax(-1)  # (targets, vocab)
        top = log_p.argmax(-1)
        nll = -log_p.gather(-1, wanted[:, None])[:, 0]
        if of_source is None:
            kl, is_same = torch.zeros_like(nll), torch.ones_like(top, dtype=torch.bool)
        else:
            log_q = of_source[at].to(log_p.device).float().log_softmax(-1)
            is_same = top == log_q.argmax(-1)
            # Rounding leaves what is equal slightly below 0.
            kl = (log_q.exp() * (log_q - log_p)).sum(-1).clamp(min=0)
        parts.append(torch.stack([nll, top == wanted, kl, is_same]).float().cpu())
    nll, is_right, kl, is_same = torch.cat(parts, dim=1).numpy()
    return Answer(nll, is_right > 0, kl, is_same > 0)
