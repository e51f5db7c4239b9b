"""Search one model: from its checkpoint to the fronts of the methods."""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

from qcqa.model.checkpoint import Checkpoint
from qcqa.model.opening import open_checkpoint
from qcqa.plan.plan import CalibrationText
from qcqa.progress import OnLayer, silent, within
from qcqa.reduce.groups.gram import ModelGrams
from qcqa.reduce.groups.read_grams import read_grams
from qcqa.search.estimate import bound_seconds, searched_seconds, text_seconds
from qcqa.search.front import Front
from qcqa.search.method_sets import (
    refuse_bits,
    refuse_other_names,
    refuse_unused,
    refuse_without_calibration,
    second_stage,
    usual_methods,
    with_baselines,
)
from qcqa.search.methods import METHODS, run_method, wants_calibration
from qcqa.search.progress import OnSearchProgress, SearchProgress
from qcqa.search.result import ResultFolder, SearchResult
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.optimal import lower_bound
from qcqa.search.strategy.problem import Problem, wse_problem

#: Of a search's progress, a guess: reading the weights comes before anything is known of them.
_READ_SHARE = 0.02

#: Stages before the methods.
READING, TEXT, BOUND = "reading K/V weights", "reading the calibration text", "lower bound"


class Calibrated(Protocol):
    """A model and a text, for searches that look at more than weights."""

    def read(self, on_layer: OnLayer) -> CalibrationText:
        """Read the text unless that was done before; return which it was.

        ``on_layer`` takes the calibrated layers and the number of all.
        """
        ...

    def problem(self, grams: ModelGrams, settings: SearchSettings) -> Problem:
        """Return the problem that settings ask for.

        Of their fitness, with an objective per layer and kind, and for the fitness ``loss`` with a
        ``rescore`` that merges as they say.
        """
        ...


def search_model(
    model: str,
    *,
    revision: str | None = None,
    methods: Iterable[str] | None = None,
    settings: SearchSettings | None = None,
    folder: Path | None = None,
    on_progress: OnSearchProgress | None = None,
    calibrated: Calibrated | None = None,
) -> SearchResult:
    """Search the groupings of a model's heads.

    Parameters
    ----------
    model : str
        Local folder, Hub id, or ``demo``.
    revision : str, optional
        Branch, tag or commit on the Hub.
    methods : iterable of str
        Searched methods; by default :func:`~qcqa.search.method_sets.usual_methods`. The
        baselines MHA, GQA and MQA and the lower bound always come along.
    settings : SearchSettings, optional
        Of the search; by default QCQA as published where a calibration text is at hand, else what
        weights alone can decide.
    folder : Path, optional
        Where results are kept as they come; what lies there from an earlier call with the same
        arguments is not computed again, and the result is the same as without.
    on_progress : callable, optional
        Called often; raising from it ends the search.
    calibrated : Calibrated, optional
        The model with a calibration text, for methods that need one.

    Returns
    -------
    SearchResult
        A front per method, and the lower bound.

    Raises
    ------
    CheckpointError
        If the model cannot be read.
    SettingsError
        If a method is unknown, or needs a calibration text that there is none of.
    ReductionError
        If the model cannot have bits in the groups that were asked for.
    """
    report = on_progress or silent
    has_text = calibrated is not None
    is_usual = settings is None or (methods is None and settings.fitness == "wse")
    wanted = with_baselines(usual_methods(has_text=has_text) if methods is None else methods)
    settings = settings or SearchSettings()
    if is_usual:
        stage2 = second_stage(wanted, has_text=has_text)
        settings = settings.model_copy(update={"stage2_fitness": stage2})
    kept = ResultFolder(folder) if folder else None
    grams = kept.grams() if kept else None
    if grams is None and settings.fitness != "wse":
        # What has begun goes on.
        refuse_unused(methods or (), {"fitness": settings.fitness})
    refuse_other_names(wanted, settings)
    if calibrated is None:
        refuse_without_calibration(wanted, settings)
    if grams is None:
        checkpoint = open_checkpoint(model, revision=revision)
        refuse_bits(wanted, settings, checkpoint.spec)
        grams = _read(checkpoint, report)
        if kept:
            kept.save_grams(grams)
    parts = _parts(
        report,
        {
            TEXT: text_seconds(grams.spec, wanted, settings),
            BOUND: bound_seconds(grams.spec, settings),
            **searched_seconds(grams.spec, wanted, settings),
        },
    )

    def on_step(stage: str, step: int, total: int) -> None:
        parts[stage](SearchProgress.of_stage(stage, step, total))

    problems = _Problems(grams, calibrated)
    text = None
    if calibrated and wants_calibration(wanted, settings):
        text = calibrated.read(partial(on_step, TEXT))
        if kept:
            kept.save_calibration(text)
    on_step(BOUND, 0, 1)
    bound = lower_bound(problems.by_weights, settings)
    if kept:
        kept.save_bound(bound)
    error_bound = kept.error_bound() if kept else None
    if settings.fitness == "output-error" and error_bound is None:
        error_bound = lower_bound(
            problems.of(settings),
            settings,
            # It is not done with the last table.
            on_table=lambda table, total: on_step(BOUND, table, total + 1),
        )
        if kept:
            kept.save_bound(error_bound)
    on_step(BOUND, 1, 1)
    fronts: dict[str, Front] = {}
    for method in wanted:
        front = kept.front(method) if kept else None
        if front is None:
            front = run_method(
                method,
                problems.of(METHODS[method].settings(settings)),
                settings,
                progress=_of_method(parts[method], method),
                scratch=folder / "unfinished" / method if folder else None,
            )
            if kept:
                kept.save_front(front)
        fronts[method] = front
    if folder:
        shutil.rmtree(folder / "unfinished", ignore_errors=True)
    return SearchResult(
        grams=grams, fronts=fronts, bound=bound, error_bound=error_bound, calibration=text
    )


