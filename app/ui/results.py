"""What runs have found and measured, read from disk once for as long as the files stay the same."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import streamlit as st

from qcqa.jobs.run import Run
from qcqa.measure.evaluation import Evaluation
from qcqa.search.result import SearchResult

Stamp = tuple[tuple[str, int], ...]

_MOST_KEPT = 16

_T = TypeVar("_T")

#: What was read of each run's folder, and its stamp then.
_Kept = dict[Path, tuple[Stamp, _T]]


def stamp_of(run: Run) -> Stamp:
    """Return what changes whenever a front of the run is written."""
    fronts = run.folder / "fronts"
    if not fronts.is_dir():
        return ()
    # A front's plans are written last: with them the front is whole.
    files = sorted(fronts.glob("*.plans.parquet")) + sorted(fronts.glob("lower_bound.parquet"))
    return tuple((path.name, path.stat().st_mtime_ns) for path in files)


def result_of(run: Run) -> SearchResult | None:
    """Return the fronts that are there so far, or None while there is nothing to draw.

    Raises
    ------
    RunError
        If a file is damaged.
    """
    stamp = stamp_of(run)
    return _read_once(_results(), run.folder, stamp, run.result) if _is_whole(stamp) else None


def has_result(run: Run) -> bool:
    """Return whether there is anything to draw of a run."""
    return _is_whole(stamp_of(run))


def _is_whole(stamp: Stamp) -> bool:
    return len(stamp) > 1 and "lower_bound.parquet" in {name for name, _ in stamp}


@st.cache_resource(show_spinner=False)
def _results() -> _Kept[SearchResult]:
    """Return the results that were read; the same for all tabs."""
    return {}


def measured_stamp(run: Run) -> Stamp:
    """Return what changes whenever a model of the run was measured."""
    kept = run.measured_folder
    folders = [kept.path] if kept.included is None else [kept.path, kept.included]
    return tuple(
        (str(path), path.stat().st_mtime_ns)
        for folder in folders
        for path in sorted(folder.glob("*.json"))
    )


def measured_of(run: Run) -> tuple[Evaluation, ...]:
    """Return what was measured of the run's plans and of their source."""
    return _read_once(_rows(), run.folder, measured_stamp(run), run.measured)


@st.cache_resource(show_spinner=False)
def _rows() -> _Kept[tuple[Evaluation, ...]]:
    """Return the figures that were read; the same for all tabs."""
    return {}


def _read_once(kept: _Kept[_T], folder: Path, stamp: Stamp, read: Callable[[], _T]) -> _T:
    """Return what is kept for a folder; it is read again when the stamp is another."""
    if folder not in kept or kept[folder][0] != stamp:
        kept.pop(folder, None)
        kept[folder] = (stamp, read())
        while len(kept) > _MOST_KEPT:
            del kept[next(iter(kept))]
    return kept[folder][1]
