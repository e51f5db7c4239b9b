"""Fronts and the lower bound as Parquet tables.

``<method>.plans.parquet`` has a row per plan and ``<method>.candidates.parquet`` a row per
candidate grouping of a layer, so that any tool that reads Parquet can follow a search.
``<method>.dominated.parquet`` has a row per plan that was weighed and dropped; a front is whole
without it.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from qcqa.errors import RunError
from qcqa.files import temporary_beside
from qcqa.search.front import Dominated, Front, LayerCandidates, LowerBound

#: What a front's errors are and how its groups are merged: fields of :class:`Front`.
_TERMS = ("fitness", "total", "merge", "refit", "apart")

#: What to do about dominated plans that cannot be read.
_WITHOUT = "delete this file: the front is whole without it"


def save_front(front: Front, folder: Path) -> None:
    """Write one method's front into ``folder``, each file atomically, the plans last."""
    folder.mkdir(parents=True, exist_ok=True)
    candidates = pd.concat(
        [
            pd.DataFrame(
                {
                    "layer": number,
                    "candidate": np.arange(len(layer.error)),
                    "num_cached_heads": layer.cost,
                    "error": layer.error,
                    "key_labels": list(layer.key_labels),
                    "value_labels": list(layer.value_labels),
                }
            )
            for number, layer in enumerate(front.layers)
        ],
        ignore_index=True,
    )
    plans = pd.DataFrame(
        {
            "num_cached_heads": front.cost,
            "error": front.error,
            "candidate_of_layer": list(front.choices),
        }
    )
    # pandas keeps them in the metadata of the file's schema.
    plans.attrs = {name: getattr(front, name) for name in _TERMS}
    _write(candidates, folder / f"{front.method}.candidates.parquet")
    if front.dominated is not None:
        _save_dominated(front.dominated, _dominated_path(folder, front.method))
    _write(plans, folder / f"{front.method}.plans.parquet")


def load_front(folder: Path, method: str) -> Front:
    """Read the front that :func:`save_front` wrote.

    Raises
    ------
    RunError
        If a file is missing or damaged, or that of the dominated plans fits another front.
    """
    candidates = _read(folder / f"{method}.candidates.parquet")
    plans = _read(folder / f"{method}.plans.parquet")
    layers = tuple(
        LayerCandidates(
            key_labels=np.stack(rows["key_labels"].to_list()),
            value_labels=np.stack(rows["value_labels"].to_list()),
            error=rows["error"].to_numpy(),
        )
        for _, rows in candidates.groupby("layer", sort=True)
    )
    choices = np.stack(plans["candidate_of_layer"].to_list())
    # Files of the first release, which knew one fitness and one merge, do not name them.
    terms = {name: plans.attrs[name] for name in _TERMS if name in plans.attrs}
    front = Front(method=method, layers=layers, choices=choices, **terms)
    path = _dominated_path(folder, method)
    # Runs of earlier releases have none.
    return replace(front, dominated=_load_dominated(path, front)) if path.exists() else front


def saved_methods(folder: Path) -> list[str]:
    """Return the names of the methods whose fronts lie in ``folder``."""
    return sorted(
        path.name.removesuffix(".plans.parquet") for path in folder.glob("*.plans.parquet")
    )


def save_bound(bound: LowerBound, path: Path) -> None:
    """Write the lower bound."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame({"num_cached_heads": bound.cost, "error": bound.error})
    table.attrs = {"fitness": bound.fitness, "apart": bound.apart}
    _write(table, path)


def load_bound(path: Path) -> LowerBound:
    """Read the bound that :func:`save_bound` wrote.

    Raises
    ------
    RunError
        If the file is missing or damaged.
    """
    table = _read(path)
    return LowerBound(
        cost=table["num_cached_heads"].to_numpy(),
        error=table["error"].to_numpy(),
        fitness=table.attrs.get("fitness", "wse"),
        apart=table.attrs.get("apart", False),
    )


def _dominated_path(folder: Path, method: str) -> Path:
    return folder / f"{method}.dominated.parquet"


def _save_dominated(dominated: Dominated, path: Path) -> None:
    _write(pd.DataFrame({"num_cached_heads": dominated.cost, "error": dominated.error}), path)


def _load_dominated(path: Path, front: Front) -> Dominated:
    """Read where dropped plans lie.

    Raises
    ------
    RunError
        If the file is damaged, or of another front: its plans are of another size, or better.
    """
    table = _read(path, remedy=_WITHOUT)
    try:
        numbers = table[["num_cached_heads", "error"]].to_numpy(dtype=np.float64)  # (D, 2)
    except (KeyError, TypeError, ValueError) as problem:
        raise _refused(path, f"no two columns of numbers ({problem})") from problem
    cost, error = numbers.T
    if not np.isfinite(numbers).all():
        raise _refused(path, "a number that is not finite")
    least = front.cost[0]
    most = sum(layer.key_labels.shape[1] + layer.value_labels.shape[1] for layer in front.layers)
    outside = cost[(cost < least) | (cost > most)]
    if len(outside):
        found = f"a plan of {outside[0]:g} cached heads"
        raise _refused(path, found, expected=f"{least} to {most}")
    if (error < front.error[np.searchsorted(front.cost, cost, side="right") - 1]).any():
        raise _refused(path, "a plan that beats the front's")
    return Dominated(cost=cost.astype(np.int64), error=error)


def _refused(path: Path, found: str, *, expected: str | None = None) -> RunError:
    return RunError(f"{path} holds {found}", expected=expected, remedy=_WITHOUT)


def _write(table: pd.DataFrame, path: Path) -> None:
    temporary = temporary_beside(path)
    table.to_parquet(temporary, index=False)
    temporary.replace(path)


def _read(path: Path, *, remedy: str = "resume the run to make it anew") -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read {path} ({error})", remedy=remedy) from error
