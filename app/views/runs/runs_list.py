"""The table of all runs, in which runs are selected; the one that is selected is every page's."""

from collections.abc import Mapping
from functools import partial
from math import inf
from pathlib import Path
from time import monotonic

import pandas as pd
import streamlit as st
from ui import workers
from ui.errors import shown_in_place
from ui.live import SECONDS_BETWEEN_LOOKS
from ui.results import Stamp, measured_stamp, stamp_of
from ui.run_picker import default_run, run_id
from ui.state import choices, choose, redrawn_alone

from qcqa.charts.common.markup import plain
from qcqa.charts.common.wording import counted
from qcqa.charts.jobs.runs_table import Outcome, outcome_of, runs_table
from qcqa.errors import QCQAError
from qcqa.jobs.jobs import jobs_of
from qcqa.jobs.run import BUNDLED_ID, Run
from qcqa.jobs.store import DamagedRun, list_runs

Runs = Mapping[str, Run | DamagedRun]

#: More problems than these are shown on request only.
_MOST_PROBLEMS_OPEN = 3

#: Longer than this no table waits for results to be read.
_SECONDS_OF_READING = 1.0

_TABLE, _SHOWN, _SELECTED = "runs_table", "runs_shown", "runs_selected"


def runs_list(runs: Runs) -> list[Run | DamagedRun]:
    """Draw all runs, of which there is at least one; return those that are selected."""
    selected = _selected(runs)
    at_work = _at_work(runs)
    if at_work or _unread(runs):
        _live_table(list(runs), at_work, selected)
    else:
        _table(runs, selected)
    return [runs[name] for name in selected]


@st.fragment(run_every=2 * SECONDS_BETWEEN_LOOKS)
@redrawn_alone
def _live_table(ids: list[str], at_work: list[str], selected: list[str]) -> None:
    """Follow runs at work, and read the results of many runs without keeping anyone waiting.

    The rest of the page is only drawn anew when there are other runs, or others at work.

    Parameters
    ----------
    ids, at_work, selected : list of str
        What the rest of the page was drawn with.
    """
    workers.reap()
    with shown_in_place():
        runs = {run_id(run): run for run in list_runs()}
        is_done = not at_work and not _unread(runs)
        if is_done or (list(runs), _at_work(runs), _selected(runs)) != (ids, at_work, selected):
            st.rerun()
        _table(runs, selected)


def _table(runs: Runs, selected: list[str]) -> None:
    ids = list(runs)
    rows = [ids.index(name) for name in selected]
    shown = st.session_state.get(_TABLE)
    # Rows are known by their places, which change when a run comes or goes.
    if shown is None or shown["selection"]["rows"] != rows:
        st.session_state[_TABLE] = {"selection": {"rows": rows, "columns": [], "cells": []}}
    st.session_state[_SHOWN] = ids
    read = partial(outcome_of_run, until=monotonic() + _SECONDS_OF_READING)
    table = runs_table(list(runs.values()), outcome_of=read)
    st.dataframe(
        _shown(table),
        key=_TABLE,
        on_select=_on_select,
        selection_mode="multi-row",
        hide_index=True,
        column_config={
            "run": st.column_config.TextColumn(pinned=True, width=180),
            "state": st.column_config.TextColumn(width=165),
            "progress": st.column_config.ProgressColumn(
                min_value=0, max_value=1, format="percent", width="small"
            ),
            "best at 50 % KV": st.column_config.TextColumn(
                width=215,
                help="The plan to take at half of the KV cache: by what was measured, or else by "
                "what the search predicts.",
            ),
            "age": st.column_config.DatetimeColumn(format="distance", width=120),
            "measured": st.column_config.NumberColumn(
                width="small", help="Plans that were measured as models."
            ),
        },
        placeholder="",
        alt="All runs, with state, progress, best plan at half of the KV cache, age and model",
    )
    _problems(table)


