"""The dashboard: what all pages share, and the list of pages."""

from pathlib import Path

import streamlit as st

st.set_page_config(
    page_title="QCQA Explorer",
    # A named icon would be fetched from the network.
    page_icon=str(Path(__file__).parent / "icon.svg"),
    layout="wide",
    initial_sidebar_state="collapsed",
)

page = st.navigation(
    [
        st.Page(
            "views/explore.py",
            title="Explore",
            icon=":material/query_stats:",
            default=True,
            help="Fronts of all methods, and the best plan of each within a KV-cache budget.",
        ),
    ],
    position="top",
)
page.run()