def _read(checkpoint: Checkpoint, report: OnSearchProgress) -> ModelGrams:
    reading = within(report, 0.0, _READ_SHARE)
    return read_grams(
        checkpoint,
        on_layer=lambda layer, total: reading(SearchProgress.of_stage(READING, layer, total)),
    )


class _Problems:
    """The problems of a search, each made when it is first needed."""

    def __init__(self, grams: ModelGrams, calibrated: Calibrated | None):
        self._grams = grams
        self._source = calibrated
        self.by_weights = wse_problem(grams)
        self._calibrated: dict[tuple[str, str, str, bool, bool], Problem] = {}

    def of(self, settings: SearchSettings) -> Problem:
        """Return the problem of these settings."""
        if settings.judged_by == "wse" or self._source is None:
            return self.by_weights
        # What is measured depends on how heads are merged, and how on what is asked.
        judged = (settings.fitness, settings.judged_by)
        key = (*judged, settings.merge, settings.refit, settings.apart)
        if key not in self._calibrated:
            self._calibrated[key] = self._source.problem(self._grams, settings)
        return self._calibrated[key]


def _parts(
    on_progress: OnSearchProgress, seconds: Mapping[str, float]
) -> dict[str, OnSearchProgress]:
    """Return what each stage and method reports to, so that one bar shows them all.

    Parameters
    ----------
    on_progress : callable
        Is told of the whole search.
    seconds : mapping from str to float
        What each is thought to take, in their order.
    """
    total = sum(seconds.values()) or 1.0
    parts, begin = {}, _READ_SHARE
    for name, duration in seconds.items():
        end = begin + (1 - _READ_SHARE) * duration / total
        parts[name] = within(on_progress, begin, end)
        begin = end
    return parts


def _of_method(on_progress: OnSearchProgress, method: str) -> OnSearchProgress:
    report = within(on_progress, 0.0, 1.0, name=METHODS[method].label)
    return lambda progress: report(replace(progress, method=method))
