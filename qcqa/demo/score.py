"""Scores of a causal language model on the demo's evaluation data.

Works on any model that maps token ids to logits, so a converted model is scored by the same code.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

DISTANCE_EDGES = (60, 100, 140, 180)
_BATCH_TOKENS = 8192


@dataclass(frozen=True, slots=True)
class Scores:
    """What a model reaches.

    Attributes
    ----------
    loss
        Nats per token on the held-out text.
    accuracy
        Share of tokens of the held-out text whose most probable prediction is right.
    pairs
        Share of right minimal pairs, per paradigm.
    recall
        Share of recall questions whose answer is the most probable of the choices.
    recall_exact
        Share whose answer is the most probable word of the whole vocabulary.
    recall_by_distance
        The first of the two per range of distances.
    recall_by_kind
        The first of the two per relation.
    """

    loss: float
    accuracy: float
    pairs: dict[str, float]
    recall: float
    recall_exact: float
    recall_by_distance: dict[str, float]
    recall_by_kind: dict[str, float]

    @property
    def pairs_overall(self) -> float:
        """Mean over paradigms."""
        return sum(self.pairs.values()) / len(self.pairs)


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def read_documents(path: Path) -> list[str]:
    """Return the documents of a text file; blank lines separate them."""
    return [part.strip() for part in path.read_text(encoding="utf-8").split("\n\n") if part.strip()]


def _batches(
    sequences: Sequence[list[int]], pad: int
) -> Iterable[tuple[list[int], torch.Tensor, torch.Tensor]]:
    """Sequences of like length, padded behind: indices, ids and the mask of real tokens."""
    order = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))
    while order:
        # Behind a causal mask padding on the right changes nothing in front of it.
        size = max(1, _BATCH_TOKENS // len(sequences[order[-1]]))
        taken, order = order[-size:], order[:-size]
        width = max(len(sequences[index]) for index in taken)
        ids = torch.full((len(taken), width), pad)
        mask = torch.zeros((len(taken), width), dtype=torch.bool)
        for row, index in enumerate(taken):
            ids[row, : len(sequences[index])] = torch.tensor(sequences[index])
            mask[row, : len(sequences[index])] = True
        yield taken, ids, mask


@torch.inference_mode()
def _logits(model: torch.nn.Module, ids: torch.Tensor) -> torch.Tensor:
    device = next(model.parameters()).device
    logits: torch.Tensor = model(input_ids=ids.to(device), use_cache=False).logits
    return logits.float().cpu()


def score_text(
    model: torch.nn.Module, tokenizer: PreTrainedTokenizerBase, documents: Sequence[str]
) -> tuple[float, float]:
    """Return the loss (nats per token) and next-token accuracy, each document on its own."""
    total = right = 0.0
    count = 0
    sequences = [tokenizer(document).input_ids for document in documents]
    for _, ids, mask in _batches(sequences, 0):
        logits, target, real = _logits(model, ids)[:, :-1], ids[:, 1:], mask[:, 1:]
        losses = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), target.flatten(), reduction="none"
        ).view_as(target)
        total += losses[real].sum().item()
        right += (logits.argmax(-1) == target)[real].sum().item()
        count += int(real.sum())
    return total / count, right / count


def sentence_log_probabilities(
    model: torch.nn.Module, tokenizer: PreTrainedTokenizerBase, sentences: Sequence[str]
) -> list[float]:
    """Return the total log-probability (nats) of each sentence."""
    result = [0.0] * len(sentences)
    for taken, ids, mask in _batches([tokenizer(text).input_ids for text in sentences], 0):
        log_p = _logits(model, ids)[:, :-1].log_softmax(-1)
        picked = log_p.gather(-1, ids[:, 1:, None])[..., 0] * mask[:, 1:]
        for index, value in zip(taken, picked.sum(-1).tolist(), strict=True):
            result[index] = value
    return result


def score_pairs(
    model: torch.nn.Module, tokenizer: PreTrainedTokenizerBase, pairs: Sequence[dict[str, Any]]
) -> dict[str, float]:
    """Return the share of pairs whose good sentence is the more probable, per paradigm."""
    sentences = [pair[side] for pair in pairs for side in ("good", "bad")]
    values = sentence_log_probabilities(model, tokenizer, sentences)
    hits: dict[str, list[bool]] = defaultdict(list)
    for pair, good, bad in zip(pairs, values[::2], values[1::2], strict=True):
        hits[pair["paradigm"]].append(good > bad)
    return {paradigm: sum(row) / len(row) for paradigm, row in hits.items()}


def distance_range(distance: int) -> str:
    """Return the name of the range that a distance (tokens) falls into."""
    lower = 0
    for upper in DISTANCE_EDGES:
        if distance < upper:
            return f"{lower}-{upper - 1}" if lower else f"under {upper}"
        lower = upper
    return f"{lower} and more"


@dataclass(frozen=True, slots=True)
class RecallHit:
    """How one recall question went: by its choices, and over the whole vocabulary."""

    among_choices: bool
    exact: bool


def answer_questions(
    model: torch.nn.Module, tokenizer: PreTrainedTokenizerBase, questions: Sequence[dict[str, Any]]
) -> list[RecallHit]:
    """Let the model answer every recall question."""
    hits = [RecallHit(False, False)] * len(questions)
    sequences = [tokenizer(question["context"]).input_ids for question in questions]
    for taken, ids, mask in _batches(sequences, 0):
        logits = _logits(model, ids)
        last = mask.sum(-1) - 1
        for row, index in enumerate(taken):
            question, scores = questions[index], logits[row, last[row]]
            choices = torch.tensor(tokenizer.convert_tokens_to_ids(list(question["choices"])))
            best = int(choices[scores[choices].argmax()])
            answer = tokenizer.convert_tokens_to_ids(question["answer"])
            hits[index] = RecallHit(best == answer, int(scores.argmax()) == answer)
    return hits


def _means(rows: Iterable[tuple[str, bool]]) -> dict[str, float]:
    table: dict[str, list[bool]] = defaultdict(list)
    for key, value in rows:
        table[key].append(value)
    return {key: sum(values) / len(values) for key, values in sorted(table.items())}


def score_model(
    model: torch.nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    data: Path,
    *,
    limit: int | None = None,
) -> Scores:
    """Return every score of a model on the evaluation data of a directory.

    Parameters
    ----------
    model, tokenizer
        What to score.
    data
        Directory with ``heldout.txt``, ``minimal_pairs.jsonl`` and ``recall.jsonl``.
    limit
        Use only every n-th item so that about this many of each kind remain.
    """

    def thinned(items: list[Any]) -> list[Any]:
        return items if limit is None else items[:: max(1, len(items) // limit)]

    model.eval()
    loss, accuracy = score_text(model, tokenizer, thinned(read_documents(data / "heldout.txt")))
    pairs = score_pairs(model, tokenizer, thinned(read_jsonl(data / "minimal_pairs.jsonl")))
    questions = thinned(read_jsonl(data / "recall.jsonl"))
    hits = answer_questions(model, tokenizer, questions)
    asked = list(zip(questions, hits, strict=True))
    return Scores(
        loss=loss,
        accuracy=accuracy,
        pairs=pairs,
        recall=sum(hit.among_choices for hit in hits) / len(hits),
        recall_exact=sum(hit.exact for hit in hits) / len(hits),
        recall_by_distance=_means(
            (distance_range(q["distance"]), h.among_choices) for q, h in asked
        ),
        recall_by_kind=_means((q["kind"], h.among_choices) for q, h in asked),
    )
