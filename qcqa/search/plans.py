"""From a front to one plan."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from qcqa.errors import BudgetError
from qcqa.plan.plan import CalibrationText, Plan, Prediction
from qcqa.reduce.groups.gram import ModelGrams
from qcqa.search.front import Front, LowerBound
from qcqa.search.front_wse import front_wse
from qcqa.search.methods import METHODS
from qcqa.search.strategy.config import SearchSettings

#: Distributions on which a search's numbers depend.
_PACKAGES = ("qcqa-explorer", "numpy", "pymoo")


def best_plan(
    front: Front,
    grams: ModelGrams,
    max_kv_bits: int,
    *,
    settings: SearchSettings | None = None,
    bound: LowerBound | None = None,
    error_bound: LowerBound | None = None,
    provenance: Mapping[str, Any] | None = None,
    calibration: CalibrationText | None = None,
) -> Plan:
    """Return the plan of least error that caches at most so many bits per token.

    Parameters
    ----------
    front : Front
        Of some method on this model.
    grams : ModelGrams
        Of the model.
    max_kv_bits : int
        Bits of the KV cache per token; see :mod:`qcqa.plan.budget`.
    settings : SearchSettings, optional
        With which the front was found, for the plan's provenance.
    bound, error_bound : LowerBound, optional
        Tell how good the plan can be, by WSE and by another fitness of the front.
    provenance : mapping, optional
        What else is known of its origin: plain JSON values.
    calibration : CalibrationText, optional
        On which a fitness other than WSE, a merge by subspaces and a refit rest.

    Raises
    ------
    BudgetError
        If even the smallest plan needs more.
    """
    index = front.within(max_kv_bits)
    if index is None:
        source, smallest = grams.spec.kv_bits, int(front.size.min())
        raise BudgetError(
            f"a budget of {100 * max_kv_bits / source:.4g} % of the KV cache",
            expected=f"at least {100 * smallest / source:.4g} %: "
            f"the smallest plan of {front.method}",
            remedy="raise the budget or take another method",
        )
    needs_text = front.merge == "svd" or front.refit
    return Plan(
        model=grams.spec,
        fingerprint=grams.fingerprint,
        method=front.method,
        merge=front.merge,
        refit=front.refit,
        layers=front.plan_layers(index),
        predicted=_prediction(front, index, grams, bound, error_bound),
        provenance=_origin(front, settings, calibration) | dict(provenance or {}),
        calibration=calibration if needs_text else None,
    )


def _origin(
    front: Front, settings: SearchSettings | None, calibration: CalibrationText | None
) -> dict[str, Any]:
    """Return versions, settings and text with which a front was found."""
    origin: dict[str, Any] = {"versions": dict(installed_versions())}
    if settings is not None and front.method in METHODS:
        # The method may have insisted on others than the run's.
        effective = METHODS[front.method].settings(settings)
        # How many processes found it says nothing of the plan.
        origin["settings"] = effective.model_dump(mode="json", exclude={"workers"})
    if calibration is not None and front.fitness != "wse":
        # What the groups rest on, even where the merge does not.
        origin["calibration"] = calibration.text
    return origin


def _prediction(
    front: Front,
    index: int,
    grams: ModelGrams,
    bound: LowerBound | None,
    error_bound: LowerBound | None,
) -> Prediction:
    wse, cost = float(front_wse(front, grams, [index])[0]), int(front.cost[index])
    prediction = Prediction(
        wse=wse,
        relative_wse=wse / grams.trace if grams.trace else 0.0,
        wse_lower_bound=bound.at(cost) if bound and bound.holds_for(front) else None,
    )
    if front.fitness == "wse":
        return prediction
    error, lowest = float(front.error[index]), None
    if error_bound and error_bound.fitness == front.fitness and error_bound.holds_for(front):
        lowest = error_bound.at(cost)
    return replace(
        prediction,
        fitness=front.fitness,
        error=error,
        relative_error=error / front.total if front.total else None,
        error_lower_bound=lowest,
    )


@cache
def installed_versions() -> Mapping[str, str]:
    """Return the versions of what a search's numbers depend on, where they are installed."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # run from a source tree
    return found
