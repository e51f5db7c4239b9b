"""The texts of a generation beside each other, as far as they have come."""

import streamlit as st
from ui.glyph import glyph

from qcqa.charts.common.kv_axis import size_text
from qcqa.charts.common.markup import plain
from qcqa.charts.common.palette import method_style, source_text
from qcqa.charts.quality.generated import difference_text, figures_lines, marked_html
from qcqa.jobs.config import GenerationConfig
from qcqa.jobs.generations import texts_of_generation
from qcqa.jobs.run import Run
from qcqa.measure.generated import GeneratedText
from qcqa.plan.budget import bits_of_point
from qcqa.search.result import SearchResult


def generated_texts(generation: Run, result: SearchResult) -> None:
    """Draw a column per model; those that have not begun are empty.

    Raises
    ------
    RunError
        If the generation's events are damaged.
    """
    config = generation.config
    if not isinstance(config, GenerationConfig):
        return
    texts = texts_of_generation(generation)
    source = texts[0] if texts else None
    points = (("mha", result.spec.kv_bits), *config.points)
    columns = st.columns(len(points), gap="small")
    for place, (column, (method, kv_bits)) in enumerate(zip(columns, points, strict=True)):
        with column, st.container(border=True, height="stretch", key=f"text_{place}", gap="small"):
            _heading(method, kv_bits, result)
            text = texts[place] if place < len(texts) else None
            if text is None or source is None:
                st.caption("waiting")
            else:
                _text(config.settings.prompt, text, source)
    if source is not None:
        st.caption(
            "What is underlined is no longer the source's text. Tokens per second "
            "are of this one run, without the prompt: see *Speed and memory* for a fair timing. "
            "The bytes are counted on the live KV cache at the end."
        )


def _heading(method: str, kv_bits: int, result: SearchResult) -> None:
    style = method_style(method)
    heading = f"![]({glyph(style)}) **{plain(style.label)}**"
    if method == "mha":
        heading = f"![]({glyph(style)}) **{source_text(result.spec)}**"
    else:
        front = result.front(method)
        # None in a run whose files were exchanged: its generation failed.
        index = front.within(bits_of_point(result.spec, kv_bits))
        if index is not None:
            percent = 100 * int(front.cost[index]) / result.spec.kv_bits
            heading += f", {size_text(percent, 'percent')} of the KV cache"
    st.markdown(heading)


def _text(prompt: str, text: GeneratedText, source: GeneratedText) -> None:
    st.html(marked_html(prompt, text, source))
    lines = figures_lines(text, source)
    if text is not source:
        lines.append(difference_text(text, source))
    st.caption("  \n".join(lines) or "…")
