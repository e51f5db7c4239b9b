"""What a search is asked where a calibration text counts beside the weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import inf
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from qcqa.conversion.live import copy_with_one_layer
from qcqa.conversion.travelling.bits_qcqa import Ladder
from qcqa.errors import ReductionError
from qcqa.model.opening import open_checkpoint
from qcqa.model.source_model import load_float32
from qcqa.plan.plan import CalibrationText
from qcqa.progress import OnLayer
from qcqa.reduce.choice import LayerChoice, SiteKind
from qcqa.reduce.groups.gram import ModelGrams
from qcqa.reduce.groups.subspace.grams import are_grams_of, stored_objective, stored_spectra
from qcqa.reduce.groups.subspace.objective import SubspaceObjective
from qcqa.reduce.spectra import SiteSpectra
from qcqa.reduce.terms import Kind
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.problem import Problem, wse_problem
from qcqa.text.amounts import (
    BATCH_TOKENS,
    SEARCH_STEPS,
    exact_batches,
    ranked_batches,
    read_batches,
)
from qcqa.text.batches import make_batches
from qcqa.text.bits_rises import BitsMeter
from qcqa.text.calibrate import calibrate_model, save_grams
from qcqa.text.calibrated_rises import CalibratedRises
from qcqa.text.calibration_folder import CalibrationFolder
from qcqa.text.known_rises import KnownRises
from qcqa.text.refit import RefitSettings
from qcqa.text.rises import RiseMeter
from qcqa.text.source_reading import SourceReading
from qcqa.text.windows import evenly

#: A plan is fitted for longer: here layers are only ranked, hundreds of times.
_SHORT_REFIT = RefitSettings(steps=SEARCH_STEPS)

_OfHeads = Callable[[int, Sequence[LayerChoice]], NDArray[np.float64]]
_OfBits = Callable[[int, SiteKind, Sequence[Ladder]], NDArray[np.float64]]


class CalibratedModel:
    """A model and its calibration text, for a search.

    Parameters
    ----------
    model : str
        Local folder, Hub id, or ``demo``.
    text : str
        See :func:`~qcqa.text.calibrate.calibrate_model`.
    folder : Path
        Where the calibration is kept, and found again.
    revision : str, optional
        Branch, tag or commit on the Hub.
    device : str
        Where the model runs: ``auto``, ``cpu``, ``cuda`` …
    """

    def __init__(
        self,
        model: str,
        text: str,
        folder: Path,
        *,
        revision: str | None = None,
        device: str = "auto",
    ):
        self._model = model
        self._text = text
        self._folder = folder
        self._revision = revision
        self._device = device
        self._read: CalibrationText | None = None
        self._rises: dict[str, KnownRises] = {}

    def read(self, on_layer: OnLayer | None = None) -> CalibrationText:
        """Read the text unless that was done before; return which it was.

        Parameters
        ----------
        on_layer : callable, optional
            Called after each calibrated layer.

        Raises
        ------
        QCQAError
            If the model or the text cannot be used.
        """
        if self._read is None:
            self._read = calibrate_model(
                self._model,
                self._text,
                self._folder,
                revision=self._revision,
                device=self._device,
                on_layer=on_layer,
            )
        return self._read

    def problem(self, grams: ModelGrams, settings: SearchSettings) -> Problem:
        """Return the problem that settings ask for, judged by ``output-error`` or ``loss``.

        Raises
        ------
        QCQAError
            If the model or the text cannot be used.
        """
        text = self.read()
        kept = CalibrationFolder(self._folder)
        mark = kept.mark()

        def grams_of(layer: int) -> Path:
            # Calibrations of conversions, and of older releases, come without.
            if not are_grams_of(kept.grams(layer), mark):
                save_grams(self._source, layer, kept)
            return kept.grams(layer)

        def objective(layer: int, kind: Kind) -> SubspaceObjective:
            return stored_objective(grams_of(layer), kind)

        def find_spectra(layer: int, kind: SiteKind) -> SiteSpectra | None:
            return stored_spectra(grams_of(layer), kind)

        by_weights, rises = wse_problem(grams), None
        if settings.judged_by == "loss":
            rises = self._measured(settings, text, kept)
        problem = Problem(
            grams=grams,
            make_objective=by_weights.make_objective if settings.fitness == "wse" else objective,
            fitness=settings.judged_by,
            rescore=rises,
            find_spectra=find_spectra,
        )
        if rises is None or not settings.apart:
            # As published: none is foretold.
            return problem
        calibrated = CalibratedRises(rises.foretold, rises)
        return replace(
            problem,
            rescore=calibrated,
            remeasure=calibrated.measure_chosen,
            begin=calibrated.begin,
        )

    def _measured(
        self, settings: SearchSettings, text: CalibrationText, kept: CalibrationFolder
    ) -> "_Rises":
        """Return what measures rises as settings have them."""
        batches = make_batches(
            kept.windows(), batch_tokens=BATCH_TOKENS, device=self._source.device
        )
        size = sum(weight.numel() for weight in self._source.parameters())
        reading = SourceReading(
            self._source,
            evenly(batches, ranked_batches(size) if settings.apart else read_batches(size)),
            is_fitted_to=settings.refit,
            most_exact=exact_batches(size),
        )
        name = _file_name(settings, text)
        return _Rises(
            of_heads=RiseMeter(
                reading,
                partial(
                    copy_with_one_layer, self._source, merge=settings.merge, moments=kept.moment
                ),
                _SHORT_REFIT if settings.refit else None,
                self._known(f"rises-{name}"),
                self._known(f"foretold-{name}"),
            ),
            # However heads are merged.
            of_bits=BitsMeter(
                reading,
                self._known(f"rises-bits-apart-{text.digest}.jsonl"),
                self._known(f"foretold-bits-apart-{text.digest}.jsonl"),
            ),
        )

    def _known(self, name: str) -> KnownRises:
        """Return the rises of a file, which several problems of a search may share."""
        if name not in self._rises:
            self._rises[name] = KnownRises(self._folder / name)
        return self._rises[name]

    @cached_property
    def _source(self) -> PreTrainedModel:
        checkpoint = open_checkpoint(self._model, revision=self._revision)
        return load_float32(checkpoint, self._device)


@dataclass(frozen=True)
class _Rises:
    """Rises of choices at one site, in nats per token: of a structure, or of bits."""

    of_heads: RiseMeter
    of_bits: BitsMeter

    def __call__(self, layer: int, choices: Sequence[LayerChoice]) -> NDArray[np.float64]:
        """Return the measured rise of each choice; infinite where the layer cannot have it."""
        return np.array(
            [self._rise(layer, choice, self.of_heads, self.of_bits) for choice in choices]
        )

    def foretold(self, layer: int, choices: Sequence[LayerChoice]) -> NDArray[np.float64]:
        """Return the same, to second order."""
        by = self.of_heads.foretold, self.of_bits.foretold
        return np.array([self._rise(layer, choice, *by) for choice in choices])

    def _rise(self, layer: int, choice: LayerChoice, of_heads: _OfHeads, of_bits: _OfBits) -> float:
        if any(choice.codecs()) and not self.of_bits.can_pack(layer):
            return inf
        kinds: tuple[SiteKind, SiteKind] = ("key", "value")
        for kind, site in zip(kinds, choice.sites, strict=True):
            for part in site:
                if (codec := part.codec()) is not None:
                    return float(of_bits(layer, kind, [Ladder.of(codec)])[0])
        try:
            return float(of_heads(layer, [choice])[0])
        except ReductionError:
            return inf


def _file_name(settings: SearchSettings, text: CalibrationText) -> str:
    """Return a name that tells how rises were measured."""
    refit = "-refit" if settings.refit else ""
    apart = "-apart" if settings.apart else ""
    return f"{settings.merge}{refit}{apart}-{text.digest}.jsonl"
