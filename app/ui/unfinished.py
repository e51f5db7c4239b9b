"""What is to be known before a plan of a search is taken that did not finish."""

import streamlit as st

from qcqa.charts.common.markup import plain
from qcqa.jobs.run import Run
from qcqa.jobs.unfinished import unfinished


def tell_unfinished(run: Run, *, is_state_known: bool = False) -> None:
    """Say which methods a search lacks that did not finish; nothing of one that did.

    Parameters
    ----------
    run : Run
        The search.
    is_state_known : bool
        Whether the page says already in which state it is.
    """
    lacks = unfinished(run)
    if lacks is None or (is_state_known and not lacks.missing):
        return
    said = lacks.lack if is_state_known else lacks.sentence
    st.warning(plain(said), icon=":material/incomplete_circle:")
