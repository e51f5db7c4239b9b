"""The dashboard: what all pages share, and the list of pages."""

from pathlib import Path

import streamlit as st
from ui.state import carry_over, settle_choices

st.set_page_config(
    page_title="QCQA Explorer",
    # A named icon would be fetched from the network.
    page_icon=str(Path(__file__).parent / "icon.svg"),
    layout="wide",
    initial_sidebar_state="collapsed",
)

# Not in a folder named ``pages``: Streamlit would look there for whatever the first visitor asks.
page = st.navigation(
    [
        st.Page(
            "views/explore/explore.py",
            title="Explore",
            icon=":material/query_stats:",
            default=True,
            help="Fronts of all methods, and the best plan of each within a KV-cache budget.",
        ),
        st.Page(
            "views/groupings/groupings.py",
            title="Groupings",
            icon=":material/grid_view:",
            help="Which heads share in every layer, beside other plans, and at what cost.",
        ),
        st.Page(
            "views/search/search.py",
            title="Search",
            icon=":material/manage_search:",
            help="Start a search of a model, and follow it.",
        ),
        st.Page(
            "views/evaluate/evaluate.py",
            title="Evaluate",
            icon=":material/science:",
            help="Measure plans as running models: perplexity, accuracy and tasks.",
        ),
        st.Page(
            "views/runs/runs.py",
            title="Runs",
            icon=":material/folder_open:",
            help="All searches: name, compare, share, stop and delete them.",
        ),
        st.Page(
            "views/export/export.py",
            title="Export",
            icon=":material/ios_share:",
            help="Take the plan, tables, charts, code and the converted checkpoint with you.",
        ),
        st.Page(
            "views/help/help.py",
            title="Help",
            icon=":material/help:",
            help="What the methods do, the terms, and how to read the charts.",
        ),
    ],
    position="top",
)
carry_over(page.url_path)
settle_choices()
page.run()
