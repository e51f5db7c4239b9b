"""Texts side by side: where they leave the source's, and what they took."""

from html import escape

from qcqa.charts.common.kv_axis import significant
from qcqa.charts.common.wording import counted
from qcqa.charts.fronts.comparison import percent_text
from qcqa.measure.generated import GeneratedText
from qcqa.sizes import bytes_text

#: Of what is not the source's text: underlined, so that no colour is needed.
_OTHER = "font-weight:500;text-decoration:underline dotted;text-underline-offset:0.25em"


def promised_bytes(text: GeneratedText) -> float:
    """Return the bytes that a finished text's cache holds by the plan's promise."""
    tokens = text.figures.cached_tokens if text.figures else 0
    return text.promised_bytes_per_token * tokens


def cache_ratio(text: GeneratedText, source: GeneratedText) -> float | None:
    """Return the measured bytes of a cache per token over the source's; None while not known."""
    if text.figures is None or source.figures is None:
        return None
    reduced, full = text.figures, source.figures
    return (reduced.cache_bytes / reduced.cached_tokens) / (full.cache_bytes / full.cached_tokens)


def figures_lines(text: GeneratedText, source: GeneratedText) -> list[str]:
    """Return in words what a finished text took: speed, then memory; nothing before."""
    figures = text.figures
    if figures is None:
        return []
    rate = figures.tokens_per_second
    speed = "one token" if rate is None else f"{significant(rate)} tokens/s"
    cache = f"{bytes_text(figures.cache_bytes)} of KV cache"
    if text is not source and (ratio := cache_ratio(text, source)) is not None:
        cache += f", {percent_text(ratio)} of the source's"
    lines = [f"{speed}, {significant(1000 * figures.prefill_seconds)} ms for the prompt", cache]
    if figures.cache_bytes != promised_bytes(text):
        lines.append(f"{bytes_text(promised_bytes(text))} were promised")
    if figures.ending == "context":
        lines.append("ended at the model's longest context")
    return lines


def difference_text(text: GeneratedText, source: GeneratedText) -> str:
    """Return in words how far a text is the source's."""
    same = text.differs_at(source)
    if same is None:
        return "same text as the source" if text.figures else "same as the source so far"
    if same == 0:
        return "differs from the first token on"
    return f"same as the source for {counted(same, 'token')}"


def marked_html(prompt: str, text: GeneratedText, source: GeneratedText) -> str:
    """Return prompt and text as HTML, with what is not the source's text underlined.

    Parameters
    ----------
    prompt : str
        What the text goes on from.
    text, source : GeneratedText
        So far, or whole.
    """
    same = None if text is source else text.differs_at(source)
    cut = len(text.pieces) if same is None else same
    parts = [f'<span style="opacity:0.65">{escape(prompt)}</span>']
    parts.append(escape("".join(text.pieces[:cut])))
    if other := "".join(text.pieces[cut:]):
        marked = other.lstrip()
        blank = other[: len(other) - len(marked)]
        parts.append(f'{blank}<span style="{_OTHER}">{escape(marked)}</span>')
    return (
        '<p style="white-space:pre-wrap;overflow-wrap:anywhere;margin:0;line-height:1.6">'
        f"{''.join(parts)}</p>"
    )
