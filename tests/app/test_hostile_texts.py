"""What comes from a file or an address is text: nowhere is it Markdown, and so asks for nothing."""

from collections.abc import Callable, Iterator

from google.protobuf.message import Message
from streamlit.testing.v1 import AppTest

OpenApp = Callable[..., AppTest]

IMAGE = "![x](https:beacon.test)"

#: Where Streamlit shows texts as they are: tables and charts, which are drawn, code, fields.
_AS_IT_IS = ("arrow_data_frame", "plotly_chart", "code", "text", "html")


def markdown(message: Message, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield all texts of an element, each with its place."""
    for field, value in message.ListFields():
        for one in value if isinstance(value, (list, tuple)) or hasattr(value, "add") else [value]:
            if isinstance(one, Message):
                yield from markdown(one, f"{path}.{field.name}")
            elif isinstance(one, str):
                yield f"{path}.{field.name}", one
