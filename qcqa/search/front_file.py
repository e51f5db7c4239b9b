"""Fronts and the lower bound as Parquet tables.

``<method>.plans.parquet`` has a row per plan and ``<method>.candidates.parquet`` a row per
candidate of a layer, so that any tool that reads Parquet can follow a search.
"""

import json
from dataclasses import asdict, dataclass, fields
from math import isfinite
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from qcqa.errors import RunError
from qcqa.files.writing import replacing
from qcqa.model.spec import ModelSpec
from qcqa.reading.file import FileKind
from qcqa.reading.json_file import as_record, parse_json
from qcqa.reading.table_file import TableFile, about_table, read_table
from qcqa.reduce.choice import LayerChoice, Site
from qcqa.reduce.groups.earlier import site_of_labels
from qcqa.reduce.registry import site_from_json, site_to_json
from qcqa.reduce.terms import Fitness, MergeName, name_today
from qcqa.search.front import Front, IntArray, LayerCandidates, LowerBound

_PLANS = ".plans.parquet"
_FILE = FileKind(
    "a table of a search", RunError, "resume the run to make it anew", most_bytes=2**28
)


@dataclass(frozen=True, slots=True)
class _Terms:
    """What a front's errors are and how its groups are merged: fields of :class:`Front`.

    Files of the first release, which knew one fitness and one merge, do not name them.
    """

    fitness: Fitness = "wse"
    total: float | None = None
    merge: MergeName = "mean"
    refit: bool = False
    apart: bool = False


_TERMS = TypeAdapter(_Terms)


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
    plans.attrs = {field.name: getattr(front, field.name) for field in fields(_Terms)}
    _write(candidates, folder / f"{front.method}.candidates.parquet")
    _write(plans, folder / f"{front.method}{_PLANS}")


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
    candidates = read_table(folder / f"{method}.candidates.parquet", _FILE)
    plans = read_table(folder / f"{method}{_PLANS}", _FILE)
    layers = _layers(candidates, spec)
    rows = plans.lists("candidate_of_layer")
    sizes = [len(layer.choices) for layer in layers]
    for row in rows:
        if len(row) != len(sizes) or any(
            not 0 <= place < size for place, size in zip(row, sizes, strict=True)
        ):
            raise _FILE.damaged(plans.path, f"it names candidates {row}", expected=f"of {sizes}")
    terms = as_record(plans.about, _TERMS, plans.path, _FILE)
    choices = np.array(rows, dtype=np.int64)
    front = Front(method=method, layers=layers, choices=choices, **asdict(terms))
    _refuse_disorder(front.cost, plans)
    if front.total and not isfinite(float(np.abs(front.error).max()) / front.total):
        raise _FILE.damaged(plans.path, f"its errors are beyond all shares of {front.total}")
    return front


def _layers(table: TableFile, spec: ModelSpec) -> tuple[LayerCandidates, ...]:
    """Return the candidates of every layer of a model."""
    numbers, cost, error = table.integers("layer"), _bits(table, spec), table.floats("error")
    found = np.unique(numbers).tolist()
    if found != list(range(spec.num_layers)):
        raise _FILE.damaged(
            table.path, f"it has candidates of layers {found}", expected=f"{spec.num_layers} layers"
        )
    with _FILE.understanding(table.path):
        choices = _choices(table, spec)
        for choice in set(choices):
            choice.require(spec)
    places = (np.flatnonzero(numbers == layer) for layer in range(spec.num_layers))
    return tuple(
        LayerCandidates(
            num_heads=spec.num_kv_heads,
            choices=tuple(choices[place] for place in of_layer.tolist()),
            cost=cost[of_layer],
            error=error[of_layer],
        )
        for of_layer in places
    )


def _choices(table: TableFile, spec: ModelSpec) -> list[LayerChoice]:
    """Return the choices of candidates."""
    if "key_labels" in table:  # of releases that knew groups of heads alone
        return [
            LayerChoice(site_of_labels(key), site_of_labels(value))
            for key, value in zip(
                table.lists("key_labels"), table.lists("value_labels"), strict=True
            )
        ]
    keys, values = table.texts("key"), table.texts("value")
    # Few sites differ: each is read once.
    sites = {text: _site(text, table, spec) for text in {*keys, *values}}
    return [LayerChoice(sites[key], sites[value]) for key, value in zip(keys, values, strict=True)]


def _site(text: str, table: TableFile, spec: ModelSpec) -> Site:
    content = parse_json(text.encode(), table.path, _FILE)
    if not isinstance(content, list) or not all(isinstance(choice, dict) for choice in content):
        raise _FILE.damaged(table.path, f"it holds the choices {text[:40]}")
    return site_from_json(content, spec)


def _bits(table: TableFile, spec: ModelSpec) -> IntArray:
    """Return costs in bits per token; earlier releases counted cached heads."""
    is_old = "num_cached_heads" in table
    unit = spec.head_bits if is_old else 1
    found = table.integers("num_cached_heads" if is_old else "bits_per_token")
    # Scales and windows may make a cache larger than its source's, but never so much.
    if not 0 < found.min() <= found.max() <= 8 * spec.kv_bits // unit:
        raise _FILE.damaged(table.path, f"it has costs from {found.min()} to {found.max()}")
    return found * unit


def _refuse_disorder(cost: IntArray, table: TableFile) -> None:
    if not (np.diff(cost) > 0).all():
        raise _FILE.damaged(table.path, "its costs do not increase")


def _text(site: Site) -> str:
    return json.dumps(site_to_json(site))


def saved_methods(folder: Path) -> dict[str, str]:
    """Return the methods whose fronts lie in ``folder``, as they are called today and there.

    Raises
    ------
    RunError
        If a file cannot be read.
    """
    found = {}
    for path in sorted(folder.glob(f"*{_PLANS}")):
        name = path.name.removesuffix(_PLANS)
        terms = as_record(about_table(path, _FILE), _TERMS, path, _FILE)
        found[name_today(name, terms.fitness)] = name
    return found


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
    table = read_table(path, _FILE)
    terms = as_record(table.about, _TERMS, path, _FILE)
    cost = _bits(table, spec)
    _refuse_disorder(cost, table)
    return LowerBound(
        cost=cost, error=table.floats("error"), fitness=terms.fitness, apart=terms.apart
    )


def _write(table: pd.DataFrame, path: Path) -> None:
    with replacing(path) as new:
        table.to_parquet(new, index=False)