def _problems(table: pd.DataFrame) -> None:
    """Draw the whole line of every problem, which a cell of the table cuts."""
    found = table[table["problem"].notna()]
    if found.empty:
        return
    with st.expander(
        f"Problems of {counted(len(found), 'run')}",
        expanded=len(found) <= _MOST_PROBLEMS_OPEN,
        icon=":material/error:",
        key="run_problems",
    ):
        for name, state, problem in zip(
            found["name"], found["state"], found["problem"], strict=True
        ):
            with st.container(gap=None):
                st.markdown(f"**{plain(name)}** · {state}")
                st.caption(plain(problem))


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that people look for, those that tell runs apart first."""
    best = [plan.text if plan is not None else None for plan in table["best"]]
    problem = table["problem"].where(table["problem"].notna(), None)
    state = table["state"].str.cat(table["job"].fillna(""), sep=", ").str.removesuffix(", ")
    return pd.DataFrame(
        {
            "run": table["name"].where(table.index != BUNDLED_ID, table["name"] + " · included"),
            "state": state,
            "progress": table["progress"].round(2),
            "best at 50 % KV": [b or p for b, p in zip(best, problem, strict=True)],
            "age": table["created"],
            "model": [
                Path(model).name if isinstance(model, str) else None for model in table["model"]
            ],
            "methods": table["methods"],
            "measured": table["measured plans"],
            "note": table["note"],
        }
    )


def _on_select() -> None:
    """Keep the selected runs by their ids; a single one is the run of all pages from now on."""
    ids = st.session_state[_SHOWN]
    selected = [ids[row] for row in st.session_state[_TABLE]["selection"]["rows"]]
    if len(selected) == 1 and selected[0] != choices().run:
        choose(run=selected[0], method=None)
    st.session_state[_SELECTED] = (choices().run, selected)


def _selected(runs: Runs) -> list[str]:
    """Return the ids of the selected runs; the run of all pages where none was selected yet."""
    run, selected = st.session_state.get(_SELECTED, (None, None))
    # Another page or address may have chosen another run since.
    if selected is None or run != choices().run:
        chosen = choices().run
        selected = [chosen if chosen in runs else default_run(runs)]
    return [name for name in selected if name in runs]


def _unread(runs: Runs) -> bool:
    """Return whether there are results that nobody has read since they were written."""
    return any(isinstance(run, Run) and _is_unread(run) for run in runs.values())


def _at_work(runs: Runs) -> list[str]:
    """Return the runs, and the jobs below them, that are at work."""
    intact = [run for run in runs.values() if isinstance(run, Run)]
    return [job.id for run in intact for job in (run, *jobs_of(run)) if job.is_at_work()]


def _is_unread(run: Run) -> bool:
    kept = _outcomes().get(run.folder)
    return kept is None or kept[0] != _stamp(run)


def outcome_of_run(run: Run, *, until: float = inf) -> Outcome:
    """Return what came out of a run, read once for as long as its files stay the same.

    Parameters
    ----------
    run : Run
        The search.
    until : float
        Of the monotonic clock, in seconds: what is not read by then is shown as nothing.

    Raises
    ------
    QCQAError
        If its files are damaged.
    """
    if _is_unread(run):
        if monotonic() > until:
            return Outcome(None, 0)
        stamp = _stamp(run)
        try:
            _outcomes()[run.folder] = (stamp, outcome_of(run))
        except QCQAError as error:
            _outcomes()[run.folder] = (stamp, error)
    kept = _outcomes()[run.folder][1]
    if isinstance(kept, QCQAError):
        raise kept.with_traceback(None)
    return kept


def _stamp(run: Run) -> Stamp:
    return (*stamp_of(run), *measured_stamp(run))


@st.cache_resource(show_spinner=False)
def _outcomes() -> dict[Path, tuple[Stamp, Outcome | QCQAError]]:
    """Return what was read; the same for all tabs."""
    return {}
