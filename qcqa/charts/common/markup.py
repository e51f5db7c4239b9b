"""Text of files, addresses and fields within text that is marked up: it shows as it is.

An image in the name of a run, as Markdown, would make the browser ask whoever has sent the run.
"""

import re
from html import escape

#: What Streamlit finds in a text after Markdown was read, so that no backslash helps: addresses,
#: icons, its own sign.
_FOUND_LATER = re.compile(r"(?<=:)(?=//|material/|streamlit:)|(?<=www)(?=\.)|(?<=@)", re.IGNORECASE)

#: What is markup anywhere, and what is at the beginning of a line.
_MARKUP = re.compile(
    r"[\\`*\[\]<>~$|&]|(?<!\w)_|_(?!\w)|:(?=\S)|^[#+=-]|(?<=^\d)[.)]|(?<=^\d\d)[.)]"
)


def plain(text: str) -> str:
    """Return text for Markdown that shows as it is, on one line.

    All that comes from a file, an address or a field goes through here before it is drawn.
    Addresses get an invisible letter at which no line breaks, so that they are no links.
    """
    unlinked = _FOUND_LATER.sub("\N{WORD JOINER}", " ".join(text.split()))
    return _MARKUP.sub(r"\\\g<0>", unlinked)


def in_chart(text: str) -> str:
    """Return text for a chart that shows as it is, on one line: Plotly reads HTML and makes links.

    A percent sign before a brace would name a value of the point.
    """
    return escape(" ".join(text.split()), quote=False).replace("%{", "%\N{WORD JOINER}{")
