"""Training batches: batch ``n`` is a function of (seed, n) and of nothing else.

That is what makes a resumed training equal an undisturbed one bit for bit: no generator's
state has to be saved, and no data file has to exist.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from qcqa.demo.draws import Draw
from qcqa.demo.drills import write_drill, write_quiz, write_reflexives
from qcqa.demo.schedule import Mix
from qcqa.demo.stories import Story, stream, write_document
from qcqa.demo.tokenizer import BOS, EOS, word_ids

STORIES_ONLY = Mix()


@dataclass(frozen=True, slots=True)
class Batch:
    """Token ids of shape (rows, length + 1) and the weights of their predictions."""

    ids: torch.Tensor
    weights: torch.Tensor  # (rows, length): weight of predicting ids[:, 1:]


@dataclass(frozen=True, slots=True)
class BatchMaker:
    """Makes the batch of any step.

    Parameters
    ----------
    seed
        Seed of the corpus.
    answer_weight
        Loss weight of the looked-up words, against 1 for all others: they are few, and they
        are what the heads have to learn.
    """

    seed: int
    answer_weight: float = 3.0

    def make(self, step: int, *, rows: int, length: int, mix: Mix = STORIES_ONLY) -> Batch:
        """Return the batch of a step, rows packed with documents up to ``length + 1`` tokens."""
        table = word_ids()
        ids, weights = [], []
        for row in range(rows):
            tokens, marks = self._row(table, step, row, length + 1, mix)
            ids.append(tokens)
            weights.append(marks[1:])
        return Batch(torch.tensor(ids), torch.tensor(weights))

    def _row(
        self, table: dict[str, int], step: int, row: int, size: int, mix: Mix
    ) -> tuple[list[int], list[float]]:
        draw = stream("train", self.seed, step, row)
        tokens: list[int] = []
        marks: list[float] = []
        while len(tokens) < size:
            left = size - len(tokens) - 2
            # Mostly one long story, so that questions reach far back; sometimes several short ones.
            budget = left if draw.chance(0.7) else int(left * (0.25 + 0.5 * draw.rng.random()))
            story = _writer(draw, mix)(draw, max(12, budget))
            start = len(tokens) + 1
            tokens += [BOS, *(table[word] for word in story.words), EOS]
            marks += [1.0] * (len(story.words) + 2)
            for position in story.answers:
                marks[start + position] = self.answer_weight
        return tokens[:size], marks[:size]


def _writer(draw: Draw, mix: Mix) -> Callable[[Draw, int], Story]:
    """Choose what kind of document comes next."""
    # A share of zero draws nothing, so stories before the first drill do not depend on the mix.
    if mix.drills > 0 and draw.chance(mix.drills):
        return write_drill
    if mix.quizzes > 0 and draw.chance(mix.quizzes):
        return write_quiz
    if mix.reflexives > 0 and draw.chance(mix.reflexives):
        return write_reflexives
    return write_document
