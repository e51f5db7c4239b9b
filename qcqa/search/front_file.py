"""Fronts and the lower bound as Parquet tables.

``<method>.plans.parquet`` has a row per plan and ``<method>.candidates.parquet`` a row per
candidate grouping of a layer, so that any tool that reads Parquet can follow a search.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from qcqa.errors import RunError
from qcqa.files import temporary_beside
from qcqa.search.front import Front, LayerCandidates, LowerBound

#: What a front's errors are and how its groups are merged: fields of :class:`Front`.
_TERMS = ("fitness", "total", "merge", "refit", "apart")


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
    _write(plans, folder / f"{front.method}.plans.parquet")


def load_front(folder: Path, method: str) -> Front:
    """Read the front that :func:`save_front` wrote.

    Raises
    ------
    RunError
        If a file is missing or damaged.
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
    return Front(method=method, layers=layers, choices=choices, **terms)


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


def _write(table: pd.DataFrame, path: Path) -> None:
    temporary = temporary_beside(path)
    table.to_parquet(temporary, index=False)
    temporary.replace(path)


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise RunError(
            f"cannot read {path} ({error})", remedy="resume the run to make it anew"
        ) from error
