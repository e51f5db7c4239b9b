"""Text of charts that can be read on a light page as on a dark one."""

import plotly.graph_objects as go
from streamlit.elements.lib.streamlit_plotly_theme import GRAY_90


def legible(figure: go.Figure) -> go.Figure:
    """Return a figure, its text in the colour that Streamlit gives legends.

    Streamlit's own for axes and annotations has a contrast of 3.7 on a white page, where text
    needs 4.5. The colour stands for itself until the browser, which knows the page's, puts that
    in its place.
    """
    figure.layout.font.color = GRAY_90
    for axis in (*figure.select_xaxes(), *figure.select_yaxes()):
        axis.tickfont.color = axis.title.font.color = GRAY_90
    return figure
