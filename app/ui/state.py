"""What the reader chose, kept in the page's address: a reload or a second tab loses nothing.

Widgets come and go with the pages; the choices outlive them here. Every widget is told its value
before it is drawn and hands a change back through ``on_change``.
"""

from collections.abc import Callable
from dataclasses import replace
from math import isclose
from typing import Any

import streamlit as st

from ui.address import Choices, from_address, to_address

_STATE, _ADDRESS = "choices", "choices_address"
_PAGE, _CONTROLLED = "choices_page", "choices_widgets"


def choices() -> Choices:
    """Return the choices; those of the address where it was changed or is new."""
    shown = st.query_params.to_dict()
    if _STATE not in st.session_state or st.session_state.get(_ADDRESS) != shown:
        st.session_state[_STATE] = from_address(shown)
        st.session_state[_ADDRESS] = shown
    found: Choices = st.session_state[_STATE]
    return found


def carry_over(page: str) -> None:
    """Bring the choices along when the reader goes to another page, whose address is bare."""
    if st.session_state.get(_PAGE, page) != page:
        if not st.query_params:
            st.query_params.from_dict(st.session_state.get(_ADDRESS, {}))
        # A widget of the same key is another one there: it has to be told its value anew.
        for key in st.session_state.pop(_CONTROLLED, ()):
            st.session_state.pop(key, None)
    st.session_state[_PAGE] = page


def choose(**changes: Any) -> None:
    """Change some choices, and the address with them."""
    changed = replace(choices(), **changes)
    st.session_state[_STATE] = changed
    shown = to_address(changed)
    st.query_params.from_dict(shown)
    st.session_state[_ADDRESS] = shown


def address(**changes: Any) -> dict[str, str]:
    """Return the address of a page that shows the choices with some changes, for a link to it."""
    return to_address(replace(choices(), **changes))


def widget(name: str, value: Any, *, key: str | None = None) -> dict[str, Any]:
    """Return ``key`` and ``on_change`` of a widget that shows and changes one choice.

    Parameters
    ----------
    name : str
        Field of :class:`Choices`.
    value : object
        What the widget is to show now.
    key : str, optional
        The widget's key; the name by default.
    """
    return controlled(key or name, value, lambda chosen: choose(**{name: chosen}))


def controlled(key: str, value: Any, on_choice: Callable[[Any], None]) -> dict[str, Any]:
    """Return ``key`` and ``on_change`` of a widget that shows ``value`` and reports changes."""
    st.session_state.setdefault(_CONTROLLED, set()).add(key)
    # Telling a widget the value that it already has would make it jump while it is being moved.
    if not _same(st.session_state.get(key), value):
        st.session_state[key] = value

    def changed() -> None:
        on_choice(st.session_state[key])

    return {"key": key, "on_change": changed}


def _same(shown: Any, value: Any) -> bool:
    """Return whether a widget shows a value already; browsers round their last digit otherwise."""
    if isinstance(shown, float) and isinstance(value, float):
        return isclose(shown, value, rel_tol=1e-9)
    return bool(shown == value)
