"""Problems in place, as one line."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from qcqa.charts.common.markup import plain
from qcqa.errors import QCQAError


@contextmanager
def shown_in_place() -> Iterator[None]:
    """Show a problem that the reader can mend where it arose, and go on after it."""
    try:
        yield
    except QCQAError as error:
        show_error(error)


def show_error(error: QCQAError | str) -> None:
    """Show a problem in one line; what it names of files and addresses is not Markdown."""
    line = error if isinstance(error, str) else error.one_line()
    st.error(plain(line), icon=":material/error:")
