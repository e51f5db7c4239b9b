"""Text that shows as it is, within Markdown and within charts."""

import re

import pytest

from qcqa.charts.common.markup import in_chart, plain

#: What a page would draw as something else, and what must be in the text for it to draw that.
MARKUP = {
    "![x](http://127.0.0.1/beacon)": "[x]",
    "[a](https:beacon.test)": "[a]",
    "<img src='http://beacon.test'>": "http:/",
    "see http://beacon.test/x": "http:/",
    "see HTTPS://beacon.test/x": ":/",
    "www.beacon.test": "www.",
    "me@beacon.test": "@b",
    ":material/home:": ":material/",
    ":streamlit:": ":streamlit:",
    ":red[x]": ":red",
    "$x^2$": "$x",
    "a `b` c": " `b",
    "**a** _b_": "**",
    "~~a~~": "~~",
    "&amp;": "&amp",
    "a\n# b": "\n",
    "    a = 1": "    ",
    "line  \nline": "\n",
}


@pytest.mark.parametrize(("text", "sign"), MARKUP.items())
def test_nothing_in_a_text_is_markup(text: str, sign: str) -> None:
    assert sign in text
    shown = plain(text)
    assert not re.search(rf"(?<!\\){re.escape(sign)}", shown)
    # Without what keeps it from being markup it is the text.
    bare = shown.replace("\N{WORD JOINER}", "").replace("\\", "")
    assert bare == " ".join(text.split())


@pytest.mark.parametrize("text", ["# a", "- a", "+ a", "= a", "1. a", "12) a", "> a"])
def test_no_line_begins_with_a_sign(text: str) -> None:
    shown = plain(text)
    assert shown.replace("\\", "", 1) == text
    assert shown.index("\\") < shown.index(" ")


@pytest.mark.parametrize(
    "text",
    [
        "my_notes.txt",
        "Measured: 3.5 % (n = 4), 1.2e-3",
        "QCQA-AC = GQA",
        "28 Nov 2026, 11:05",
        "C#",
    ],
)
def test_usual_text_stays_readable(text: str) -> None:
    assert plain(text).replace("\\:", ":") == text


def test_charts_read_no_markup_and_no_names_of_values() -> None:
    assert in_chart('<a href="x">a & b</a>\n') == '&lt;a href="x"&gt;a &amp; b&lt;/a&gt;'
    assert "%{" not in in_chart("%{x}")
