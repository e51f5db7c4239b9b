"""Times and bytes of generation, round by round, alone and beside the source."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qcqa.errors import EvaluationError
from qcqa.measure.benchmark import DecodeLoad
from qcqa.measure.statistics import Spread, spread_of
from qcqa.plan.metric import measurement_name
from qcqa.plan.plan import Measurement


@dataclass(frozen=True, slots=True)
class Round:
    """One model's turn.

    Parameters
    ----------
    prefill_seconds : float
        For the prompts.
    seconds_per_token : float
        For one more token of every sequence, mean over the new tokens.
    cache_bytes : int
        Held by the cache after the prompts.
    peak_bytes : int or None
        Most memory beside what was in use before; None where the device does not tell.
    """

    prefill_seconds: float
    seconds_per_token: float
    cache_bytes: int
    peak_bytes: int | None


@dataclass(frozen=True, slots=True)
class DecodeSpeed:
    """How fast one model generates, and in how much memory.

    Parameters
    ----------
    load : DecodeLoad
        What it was measured on.
    rounds : tuple of Round
        In order; those of two models measured together belong in pairs.
    """

    load: DecodeLoad
    rounds: tuple[Round, ...]

    @property
    def prefill_seconds(self) -> Spread:
        """Time for the prompts, over rounds."""
        return spread_of(self._prefill())

    @property
    def seconds_per_token(self) -> Spread:
        """Time for one more token of every sequence, over rounds."""
        return spread_of(self._per_token())

    @property
    def tokens_per_second(self) -> Spread:
        """New tokens of all sequences together per second, over rounds."""
        return spread_of(self.load.batch_size / self._per_token())

    @property
    def cache_bytes(self) -> int:
        """Bytes of the cache that holds the prompts."""
        return self.rounds[0].cache_bytes

    @property
    def peak_bytes(self) -> int | None:
        """Most memory beside the weights in any round; None where the device does not tell."""
        peaks = [turn.peak_bytes for turn in self.rounds if turn.peak_bytes is not None]
        return max(peaks) if peaks else None

    def measurements(self) -> tuple[Measurement, ...]:
        """Return medians with their standard errors, and bytes; sample counts are rounds."""
        times = [
            self._measurement(name, getattr(self, name))
            for name in ("prefill_seconds", "seconds_per_token", "tokens_per_second")
        ]
        sizes = [
            Measurement(measurement_name(self.load.data, name), float(size))
            for name, size in (("cache_bytes", self.cache_bytes), ("peak_bytes", self.peak_bytes))
            if size is not None
        ]
        return (*times, *sizes)

    def compared_with(self, source: "DecodeSpeed") -> tuple[Measurement, ...]:
        """Return speedups over the source and the share of its cache.

        A speedup is the median over rounds of the ratio within the round, because both models were
        disturbed alike in it.

        Parameters
        ----------
        source : DecodeSpeed
            Of the source model, from the same call.

        Raises
        ------
        EvaluationError
            If the two were measured on different loads or numbers of rounds.
        """
        if self.load != source.load or len(self.rounds) != len(source.rounds):
            raise EvaluationError(
                f"{len(self.rounds)} rounds of {self.load.data} beside {len(source.rounds)} "
                f"rounds of {source.load.data}",
                expected="models that were measured together",
            )
        return (
            self._measurement("prefill_speedup", spread_of(source._prefill() / self._prefill())),
            self._measurement("decode_speedup", spread_of(source._per_token() / self._per_token())),
            Measurement(
                measurement_name(self.load.data, "cache_ratio"),
                self.cache_bytes / source.cache_bytes,
            ),
        )

    def _measurement(self, metric: str, spread: Spread) -> Measurement:
        name = measurement_name(self.load.data, metric)
        return Measurement(name, spread.median, spread.standard_error, spread.count)

    def _prefill(self) -> NDArray[np.float64]:
        return np.array([turn.prefill_seconds for turn in self.rounds])

    def _per_token(self) -> NDArray[np.float64]:
        return np.array([turn.seconds_per_token for turn in self.rounds])
