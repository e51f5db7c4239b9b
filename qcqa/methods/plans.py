"""From a front to one plan."""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from qcqa.errors import BudgetError
from qcqa.front import Front, LowerBound
from qcqa.gram import ModelGrams
from qcqa.plan import GroupingPlan, Prediction
from qcqa.search.config import SearchSettings

#: Distributions on which a search's numbers depend.
_PACKAGES = ("qcqa-explorer", "numpy", "pymoo")


def plan_from_front(
    front: Front,
    index: int,
    grams: ModelGrams,
    *,
    settings: SearchSettings | None = None,
    bound: LowerBound | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> GroupingPlan:
    """Return one plan of a front.

    Parameters
    ----------
    front : Front
        Of some method on this model.
    index : int
        Which of its plans.
    grams : ModelGrams
        Of the model.
    settings : SearchSettings, optional
        With which the front was found, for the plan's provenance.
    bound : LowerBound, optional
        Tells how good the plan can be.
    provenance : mapping, optional
        What else is known of its origin: plain JSON values.
    """
    error = float(front.error[index])
    origin: dict[str, Any] = {"versions": _versions()}
    if settings is not None:
        # How many processes found it says nothing of the plan.
        origin["settings"] = settings.model_dump(mode="json", exclude={"workers"})
    return GroupingPlan(
        model=grams.spec,
        fingerprint=grams.fingerprint,
        method=front.method,
        merge="mean",
        layers=front.groupings(index),
        predicted=Prediction(
            wse=error,
            relative_wse=error / grams.trace if grams.trace else 0.0,
            wse_lower_bound=bound.at(int(front.cost[index])) if bound else None,
        ),
        provenance=origin | dict(provenance or {}),
    )


def best_plan(
    front: Front,
    grams: ModelGrams,
    max_cached_heads: int,
    *,
    settings: SearchSettings | None = None,
    bound: LowerBound | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> GroupingPlan:
    """Return the plan of least error that caches at most so many heads; see the other function.

    Parameters
    ----------
    max_cached_heads : int
        K heads plus V heads over all layers; see :mod:`qcqa.budget`.
    front, grams, settings, bound, provenance
        As in :func:`plan_from_front`.

    Raises
    ------
    BudgetError
        If even the smallest plan needs more.
    """
    index = front.within(max_cached_heads)
    if index is None:
        source, smallest = grams.spec.num_cached_heads, int(front.cost[0])
        raise BudgetError(
            f"a budget of {max_cached_heads} cached heads "
            f"(KV ratio {max_cached_heads / source:.4g})",
            expected=f"at least {smallest} (KV ratio {smallest / source:.4g}): "
            f"the smallest plan of {front.method}",
            remedy="raise the budget or take another method",
        )
    return plan_from_front(
        front, index, grams, settings=settings, bound=bound, provenance=provenance
    )


def _versions() -> dict[str, str]:
    """Return the versions of what a search's numbers depend on, where they are installed."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # run from a source tree
    return found
