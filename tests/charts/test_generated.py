"""Texts side by side, in words, in a table and as HTML."""

from dataclasses import replace

import pytest

from qcqa.charts.quality.generated import difference_text, figures_lines, marked_html
from qcqa.measure.generated import GeneratedText, GenerationFigures

FIGURES = GenerationFigures(
    prompt_tokens=10,
    new_tokens=4,
    prefill_seconds=0.02,
    decode_seconds=0.3,
    cached_tokens=13,
    cache_bytes=13 * 2048,
    ending="length",
)
SOURCE = GeneratedText("mha", "source", 1.0, 2048, (1, 2, 3, 4), (" a", " b", " c", " d"), FIGURES)


def _plan(token_ids: tuple[int, ...], *, done: bool = True) -> GeneratedText:
    figures = replace(FIGURES, cache_bytes=13 * 1024, new_tokens=len(token_ids)) if done else None
    pieces = tuple(f" {'abcdefgh'[token - 1]}" for token in token_ids)
    return GeneratedText("gqa", "GQA at 50 %", 0.5, 1024, token_ids, pieces, figures)


@pytest.mark.parametrize(
    ("token_ids", "done", "place", "said"),
    [
        ((1, 2, 3, 4), True, None, "same text as the source"),
        ((1, 2), False, None, "same as the source so far"),
        ((), False, None, "same as the source so far"),
        ((5, 2), False, 0, "differs from the first token on"),
        ((1, 5, 3), False, 1, "same as the source for 1 token"),
        # One ends where the other goes on.
        ((1, 2), True, 2, "same as the source for 2 tokens"),
        ((1, 2, 3, 4, 5), False, 4, "same as the source for 4 tokens"),
    ],
)
def test_where_a_text_leaves_the_source(
    token_ids: tuple[int, ...], done: bool, place: int | None, said: str
) -> None:
    text = _plan(token_ids, done=done)
    assert text.differs_at(SOURCE) == place
    assert difference_text(text, SOURCE) == said


def test_figures_in_words() -> None:
    assert figures_lines(SOURCE, SOURCE) == [
        "10.0 tokens/s, 20.0 ms for the prompt",
        "26 KiB of KV cache",
    ]
    assert figures_lines(_plan((1, 2)), SOURCE)[1] == "13 KiB of KV cache, 50.0 % of the source's"
    assert figures_lines(_plan((1,), done=False), SOURCE) == []


def test_a_shorter_text_is_compared_token_by_token_of_its_cache() -> None:
    short = replace(
        _plan((1, 2)), figures=replace(FIGURES, cached_tokens=11, cache_bytes=11 * 1024)
    )
    assert figures_lines(short, SOURCE)[1] == "11 KiB of KV cache, 50.0 % of the source's"


def test_a_cache_that_breaks_its_promise_and_an_early_end_are_said() -> None:
    odd = replace(FIGURES, cache_bytes=1024, ending="context")
    lines = figures_lines(replace(SOURCE, figures=odd), SOURCE)
    assert "26 KiB were promised" in lines
    assert lines[-1] == "ended at the model's longest context"


def test_html_marks_what_is_not_the_sources_and_nothing_is_markup() -> None:
    html = marked_html("<b>&", _plan((1, 2, 5, 6)), SOURCE)
    assert "&lt;b&gt;&amp;" in html
    assert " a b <span" in html
    marked = html.partition("underline")[2]
    assert ">e f</span>" in marked
    assert "underline" not in marked_html("", SOURCE, SOURCE)
    assert "underline" not in marked_html("", _plan((1, 2), done=False), SOURCE)
