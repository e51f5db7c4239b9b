"""Results of runs, read from disk once for as long as their files stay the same."""

from pathlib import Path

import streamlit as st

from qcqa.runs.run import Run
from qcqa.search_result import SearchResult

Stamp = tuple[tuple[str, int], ...]

_MOST_KEPT = 16


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
    names = {name for name, _ in stamp}
    if "lower_bound.parquet" not in names or len(names) == 1:
        return None
    kept = _kept()
    if kept.get(run.folder, ((), None))[0] != stamp:
        kept.pop(run.folder, None)
        kept[run.folder] = (stamp, run.result())
        while len(kept) > _MOST_KEPT:
            del kept[next(iter(kept))]
    return kept[run.folder][1]


@st.cache_resource(show_spinner=False)
def _kept() -> dict[Path, tuple[Stamp, SearchResult]]:
    """Return the results that were read, by folder; the same for all tabs."""
    return {}
