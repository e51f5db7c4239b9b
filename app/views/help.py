"""Help."""

import streamlit as st

st.header("Help")
