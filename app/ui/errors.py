"""Problems in place, as one line."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from qcqa.errors import QCQAError


@contextmanager
def shown_in_place() -> Iterator[None]:
    """Show a problem that the reader can mend where it arose, and go on after it."""
    try:
        yield
    except QCQAError as error:
        st.error(error.one_line(), icon=":material/error:")
