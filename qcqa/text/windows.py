"""From documents to windows of tokens in which every token is scored once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from transformers import PreTrainedTokenizerBase

from qcqa.errors import EvaluationError
from qcqa.model.source_model import tokenizer_errors
from qcqa.text.scoring import Query

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a document that the model reads at once.

    Parameters
    ----------
    document : int
        Number of the document.
    query : Query
        What is read, and which of its last tokens are scored here.
    """

    document: int
    query: Query


def evenly(items: Sequence[_T], count: int | None) -> Sequence[_T]:
    """Return so many items at most, taken evenly from all."""
    if count is None or count >= len(items):
        return items
    return [items[number * len(items) // count] for number in range(count)]


def special_prefix(tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Return the special tokens that the tokenizer puts before a text, such as BOS; often none."""
    text = "a"
    plain = encode(tokenizer, text)
    whole = list(tokenizer(text).input_ids)
    for start in range(len(whole) - len(plain) + 1):
        if whole[start : start + len(plain)] == plain:
            return tuple(whole[:start])
    return ()


def encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Return the token ids of a text of any length, without special tokens."""
    with tokenizer_errors(tokenizer.name_or_path):
        ids: list[int] = tokenizer(text, add_special_tokens=False, verbose=False).input_ids
    return ids


def encode_prompt(
    tokenizer: PreTrainedTokenizerBase, prefix: Sequence[int], text: str
) -> list[int]:
    """Return the token ids of a prompt behind a prefix, such as that of :func:`special_prefix`."""
    bos = tokenizer.bos_token
    # A prompt that begins with BOS as text needs no second one.
    before = () if bos and text.startswith(str(bos)) else prefix
    return [*before, *encode(tokenizer, text)]


def first_token(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Return what stands before a text with nothing before it: BOS, or EOS in its place."""
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if isinstance(token, int):
            return token
    return None


def cut_windows(
    documents: Sequence[Sequence[int]], prefix: Sequence[int], *, length: int, stride: int | None
) -> Iterator[Window]:
    """Yield the windows of all documents in their order.

    A window begins with the tokenizer's own first tokens (BOS), where it has them, because models
    that were trained with them go wrong without. Then comes text. The first window of a document
    scores all of its text (but for the first token where nothing stands before it); each later one
    scores the next ``stride`` tokens and reads as many before them as have room.

    Parameters
    ----------
    documents : sequence of sequence of int
        Token ids without special tokens.
    prefix : sequence of int
        What every window begins with.
    length : int
        Tokens of a window, the prefix and the last target included.
    stride : int or None
        Tokens scored by a window that is not a document's first. By default as many as leave one
        token to predict from: the windows of published perplexities. Half of ``length`` gives
        every token at least half a window of context, at twice the work.

    Raises
    ------
    EvaluationError
        If length or stride are out of range.
    """
    room = length - len(prefix)
    if room < 2:
        raise EvaluationError(f"windows of {length} tokens", expected=f"at least {2 + len(prefix)}")
    if stride is None:
        stride = room - 1
    if not 1 <= stride < room:
        raise EvaluationError(
            f"a stride of {stride} tokens", expected=f"1 to {room - 1}, for windows of {length}"
        )
    for number, tokens in enumerate(documents):
        # Without a prefix nothing predicts the first token.
        done, end = int(not prefix), min(room, len(tokens))
        while done < end:
            ids = (*prefix, *tokens[max(0, end - room) : end])
            yield Window(number, Query(ids[:-1], tuple(tokens[done:end])))
            done, end = end, min(end + stride, len(tokens))


def first_tokens(windows: Iterator[Window], max_tokens: int | None) -> Iterator[Window]:
    """Yield windows until so many tokens are scored; the last may be cut short.

    Parameters
    ----------
    windows : iterator of Window
        In the order of the text.
    max_tokens : int or None
        Tokens to score; None for all.
    """
    left = max_tokens
    for window in windows:
        if left is None:
            yield window
            continue
        excess = len(window.query.targets) - left
        if excess > 0:
            ids, targets = window.query.token_ids, window.query.targets
            window = Window(window.document, Query(ids[:-excess], targets[:-excess]))
        if window.query.targets:
            yield window
        left -= len(window.query.targets)
        if left <= 0:
            return
