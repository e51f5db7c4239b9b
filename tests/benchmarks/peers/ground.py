"""What all peers stand on: one model, one calibration text, and a clock that is fair to each."""

import os
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from qcqa.measure.plan_models import PlanModels
from qcqa.model.opening import open_checkpoint
from qcqa.model.spec import ModelSpec
from qcqa.plan.plan import CalibrationText
from qcqa.text.calibrate import calibrate_model
from qcqa.text.calibration_folder import CalibrationFolder


class NoneFitsError(Exception):
    """A peer has nothing so small, or cannot be had here; the message says which."""


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A model that a peer has made.

    Parameters
    ----------
    model : PreTrainedModel
        Predicts as it does with the peer's cache.
    bits : callable
        From the tokens of one sequence to the bits of its cache, where the source keeps its
        elements in the type of its weights.
    piece_tokens : int, optional
        Tokens that are read at a time, where the cache loses something; None for all in one call.
    note : str
        What was chosen.
    """

    model: PreTrainedModel
    bits: Callable[[int], float]
    piece_tokens: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Peer:
    """A way to make the cache smaller.

    Parameters
    ----------
    name : str
        As on the command line.
    label : str
        As in the table.
    make : callable
        From the ground and a KV ratio to the peer's largest model within it; raises
        :class:`NoneFitsError` where there is none.
    """

    name: str
    label: str
    make: Callable[["Ground", float], Made]


def cpu_seconds() -> float:
    """Return the time of processors that this process and its children took.

    A busy machine does not bend it; in one thread it is what a quiet one takes.
    """
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


class Ground:
    """A model, a calibration text, and what several peers' models rest on, made once.

    Parameters
    ----------
    model : str
        Local folder or ``demo``.
    text : str
        Calibration text: a file, or ``demo``.
    folder : Path
        Where calibrations and searches are kept.
    dtype : str
        In which models run.
    """

    def __init__(self, model: str, text: str, folder: Path, dtype: str = "float32"):
        self.model, self.text, self.folder = model, text, folder
        checkpoint = open_checkpoint(model)
        checkpoint.require_language_model()
        self.spec: ModelSpec = checkpoint.spec
        self.models = PlanModels(
            checkpoint, device="cpu", dtype=dtype, calibrations=folder / "calibration"
        )
        self._done: dict[str, tuple[Any, float]] = {}
        self._used: set[str] = set()

    @cached_property
    def source(self) -> PreTrainedModel:
        """The source as it runs."""
        return self.models.source

    @cached_property
    def judge(self) -> PreTrainedModel:
        """The source, which what all are compared with is asked of once."""
        return remembering(self.source)

    def once(self, name: str, work: Callable[[], Any]) -> Any:
        """Return what some work yields; it is done once, and counted for all who use it."""
        if name not in self._done:
            started = cpu_seconds()
            value = work()
            self._done[name] = value, cpu_seconds() - started
        self._used.add(name)
        return self._done[name][0]

    def calibration(self) -> tuple[CalibrationText, CalibrationFolder]:
        """Return the calibration text, read once with the source."""
        kept = self.folder / "calibration"
        about = self.once("calibration", lambda: calibrate_model(self.model, self.text, kept))
        return about, CalibrationFolder(kept)

    def timed(self, make: Callable[[], Made]) -> tuple[Made, float]:
        """Return a model and the minutes of one core that it takes from nothing."""
        earlier, self._used = dict(self._done), set()
        started = cpu_seconds()
        made = make()
        before = sum(earlier[name][1] for name in self._used if name in earlier)
        return made, (cpu_seconds() - started + before) / 60


def copy_beside(model: PreTrainedModel, changed: Iterable[str] = ()) -> PreTrainedModel:
    """Return a copy that has all parameters but some in common with a model."""
    own = set(changed)
    parameters = model.named_parameters(remove_duplicate=False)
    kept = [tensor for name, tensor in parameters if name not in own]
    kept += model.buffers()
    return deepcopy(model, {id(tensor): tensor for tensor in kept})


def remembering(model: PreTrainedModel) -> PreTrainedModel:
    """Return a copy of a model that knows what it has said of the same tokens.

    It keeps all logits: a GB for 5,000 tokens of a vocabulary of 50,000 in float32.
    """
    copy, said = copy_beside(model), dict[tuple[torch.Size, bytes], Any]()
    answer = copy.forward

    def forward(*, input_ids: Tensor, use_cache: bool) -> Any:
        asked = input_ids.shape, input_ids.cpu().numpy().tobytes()
        if asked not in said:
            said[asked] = answer(input_ids=input_ids, use_cache=use_cache)
        return said[asked]

    copy.forward = forward
    return copy
