"""Fronts and the lower bound as Parquet tables.

``<method>.plans.parquet`` has a row per plan and ``<method>.candidates.parquet`` a row per
candidate of a layer, so that any tool that reads Parquet can follow a search.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from qcqa.errors import RunError
from qcqa.files import replacing
from qcqa.model.spec import ModelSpec
from qcqa.reduce.choice import LayerChoice, Site
from qcqa.reduce.groups.grouping import Grouping, LayerGrouping
from qcqa.reduce.registry import site_from_json, site_to_json
from qcqa.search.front import Front, IntArray, LayerCandidates, LowerBound

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
                    "bits_per_token": layer.cost,
                    "error": layer.error,
                    "key": [_text(choice.key) for choice in layer.choices],
                    "value": [_text(choice.value) for choice in layer.choices],
                }
            )
            for number, layer in enumerate(front.layers)
        ],
        ignore_index=True,
    )
    plans = pd.DataFrame(
        {
            "bits_per_token": front.cost,
            "error": front.error,
            "candidate_of_layer": list(front.choices),
        }
    )
    # pandas keeps them in the metadata of the file's schema.
    plans.attrs = {name: getattr(front, name) for name in _TERMS}
    _write(candidates, folder / f"{front.method}.candidates.parquet")
    _write(plans, folder / f"{front.method}.plans.parquet")


def load_front(folder: Path, method: str, spec: ModelSpec) -> Front:
    """Read the front that :func:`save_front` wrote.

    Parameters
    ----------
    folder : Path
        Where it is.
    method : str
        Whose it is.
    spec : ModelSpec
        Of the source.

    Raises
    ------
    RunError
        If a file is missing or damaged.
    """
    candidates = _read(folder / f"{method}.candidates.parquet")
    plans = _read(folder / f"{method}.plans.parquet")
    layers = tuple(
        LayerCandidates(
            num_heads=spec.num_kv_heads,
            choices=_choices(rows, spec),
            cost=_bits(rows, spec),
            error=rows["error"].to_numpy(),
        )
        for _, rows in candidates.groupby("layer", sort=True)
    )
    choices = np.stack(plans["candidate_of_layer"].to_list())
    # Files of the first release, which knew one fitness and one merge, do not name them.
    terms = {name: plans.attrs[name] for name in _TERMS if name in plans.attrs}
    return Front(method=method, layers=layers, choices=choices, **terms)


def _choices(rows: pd.DataFrame, spec: ModelSpec) -> tuple[LayerChoice, ...]:
    """Return the choices of a layer's candidates."""
    if "key_labels" in rows:  # of releases that knew groups of heads alone
        return tuple(
            LayerGrouping(Grouping.from_labels(key), Grouping.from_labels(value)).choice
            for key, value in zip(rows["key_labels"], rows["value_labels"], strict=True)
        )
    # Few sites differ: each is read once.
    sites = {
        text: site_from_json(json.loads(text), spec) for text in {*rows["key"], *rows["value"]}
    }
    pairs = zip(rows["key"], rows["value"], strict=True)
    return tuple(LayerChoice(sites[key], sites[value]) for key, value in pairs)


def _bits(rows: pd.DataFrame, spec: ModelSpec) -> IntArray:
    """Return costs in bits per token; earlier releases counted cached heads."""
    if "num_cached_heads" in rows:
        return np.asarray(rows["num_cached_heads"] * spec.head_bits, dtype=np.int64)
    return rows["bits_per_token"].to_numpy()


def _text(site: Site) -> str:
    return json.dumps(site_to_json(site))


def saved_methods(folder: Path) -> list[str]:
    """Return the names of the methods whose fronts lie in ``folder``."""
    return sorted(
        path.name.removesuffix(".plans.parquet") for path in folder.glob("*.plans.parquet")
    )


def save_bound(bound: LowerBound, path: Path) -> None:
    """Write the lower bound."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame({"bits_per_token": bound.cost, "error": bound.error})
    table.attrs = {"fitness": bound.fitness, "apart": bound.apart}
    _write(table, path)


def load_bound(path: Path, spec: ModelSpec) -> LowerBound:
    """Read the bound that :func:`save_bound` wrote.

    Raises
    ------
    RunError
        If the file is missing or damaged.
    """
    table = _read(path)
    return LowerBound(
        cost=_bits(table, spec),
        error=table["error"].to_numpy(),
        fitness=table.attrs.get("fitness", "wse"),
        apart=table.attrs.get("apart", False),
    )


def _write(table: pd.DataFrame, path: Path) -> None:
    with replacing(path) as new:
        table.to_parquet(new, index=False)


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise RunError(
            f"cannot read {path} ({error})", remedy="resume the run to make it anew"
        ) from error
