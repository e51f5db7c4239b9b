"""What a search yields, in memory and as the files of a folder."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from qcqa.errors import BudgetError, RunError
from qcqa.files.writing import write_text_atomically
from qcqa.model.spec import ModelSpec, dtype_bytes
from qcqa.plan.budget import CacheLoad
from qcqa.plan.plan import CalibrationText
from qcqa.reading.file import FileKind
from qcqa.reading.json_file import read_record
from qcqa.reduce.groups.gram import ModelGrams, load_grams, save_grams
from qcqa.reduce.stored import COST_CONTEXT
from qcqa.reduce.terms import name_today
from qcqa.search.front import Front, LowerBound
from qcqa.search.front_file import load_bound, load_front, save_bound, save_front, saved_methods
from qcqa.search.front_wse import front_wse
from qcqa.search.methods import METHODS
from qcqa.search.sizes import sizes_at

FloatArray = NDArray[np.float64]

_CALIBRATION_FILE = FileKind("the calibration text of a search", RunError, most_bytes=2**20)
_CALIBRATION = TypeAdapter(CalibrationText)


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The fronts of one model.

    Parameters
    ----------
    grams : ModelGrams
        Gram matrices of the model, with its geometry and fingerprint.
    fronts : mapping from str to Front
        By name of the method.
    bound : LowerBound
        The WSE that no grouping can beat.
    error_bound : LowerBound or None
        The error that none can beat by the fitness of the search, where it is another than WSE and
        has a bound.
    calibration : CalibrationText or None
        The text that was looked at beside the weights.
    """

    grams: ModelGrams
    fronts: Mapping[str, Front]
    bound: LowerBound
    error_bound: LowerBound | None = None
    calibration: CalibrationText | None = None

    @property
    def spec(self) -> ModelSpec:
        """Geometry of the source model."""
        return self.grams.spec

    def front(self, method: str) -> Front:
        """Return the front of one method.

        Raises
        ------
        BudgetError
            If the search did not run this method.
        """
        # Jobs of older releases know QCQA by weights alone as QCQA as published.
        for name in (method, name_today(method, "wse")):
            if name in self.fronts:
                return self.fronts[name]
        raise BudgetError(
            f"method {method!r}", expected=f"one that was searched: {', '.join(self.fronts)}"
        )

    def wse(self, method: str) -> FloatArray:
        """Return the WSE of every plan of one method, whatever its search minimised, shape (N,).

        It is NaN for fronts of fewer bits, of whose loss the weights say nothing.

        Raises
        ------
        BudgetError
            If the search did not run this method.
        """
        return self._wse[self.front(method).method]

    def at(self, load: CacheLoad) -> "SearchResult":
        """Return it with what its plans take at a load; budgets are counted at that load then."""
        kept = load.context_tokens, 8 * dtype_bytes(load.dtype)
        is_usual = kept == (COST_CONTEXT, self.spec.element_bits)
        if is_usual or not any(front.has_codecs for front in self.fronts.values()):
            return self
        return _at(self, *kept)

    @cached_property
    def _wse(self) -> Mapping[str, FloatArray]:
        return {
            name: np.full(len(front), np.nan) if front.has_codecs else front_wse(front, self.grams)
            for name, front in self.fronts.items()
        }


@lru_cache(maxsize=8)
def _at(result: SearchResult, tokens: int, element_bits: int) -> SearchResult:
    fronts = {
        name: replace(front, sizes=sizes_at(front, result.spec, tokens, element_bits))
        if front.has_codecs
        else front
        for name, front in result.fronts.items()
    }
    return replace(result, fronts=fronts)


@dataclass(frozen=True, slots=True)
class ResultFolder:
    """A folder that holds a search's result, or the part of it that is there so far.

    Parameters
    ----------
    path : Path
        The folder; made when something is saved.
    """

    path: Path

    @property
    def _grams(self) -> Path:
        return self.path / "grams.safetensors"

    @property
    def _fronts(self) -> Path:
        return self.path / "fronts"

    @property
    def _bound(self) -> Path:
        return self._fronts / "lower_bound.parquet"

    @property
    def _error_bound(self) -> Path:
        return self._fronts / "error_bound.parquet"

    @property
    def _calibration(self) -> Path:
        return self.path / "calibration.json"

    @property
    def has_result(self) -> bool:
        """Whether there is a result to be read, if only a part of it: the bound comes first."""
        return self._bound.exists()

    @property
    def methods(self) -> list[str]:
        """Methods whose fronts are there, by what they are called today.

        Those of methods that this release does not have are left out.
        """
        return [name for name in saved_methods(self._fronts) if name in METHODS]

    def save_grams(self, grams: ModelGrams) -> None:
        """Keep the Grams."""
        self.path.mkdir(parents=True, exist_ok=True)
        save_grams(grams, self._grams)

    def save_front(self, front: Front) -> None:
        """Keep one method's front."""
        save_front(front, self._fronts)

    def save_bound(self, bound: LowerBound) -> None:
        """Keep a lower bound, on WSE or on another fitness."""
        save_bound(bound, self._bound if bound.fitness == "wse" else self._error_bound)

    def save_calibration(self, calibration: CalibrationText) -> None:
        """Keep which text was looked at."""
        text = json.dumps(asdict(calibration), indent=2) + "\n"
        write_text_atomically(self._calibration, text)

    def calibration(self) -> CalibrationText | None:
        """Return which text was looked at, or None if there was none.

        Raises
        ------
        RunError
            If the file is damaged.
        """
        if not self._calibration.exists():
            return None
        return read_record(self._calibration, _CALIBRATION, _CALIBRATION_FILE)

    def _spec(self) -> ModelSpec:
        """Return the geometry of the model, which comes before all else."""
        grams = self.grams()
        if grams is None:
            raise RunError(f"{self.path} has lost {self._grams.name}", remedy="search again")
        return grams.spec

    def grams(self) -> ModelGrams | None:
        """Return the Grams, or None if they are not there yet."""
        return load_grams(self._grams) if self._grams.exists() else None

    def front(self, method: str) -> Front | None:
        """Return one method's front, or None if it is not there yet."""
        names = saved_methods(self._fronts)
        return self._front(method, names[method], self._spec()) if method in names else None

    def result(self) -> SearchResult:
        """Return all that is there.

        Raises
        ------
        RunError
            If not even the lower bound is there yet.
        """
        grams = self.grams()
        if grams is None or not self.has_result:
            raise RunError(
                f"{self.path} holds no result yet", remedy="wait for the run or resume it"
            )
        return SearchResult(
            grams=grams,
            fronts={
                name: self._front(name, saved, grams.spec)
                for name, saved in saved_methods(self._fronts).items()
                if name in METHODS
            },
            bound=load_bound(self._bound, grams.spec),
            error_bound=self.error_bound(),
            calibration=self.calibration(),
        )

    def _front(self, method: str, saved: str, spec: ModelSpec) -> Front:
        """Return the front of a method that was saved by another name, or the same."""
        return replace(load_front(self._fronts, saved, spec), method=method)

    def error_bound(self) -> LowerBound | None:
        """Return the bound on another fitness than WSE, or None if there is none (yet)."""
        return load_bound(self._error_bound, self._spec()) if self._error_bound.exists() else None
