"""Seeded draws from the lexicon that keep some word combinations out of the training stream.

One (adjective, noun) and one (subject, verb) pair in ten never occurs in training. Which ones is
decided by a checksum of the words alone, so it needs no list and no state. Evaluation data is built
around those pairs: what the model answers there it cannot have memorised.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from zlib import crc32

HELD_OUT_ONE_IN = 10


def is_held_out(first: str, second: str) -> bool:
    """Tell whether training must never show a pair of words.

    Parameters
    ----------
    first, second
        Dictionary forms of an adjective and its noun, or of a subject and its verb.
    """
    return crc32(f"{first} {second}".encode()) % HELD_OUT_ONE_IN == 0


@dataclass(frozen=True, slots=True)
class Draw:
    """A random generator together with the rule on held-out pairs.

    Parameters
    ----------
    rng
        Source of randomness, passed in.
    held_out
        ``False``: never a held-out pair (training, calibration). ``True``: half of the pairs are
        held-out ones (evaluation).
    """

    rng: Random
    held_out: bool = False

    def one(self, pool: Sequence[str]) -> str:
        """Return one word of the pool; faster than ``Random.choice`` and good enough for words."""
        return pool[int(self.rng.random() * len(pool))]

    def chance(self, probability: float) -> bool:
        """Return true with the given probability."""
        return self.rng.random() < probability

    def fresh(self, pool: Sequence[str], used: set[str]) -> str:
        """Return one word of the pool that the story has not used yet; marks it as used."""
        while True:
            word = self.one(pool)
            if word not in used:
                used.add(word)
                return word

    def partner(self, pool: Sequence[str], word: str, *, first: bool) -> str:
        """Return one word of the pool that may stand with ``word``.

        Parameters
        ----------
        pool
            Candidates.
        word
            Dictionary form of the other word.
        first
            Whether the candidate is the first of the pair (an adjective before its noun).
        """
        wanted = self.held_out and self.rng.random() < 0.5
        candidate = self.one(pool)
        for _ in range(200):
            pair = (candidate, word) if first else (word, candidate)
            if is_held_out(*pair) == wanted:
                return candidate
            candidate = self.one(pool)
        if self.held_out:  # this word has no held-out partner in the pool, which is no matter here
            return candidate
        raise ValueError(f"no word of the pool may stand with {word!r}; widen the pool")
