"""Help: what the methods do, how to read the chart, the terms, and what to do when."""

import streamlit as st
from ui.chart import legible
from ui.errors import shown_in_place
from ui.results import result_of
from views.help.help_texts import PICTURES, QUESTIONS, READING, TERMS

from qcqa.charts.fronts.reading import annotated_front
from qcqa.charts.layers.sharing_picture import sharing_picture
from qcqa.jobs.run import Run
from qcqa.jobs.store import list_runs

#: Colours of text on Streamlit's own themes.
_INK = {"light": "#31333F", "dark": "#FAFAFA"}


def pictures() -> None:
    """Show how heads share in each kind of attention."""
    ink = _INK.get(st.context.theme.type or "light", _INK["light"])
    with st.grid(4, min_column_width=240, gap="medium"):
        for name, layers, text in PICTURES:
            with st.container(border=True, height="stretch", key=f"picture_{name.lower()}"):
                st.image(
                    sharing_picture(layers, ink=ink),
                    width="stretch",
                    alt=f"{name}: query heads of two layers, and the K/V heads that they share",
                )
                st.markdown(text)
    st.caption(
        "Above the query heads, below the K/V heads that the cache keeps. "
        "A colour is a group; a grey head shares with none."
    )


def how_to_read() -> None:
    """Explain the chart on the run that comes with the package."""
    included = next((run for run in list_runs() if isinstance(run, Run) and run.bundled), None)
    result = result_of(included) if included else None
    if result is None:
        st.markdown(READING)
        return
    left, right = st.columns([3, 2], gap="medium", vertical_alignment="center")
    with left:
        st.plotly_chart(
            legible(annotated_front(result)),
            key="reading_chart",
            config={"displayModeBar": False},
            alt="Fronts of the demo model, with numbers that the text beside explains",
        )
    right.markdown(READING)


st.header("Help", anchor=False)
st.caption("How heads share, how to read what you see, and what to do when.")
pictures()
st.subheader("How to read the chart", anchor=False)
with shown_in_place():
    how_to_read()
st.subheader("What to do when …", anchor=False)
for question, answer in QUESTIONS.items():
    st.expander(question).markdown(answer)
st.subheader("Terms", anchor=False)
terms = list(TERMS.items())
middle = (len(terms) + 1) // 2
with st.grid(2, min_column_width=320, gap="medium"):
    for part in (terms[:middle], terms[middle:]):
        st.table(dict(part), border="horizontal")
