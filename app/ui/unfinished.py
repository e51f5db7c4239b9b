"""What is to be known before a plan of a search is taken that did not finish."""

import streamlit as st

from qcqa.runs.run import Run
from qcqa.runs.unfinished import unfinished


def tell_unfinished(run: Run) -> None:
    """Say which methods a search lacks that did not finish; nothing of one that did."""
    lacks = unfinished(run)
    if lacks is not None:
        st.warning(lacks.sentence, icon=":material/incomplete_circle:")
