"""Other runs whose fronts are laid over those of the run on screen."""

from collections.abc import Callable, Iterable, Mapping

import streamlit as st
from ui.results import has_result, measured_of, result_of
from ui.run_picker import run_labels
from ui.state import choices, choose, controlled

from qcqa.charts.common.markup import plain
from qcqa.charts.fronts.overlay import MOST_OVERLAYS, OtherRun
from qcqa.errors import QCQAError
from qcqa.jobs.run import Run
from qcqa.jobs.store import list_runs


def other_runs(run: Run) -> dict[str, Run]:
    """Return the runs with a result beside this one, by label."""
    found = {
        other.id: other
        for other in list_runs()
        if isinstance(other, Run) and other.id != run.id and has_result(other)
    }
    labels = run_labels(dict(found))
    return {labels[name]: other for name, other in found.items()}


def compared_runs(runs: Mapping[str, Run]) -> list[OtherRun]:
    """Draw the choice among other runs, where there are any; return the chosen ones.

    Parameters
    ----------
    runs : mapping of str to Run
        As :func:`other_runs` gave them.
    """
    if not runs:
        return []
    labels = {other.id: label for label, other in runs.items()}
    chosen = [name for name in choices().others if name in labels][:MOST_OVERLAYS]
    st.multiselect(
        "Compare with",
        list(labels),
        format_func=lambda name: labels[name],
        max_selections=MOST_OVERLAYS,
        placeholder="Compare with other runs",
        label_visibility="collapsed",
        **controlled("others", chosen, lambda names: choose(others=tuple(names))),
    )
    opened = []
    for name in chosen:
        run = runs[labels[name]]
        try:
            result = result_of(run)
            if result is not None:
                opened.append(OtherRun(run.config.name, result, measured_of(run)))
        except QCQAError as error:
            st.caption(f":material/error: {plain(error.one_line())}")
    return opened


def tell_compared(others: Iterable[OtherRun], obstacle: Callable[[OtherRun], str | None]) -> None:
    """Say which runs are drawn and which are not, and why."""
    reasons = [(other.name, obstacle(other)) for other in others]
    if any(reason is None for _, reason in reasons):
        st.caption(
            ":material/stacked_line_chart: Lines with a run's name belong to other runs; budget, "
            "bound and plans are this run's."
        )
    missing = "; ".join(f"{plain(name)} {reason}" for name, reason in reasons if reason)
    if missing:
        st.caption(f":material/visibility_off: Not drawn: {missing}.")
