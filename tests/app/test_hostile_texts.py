"""A run whose every text is markup: on no page is any of it Markdown."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from google.protobuf.message import Message
from streamlit.testing.v1 import AppTest

from qcqa.jobs.home import runs_folder
from qcqa.jobs.run import Run

OpenApp = Callable[..., AppTest]

IMAGE = "![x](https:beacon.test)"

#: Elements and fields that show text as it is: fields to type into, tables and charts, which are
#: drawn, code, and lists that open; and names that nobody sees.
_SHOWN_AS_IT_IS = {
    "Text", "Code", "TextInput", "TextArea", "Selectbox", "MultiSelect", "Dataframe", "PlotlyChart",
    "Html",
}  # fmt: skip
_UNSEEN = ("id", "element_id", "form_id", "raw_values", "query_params")


@pytest.fixture
def hostile(hostile_run: Callable[[Path, str], Run]) -> str:
    """Return the id of a run whose every text is an image, beside others of such a kind."""
    folder = runs_folder()
    folder.mkdir(parents=True)
    hostile_run(folder / "20260101-000000-other", IMAGE)
    damaged = folder / IMAGE
    damaged.mkdir()
    (damaged / "config.json").write_text("{")
    return hostile_run(folder / "20260102-000000-hostile", IMAGE).id


def texts(message: Message) -> Iterator[tuple[str, str]]:
    """Yield all texts of an element, with the fields in which they stand."""
    for field, value in message.ListFields():
        is_one = isinstance(value, (str, bytes, Message)) or not hasattr(value, "__len__")
        for one in [value] if is_one else value:
            if isinstance(one, Message):
                yield from texts(one)
            elif isinstance(one, str):
                yield field.name, one


def images(app: AppTest) -> list[str]:
    """Return where the image would be drawn."""

    def of(node: object) -> Iterator[str]:
        element = getattr(node, "proto", None)
        if isinstance(element, Message) and type(element).__name__ not in _SHOWN_AS_IT_IS:
            for name, text in texts(element):
                if IMAGE in text and name not in _UNSEEN:
                    yield f"{type(element).__name__}.{name}: {text[:100]}"
        for child in getattr(node, "children", {}).values():
            yield from of(child)

    return list(of(app._tree))


@pytest.mark.parametrize(
    ("page", "address"),
    [
        (None, {}),
        (None, {"scale": f"{IMAGE}/accuracy"}),
        (None, {"scale": f"{IMAGE}2/acc"}),
        (None, {"with": "20260101-000000-other"}),
        (None, dict.fromkeys(("run", "method", "metric", "gpu", "with", "pair"), IMAGE)),
        ("groupings", {}),
        ("search", {"model": "folder", "folder": IMAGE}),
        ("search", {"model": "hub", "hub": IMAGE, "preset": "best", "calibration": IMAGE}),
        ("evaluate", {}),
        ("evaluate", {"metric": f"{IMAGE}2/acc"}),
        ("evaluate", {"section": "speed"}),
        ("evaluate", {"section": "texts", "generation": "generations-3"}),
        ("runs", {}),
        ("runs", {"run": IMAGE}),
        ("export", {}),
        ("export", {"run": IMAGE}),
    ],
)
def test_no_page_draws_an_image(
    open_app: OpenApp, hostile: str, page: str | None, address: dict[str, str]
) -> None:
    app = open_app(page, **{"run": hostile, **address})
    assert images(app) == []
    # What is folded is drawn when it is opened.
    for key in ("measure_more", "measure_layers", "all_figures", "how_it_went"):
        app.session_state[key] = True
    app.run()
    assert not app.exception
    assert images(app) == []


def test_an_image_would_be_found() -> None:
    def page() -> None:
        import streamlit as st

        st.caption("![x](https:beacon.test)")
        st.pills("a", ["![x](https:beacon.test)"])
        st.text("![x](https:beacon.test)")

    app = AppTest.from_function(page).run()
    assert [one.partition(":")[0] for one in images(app)] == [
        "Markdown.body",
        "ButtonGroup.content",
    ]
