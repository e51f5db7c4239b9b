"""Search one model: from its checkpoint to the fronts of the methods."""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from qcqa.checkpoint import open_checkpoint, read_grams
from qcqa.errors import SettingsError
from qcqa.front import Front
from qcqa.gram import ModelGrams
from qcqa.methods import METHODS, Progress, run_method
from qcqa.progress import JobProgress
from qcqa.search.config import SearchSettings
from qcqa.search.optimal import lower_bound
from qcqa.search_result import ResultFolder, SearchResult

#: Methods that only look up their plans: cheap, and what the others are compared with.
BASELINES = ("mha", "gqa", "mqa")
SEARCHED_METHODS = ("optimal", "qcqa-ac", "qcqa-ec")


@dataclass(frozen=True, slots=True)
class SearchProgress(JobProgress):
    """How far a search is.

    Parameters
    ----------
    stage, step, total, fraction
        As in :class:`JobProgress`.
    method : str or None
        Method at work, if it is past reading.
    layer : int or None
        Layer that has just been finished, or is at work, where there is one.
    hypervolume : float or None
        Of the front so far, relative to a fixed reference, where the stage has one.
    """

    method: str | None = None
    layer: int | None = None
    hypervolume: float | None = None


OnProgress = Callable[[SearchProgress], None]


def search_model(
    model: str,
    *,
    revision: str | None = None,
    methods: Iterable[str] = SEARCHED_METHODS,
    settings: SearchSettings | None = None,
    folder: Path | None = None,
    on_progress: OnProgress | None = None,
) -> SearchResult:
    """Search the groupings of a model's heads.

    Parameters
    ----------
    model : str
        Local folder, Hub id, or ``demo``.
    revision : str, optional
        Branch, tag or commit on the Hub.
    methods : iterable of str
        Searched methods; the baselines MHA, GQA and MQA and the lower bound always come along.
    settings : SearchSettings, optional
        Of the evolutionary search.
    folder : Path, optional
        Where results are kept as they come; what lies there from an earlier call with the same
        arguments is not computed again, and the result is the same as without.
    on_progress : callable, optional
        Called often; raising from it ends the search.

    Returns
    -------
    SearchResult
        A front per method, and the lower bound.

    Raises
    ------
    CheckpointError
        If the model cannot be read.
    SettingsError
        If a method is unknown.
    """
    settings = settings or SearchSettings()
    report = on_progress or _silent
    wanted = with_baselines(methods)
    shares = _Shares(("read", *wanted))
    kept = ResultFolder(folder) if folder else None
    grams = kept.grams() if kept else None
    if grams is None:
        grams = _read(model, revision, report, shares)
        if kept:
            kept.save_grams(grams)
    bound = lower_bound(grams)
    if kept:
        kept.save_bound(bound)
    fronts: dict[str, Front] = {}
    for method in wanted:
        front = kept.front(method) if kept else None
        if front is None:
            front = run_method(
                method,
                grams,
                settings,
                progress=partial(_report_method, report, shares, method),
                scratch=folder / "unfinished" / method if folder else None,
            )
            if kept:
                kept.save_front(front)
        fronts[method] = front
    if folder:
        shutil.rmtree(folder / "unfinished", ignore_errors=True)
    return SearchResult(grams=grams, fronts=fronts, bound=bound)


def _read(model: str, revision: str | None, report: OnProgress, shares: "_Shares") -> ModelGrams:
    def on_layer(layer: int, total: int) -> None:
        fraction = shares.fraction("read", layer / total)
        report(SearchProgress("reading K/V weights", layer, total, fraction))

    return read_grams(open_checkpoint(model, revision=revision), on_layer=on_layer)


def with_baselines(methods: Iterable[str]) -> tuple[str, ...]:
    """Return the baselines and the asked methods, the quick ones first.

    Raises
    ------
    SettingsError
        If a method is unknown.
    """
    asked = set(methods)
    unknown = asked - set(METHODS)
    if unknown:
        raise SettingsError(
            f"method {sorted(unknown)[0]!r}", expected=f"one of {', '.join(SEARCHED_METHODS)}"
        )
    return (*BASELINES, *(name for name in SEARCHED_METHODS if name in asked))


class _Shares:
    """How much of a whole search each of its parts is, so that one bar shows them all."""

    def __init__(self, parts: tuple[str, ...]):
        quick = dict.fromkeys(BASELINES, 0.0) | {"read": 2.0, "optimal": 2.0}
        weights = {part: quick.get(part, 5.0) for part in parts}
        total = sum(weights.values())
        self._share = {part: weight / total for part, weight in weights.items()}
        self._parts = parts

    def fraction(self, part: str, within: float) -> float:
        """Return the fraction of the whole when this fraction of ``part`` is done."""
        before = self._parts[: self._parts.index(part)]
        return sum(self._share[p] for p in before) + within * self._share[part]

    def of(self, method: str, progress: Progress) -> SearchProgress:
        """Return the whole search's progress when ``method`` reports its own."""
        return SearchProgress(
            stage=f"{METHODS[method].label}: {progress.stage}",
            step=progress.step,
            total=progress.total,
            fraction=self.fraction(method, progress.fraction),
            method=method,
            layer=progress.layer,
            hypervolume=progress.hypervolume,
        )


def _report_method(report: OnProgress, shares: _Shares, method: str, progress: Progress) -> None:
    report(shares.of(method, progress))


def _silent(_progress: SearchProgress) -> None:
    """Take progress that nobody asked for."""
