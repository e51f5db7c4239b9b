"""In which settings runs differ."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from qcqa.errors import QCQAError, RunError
from qcqa.jobs.run import Run
from qcqa.search.result import ResultFolder

#: What every run has of its own.
_IDENTITY = ("format", "version", "name", "created")


def compare_settings(runs: Sequence[Run]) -> pd.DataFrame:
    """Return the settings in which runs differ.

    Parameters
    ----------
    runs : sequence of Run
        Two or more.

    Returns
    -------
    DataFrame
        A row per setting that is not the same in all runs, a column per run by its id, or by its
        folder where others have the same id; values as in JSON, None where a run has no such
        setting. What was asked comes first, then model and calibration as they were found, and the
        versions of the software.

    Raises
    ------
    RunError
        If there are fewer than two runs.
    """
    if len({run.folder.resolve() for run in runs}) < 2:
        raise RunError("one run alone cannot be compared", expected="at least two runs")
    ids = [run.id for run in runs]
    columns = [run.id if ids.count(run.id) == 1 else str(run.folder) for run in runs]
    settings = [settings_of(run) for run in runs]
    names = list(dict.fromkeys(name for run_settings in settings for name in run_settings))
    rows = {name: [run_settings.get(name) for run_settings in settings] for name in names}
    differing = {name: values for name, values in rows.items() if not _are_equal(values)}
    return pd.DataFrame.from_dict(
        differing, orient="index", columns=columns, dtype="object"
    ).rename_axis(index="setting")


def settings_of(run: Run) -> dict[str, Any]:
    """Return all settings of a run, and what they were applied to, as JSON values."""
    asked = run.config.model_dump(mode="json", exclude=set(_IDENTITY))
    return {
        **_flat({**asked.pop("settings", {}), **asked}),
        **_flat(_found(run)),
        **_flat({"versions": _versions(run)}),
    }


def setting_text(value: Any) -> str:
    """Return a setting for people."""
    if value is None:
        return "\N{EM DASH}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(setting_text, value))
    return str(value)


def _found(run: Run) -> dict[str, Any]:
    """Return what a search has read; nothing of it before it was read, or where it is damaged."""
    folder = ResultFolder(run.folder)
    found: dict[str, Any] = {}
    try:
        if grams := folder.grams():
            spec = grams.spec
            found["weights"] = {
                "fingerprint": grams.fingerprint,
                "revision": spec.revision,
                "layers": spec.num_layers,
                "KV heads": spec.num_kv_heads,
            }
        if text := folder.calibration():
            found["calibration text"] = {"digest": text.digest, "tokens": text.num_tokens}
    except QCQAError:
        return found
    return found


def _versions(run: Run) -> dict[str, Any]:
    """Return the versions that a run was last started with; none for runs of older releases."""
    starts = [event for event in run.events() if event.get("event") == "started"]
    versions = starts[-1].get("versions") if starts else None
    return versions if isinstance(versions, dict) else {}


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return nested settings under names with points."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{before}{name}.")
        else:
            flat[f"{before}{name}"] = value
    return flat


def _are_equal(values: Sequence[Any]) -> bool:
    return len({json.dumps(value, sort_keys=True) for value in values}) == 1
