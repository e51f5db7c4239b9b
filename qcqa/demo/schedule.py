"""Learning rate, story length and shares of drills over the training."""

from dataclasses import dataclass
from typing import TypeVar

Value = TypeVar("Value", int, float)


@dataclass(frozen=True, slots=True)
class Mix:
    """Shares of a step's documents: drills of all, quizzes of the rest, and so on."""

    drills: float = 0.0
    quizzes: float = 0.0
    reflexives: float = 0.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """Warm-up, plateau and a linear decay to zero; stories that grow longer on the way.

    Attributes
    ----------
    steps
        Number of optimizer steps in all.
    warmup_steps
        Steps until the full learning rate.
    decay_steps
        Steps of the final decay; the plateau does not depend on ``steps``, so a training can be
        prolonged or cut short before its decay begins.
    batch_tokens
        Tokens of one step, whatever the length of its rows.
    lengths
        ``(from step, tokens per row)`` in rising order.
    drills
        ``(from step, share of documents)`` in rising order: roll calls and echoes.
    quizzes, reflexives
        The same for quizzes and for reflexive sentences.
    """

    steps: int
    warmup_steps: int
    decay_steps: int
    batch_tokens: int
    lengths: tuple[tuple[int, int], ...]
    drills: tuple[tuple[int, float], ...] = ((0, 0.0),)
    quizzes: tuple[tuple[int, float], ...] = ((0, 0.0),)
    reflexives: tuple[tuple[int, float], ...] = ((0, 0.0),)

    def rate(self, step: int) -> float:
        """Factor on the learning rates at one step, in (0, 1]."""
        rise = (step + 1) / max(1, self.warmup_steps)
        fall = (self.steps - step) / max(1, self.decay_steps)
        return max(0.0, min(1.0, rise, fall))

    def shape(self, step: int) -> tuple[int, int]:
        """Rows and tokens per row of one step's batch."""
        length = _latest(self.lengths, step)
        return max(1, self.batch_tokens // length), length

    def mix(self, step: int) -> Mix:
        """Return the shares of one step's documents."""
        return Mix(
            _latest(self.drills, step),
            _latest(self.quizzes, step),
            _latest(self.reflexives, step),
        )


def _latest(table: tuple[tuple[int, Value], ...], step: int) -> Value:
    """Return the value of the last row whose step has come."""
    return next(value for start, value in reversed(table) if step >= start)
