"""What a model says of every token of a text, alone and beside its source."""

import json
from dataclasses import dataclass
from math import exp
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcqa.errors import EvaluationError
from qcqa.measure.samples import Samples, Stratum, clusters_of
from qcqa.measure.statistics import Mean, clustered_mean
from qcqa.model.tensor_file import write_tensors
from qcqa.plan.metric import DIFFERENCE, measurement_name
from qcqa.plan.plan import Measurement
from qcqa.reading.file import FileKind
from qcqa.reading.safetensors_file import ArraysFile

#: Beyond this a perplexity, or its standard error, may be infinite, which no file can hold.
_OVERFLOW = 700.0

_FORMAT = "qcqa-text-scores-2"

_FILE = FileKind("scores of a text", EvaluationError, "measure the source again", most_bytes=None)


@dataclass(frozen=True, slots=True, eq=False)
class TextScores:
    """Scores of one model on one text, token by token: 18 bytes a token.

    Parameters
    ----------
    data : str
        Name of the text.
    digest : str
        Hash of the windows that were scored. Two models with the same have the same tokens.
    nll : ndarray, shape (N,), float32
        Negative log-likelihood of each scored token, nats.
    is_right : ndarray, shape (N,), bool
        Whether the token was the model's most probable prediction.
    kl : ndarray, shape (N,), float32
        Kullback-Leibler divergence of the model's prediction from its source's, nats; all 0 for a
        source.
    is_same : ndarray, shape (N,), bool
        Whether model and source think the same token the most probable.
    document, window : ndarray, shape (N,), int32
        Where the token stands, counted from 0.
    """

    data: str
    digest: str
    nll: NDArray[np.float32]
    is_right: NDArray[np.bool_]
    kl: NDArray[np.float32]
    is_same: NDArray[np.bool_]
    document: NDArray[np.int32]
    window: NDArray[np.int32]

    @property
    def clusters(self) -> NDArray[np.int32]:
        """What counts as one sample; see :func:`~qcqa.measure.samples.clusters_of`."""
        return clusters_of(self.document, self.window)

    def measurements(self) -> tuple[Measurement, ...]:
        """Return perplexity, negative log-likelihood and next-token accuracy.

        A model so broken that its perplexity is beyond all numbers has none. The standard error
        of the perplexity is that of the mean log-likelihood, carried over by its derivative.
        Sample counts are tokens.
        """
        nll = clustered_mean(self.nll, self.clusters)
        right = clustered_mean(self.is_right, self.clusters)
        return (
            *self._exponential("perplexity", nll),
            self._measurement("nll", nll),
            self._measurement("accuracy", right),
        )

    def compared_with(self, source: "TextScores") -> tuple[Measurement, ...]:
        """Return how far this model is from its source, token by token, and how close to it.

        Both models find the same words hard, so the standard errors of these differences are far
        smaller than those of either figure.

        Parameters
        ----------
        source : TextScores
            Of the source model, on the same text.

        Raises
        ------
        EvaluationError
            If the two were measured on different tokens.
        """
        if self.digest != source.digest or len(self.nll) != len(source.nll):
            raise EvaluationError(
                f"scores of {len(self.nll)} tokens of {self.data} beside scores of "
                f"{len(source.nll)} tokens of {source.data}",
                expected="the same text in the same windows",
                remedy="evaluate both models with the same settings",
            )
        nll = clustered_mean(_minus(self.nll, source.nll), self.clusters)
        right = clustered_mean(_minus(self.is_right, source.is_right), self.clusters)
        return (
            *self._exponential("perplexity_ratio", nll),
            self._measurement("nll" + DIFFERENCE, nll),
            self._measurement("accuracy" + DIFFERENCE, right),
            self._measurement("kl", clustered_mean(self.kl, self.clusters)),
            self._measurement("same_top", clustered_mean(self.is_same, self.clusters)),
        )

    def samples(self) -> tuple[Samples, ...]:
        """Return the sums by which two models can be compared; 0 to the source of its own."""
        clusters = self.clusters
        arrays = {
            "nll": self.nll,
            "accuracy": self.is_right,
            "kl": self.kl,
            "same_top": self.is_same,
        }
        return tuple(
            Samples(measurement_name(self.data, name), self.digest, (Stratum.of(values, clusters),))
            for name, values in arrays.items()
        )

    def _measurement(self, metric: str, mean: Mean) -> Measurement:
        name = measurement_name(self.data, metric)
        return Measurement(name, mean.value, mean.standard_error, mean.sample_count)

    def _exponential(self, metric: str, mean: Mean) -> tuple[Measurement, ...]:
        if mean.value > _OVERFLOW:
            return ()
        value = exp(mean.value)
        error = None if mean.standard_error is None else value * mean.standard_error
        return (self._measurement(metric, Mean(value, error, mean.sample_count)),)

    def save(self, path: Path) -> None:
        """Write the scores as safetensors, so that a source need be measured only once."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        about = {"format": _FORMAT, "data": self.data, "digest": self.digest}
        write_tensors(path, arrays, {"qcqa": json.dumps(about)})


_ARRAYS: dict[str, type[np.generic]] = {
    "nll": np.float32,
    "is_right": np.bool_,
    "kl": np.float32,
    "is_same": np.bool_,
    "document": np.int32,
    "window": np.int32,
}


def load_text_scores(path: Path) -> TextScores:
    """Read what :meth:`TextScores.save` wrote.

    Raises
    ------
    EvaluationError
        If the file is missing, damaged or something else.
    """
    file = ArraysFile(path, _FILE)
    about = file.about()
    if about.get("format") != _FORMAT:
        raise _FILE.damaged(path, f"its format is not {_FORMAT}")
    shape = file.array("nll", np.float32, (None,)).shape
    arrays = {name: file.array(name, kind, shape) for name, kind in _ARRAYS.items()}
    return TextScores(data=str(about.get("data")), digest=str(about.get("digest")), **arrays)


def _minus(values: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float64]:
    # Differences of near-equal float32 values keep their digits in float64.
    return values.astype(np.float64) - others.astype(np.float64)
