"""How far predictions move when one layer alone is merged and all others are the source's."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from qcqa.errors import EvaluationError
from qcqa.text.decoder import Decoder
from qcqa.text.running import evaluating, input_device
from qcqa.text.scoring import Query, compare_logits

#: Takes what is read now: a layer that is merged, or None for the source.
OnPass = Callable[[int | None], None]


class LayerMeter:
    """Reads batches with the source, and with each layer merged in its turn.

    What the source's layers hand on and what it predicts is computed once for a batch: behind a
    merged layer the rest of the source goes on from there. So ``L`` layers take half the time of
    ``L`` whole models; memory holds the logits of two, and no hidden states but one layer's.

    Parameters
    ----------
    source : PreTrainedModel
        In any float type.
    merged : PreTrainedModel
        What a plan makes of it, of which one layer at a time is used.
    """

    def __init__(self, source: PreTrainedModel, merged: PreTrainedModel):
        self._source, self._merged = Decoder(source), Decoder(merged)

    def __call__(
        self, windows: Sequence[Query], layers: Sequence[int], on_pass: OnPass
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read a batch.

        Parameters
        ----------
        windows : sequence of Query
            Read together; their targets say which predictions count, and are not looked at.
        layers : sequence of int
            Which are merged, one at a time.
        on_pass : callable
            Called before every pass; what it raises ends the measurement.

        Returns
        -------
        kl : ndarray, shape (layers, N)
            Kullback-Leibler divergence from the source's prediction in nats, for each target of
            each window in their order.
        is_same : ndarray, shape (layers, N)
            Whether the most probable prediction is the source's.

        Raises
        ------
        EvaluationError
            If the batch does not fit the device's memory, or a prediction is no number.
        """
        try:
            with evaluating(self._source.model), evaluating(self._merged.model):
                return self._read(windows, set(layers), on_pass)
        except torch.OutOfMemoryError as error:
            raise EvaluationError(
                f"windows of {max(len(query.token_ids) for query in windows)} tokens do not fit "
                "the memory of the device",
                remedy="use shorter windows, or another device",
            ) from error

    def _read(
        self, windows: Sequence[Query], layers: set[int], on_pass: OnPass
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        source = self._source
        width = max(len(query.token_ids) for query in windows)
        # On the right the causal mask keeps padding out of everything before it.
        padded = [[*query.token_ids, *[0] * (width - len(query.token_ids))] for query in windows]
        ids = torch.tensor(padded, device=input_device(source.model))  # (B, T)
        rows, places, targets = _places(windows)
        on_pass(None)
        wanted = source.model(input_ids=ids, use_cache=False).logits  # (B, T, V)
        hidden = source.embed(ids)  # (B, T, d)
        answers = []
        for layer in range(max(layers) + 1):
            if layer in layers:
                on_pass(layer)
                moved = source.step(layer, hidden, by=self._merged)
                logits = source.logits_after(layer, moved)
                answers.append(compare_logits(logits, wanted, rows, places, targets))
                del moved, logits
            if layer < max(layers):
                hidden = source.step(layer, hidden)
        kl = np.stack([answer.kl for answer in answers])
        if np.isnan(kl).any():
            raise EvaluationError(
                "the logits with one layer reduced are not numbers",
                remedy="run the models in float32 or bfloat16",
            )
        return kl, np.stack([answer.is_same for answer in answers])


def _places(windows: Sequence[Query]) -> tuple[list[int], list[int], list[int]]:
    """Return row, place and right token of every prediction that counts."""
    rows: list[int] = []
    places: list[int] = []
    targets: list[int] = []
    for row, query in enumerate(windows):
        count = len(query.targets)
        rows += [row] * count
        places += range(len(query.token_ids) - count, len(query.token_ids))
        targets += query.targets
    return rows, places, targets
