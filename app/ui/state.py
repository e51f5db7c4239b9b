"""What the reader chose, kept in the page's address: a reload or a second tab loses nothing.

Widgets come and go with the pages; the choices outlive them here. Every widget is told its value
before it is drawn and hands a change back through ``on_change``.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from math import isclose
from typing import Any, ParamSpec

import streamlit as st

from ui.address import Choices, from_address, to_address
from ui.draft import Draft

_STATE, _DRAFT, _ADDRESS = "choices", "choices_draft", "choices_address"
_PAGE, _CONTROLLED, _SENT_VALUES = "choices_page", "choices_widgets", "choices_told"
_CHOSEN, _DOUBTFUL = "choices_chosen", "choices_doubtful"

#: The page whose address holds the form of a new search as well.
_SEARCH = "search"

_P = ParamSpec("_P")


def choices() -> Choices:
    """Return the choices; those of the address where it was changed or is new."""
    _read_address()
    found: Choices = st.session_state[_STATE]
    return found


def draft() -> Draft:
    """Return what the form of a new search holds, in the same way."""
    _read_address()
    found: Draft = st.session_state[_DRAFT]
    return found


def carry_over(page: str) -> None:
    """Bring the choices along when the reader goes to another page, whose address is bare."""
    is_another = st.session_state.get(_PAGE, page) != page
    st.session_state[_PAGE] = page
    if is_another:
        if st.query_params or _STATE not in st.session_state:
            _read_address()
        _write_address()
        # A widget of the same key is another one there: it has to be told its value anew.
        st.session_state.pop(_SENT_VALUES, None)
        for key in st.session_state.pop(_CONTROLLED, ()):
            st.session_state.pop(key, None)


def choose(**changes: Any) -> None:
    """Change some choices, and the address with them."""
    st.session_state[_CHOSEN] = True
    st.session_state[_STATE] = replace(choices(), **changes)
    _write_address()


def redraft(**changes: Any) -> None:
    """Change what the form of a new search holds, and the address with it."""
    st.session_state[_CHOSEN] = True
    st.session_state[_DRAFT] = replace(draft(), **changes)
    _write_address()


def address(**changes: Any) -> dict[str, str]:
    """Return the address of a page that shows the choices with some changes, for a link to it."""
    return to_address(replace(choices(), **changes))


def _read_address() -> None:
    shown = st.query_params.to_dict()
    if _STATE in st.session_state and st.session_state.get(_ADDRESS) == shown:
        return
    st.session_state[_STATE] = from_address(Choices, shown)
    st.session_state[_ADDRESS] = shown
    linked_draft = from_address(Draft, shown)
    if _DRAFT not in st.session_state or linked_draft != Draft():
        st.session_state[_DRAFT] = linked_draft
    elif st.session_state[_DRAFT] != linked_draft:
        # A link that says nothing of the form leaves what was typed into it.
        _write_address()


def _write_address() -> None:
    shown = to_address(st.session_state[_STATE])
    if st.session_state.get(_PAGE) == _SEARCH:
        shown |= to_address(st.session_state[_DRAFT])
    st.query_params.from_dict(shown)
    st.session_state[_ADDRESS] = shown


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


def field(name: str, value: Any) -> dict[str, Any]:
    """Return ``key`` and ``on_change`` of a widget of the form of a new search.

    Parameters
    ----------
    name : str
        Field of :class:`Draft`.
    value : object
        What the widget is to show now.
    """
    return controlled(f"new_{name}", value, lambda chosen: redraft(**{name: chosen}))


def controlled(key: str, value: Any, on_choice: Callable[[Any], None]) -> dict[str, Any]:
    """Return ``key`` and ``on_change`` of a widget that shows ``value`` and reports changes."""
    st.session_state.setdefault(_CONTROLLED, set()).add(key)
    shown = st.session_state.get(key)
    # Telling a widget the value that it already has would make it jump while it is being moved.
    if not _same(shown, value):
        sent = st.session_state.setdefault(_SENT_VALUES, {}).setdefault(key, [shown])
        sent.append(value)
        st.session_state[key] = value

    def changed() -> None:
        chosen = st.session_state[key]
        sent = st.session_state.get(_SENT_VALUES, {}).get(key, ())
        if any(_same(chosen, value) for value in sent):
            st.session_state.setdefault(_DOUBTFUL, []).append(lambda: on_choice(chosen))
        else:
            on_choice(chosen)

    return {"key": key, "on_change": changed}


def settle_choices() -> None:
    """Tell choices from echoes, once all changes that an event brought are known.

    Every event brings the values of all widgets, and a slow browser has not heard yet what the
    last runs told some of them: values of earlier runs come along with what the reader really
    chose.
    """
    doubtful = st.session_state.pop(_DOUBTFUL, ())
    if not st.session_state.pop(_CHOSEN, False):
        for choice in doubtful:
            choice()
        st.session_state.pop(_CHOSEN, None)
    sent_values = st.session_state.get(_SENT_VALUES, {})
    for key, sent in list(sent_values.items()):
        if _same(st.session_state.get(key), sent[-1]):
            del sent_values[key]


def redrawn_alone(draw: Callable[_P, None]) -> Callable[_P, None]:
    """Decorate a fragment: where it is drawn alone, nothing before it has settled the choices."""

    @wraps(draw)
    def drawn(*args: _P.args, **kwargs: _P.kwargs) -> None:
        settle_choices()
        draw(*args, **kwargs)

    return drawn


def _same(shown: Any, value: Any) -> bool:
    """Return whether a widget shows a value already; browsers round their last digit otherwise."""
    if isinstance(shown, float) and isinstance(value, float):
        return isclose(shown, value, rel_tol=1e-9)
    return bool(shown == value)
