"""What the reader chose, kept in the page's address: a reload or a second tab loses nothing.

Widgets come and go with the pages; the choices outlive them here. Every widget is told its value
before it is drawn and hands a change back through ``on_change``.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from math import isclose
from typing import Any, Literal

import streamlit as st

from qcqa.capacity import WEIGHT_BYTES
from qcqa.model_spec import DTYPE_BYTES
from qcqa.report.error_axis import ERROR_SCALES
from qcqa.report.group_costs import KIND_LABELS
from qcqa.report.kv_axis import KV_UNITS, KvUnit
from qcqa.terms import Kind

Section = Literal["quality", "speed", "texts"]

#: Sections of the page of measured figures, and their names.
SECTIONS: dict[Section, str] = {
    "quality": "Quality",
    "speed": "Speed and memory",
    "texts": "Side by side",
}

_STATE, _ADDRESS = "choices", "choices_address"
_PAGE, _CONTROLLED = "choices_page", "choices_widgets"


@dataclass(frozen=True, slots=True)
class Choices:
    """All that the address of the page holds.

    Parameters
    ----------
    run : str or None
        Id of the run; the included one by default.
    budget : float
        KV-cache budget in percent of the source's.
    unit : KvUnit
        In which sizes are shown.
    scale : str or None
        What the vertical axis of the fronts shows: an error scale, or a measured metric; measured
        accuracy by default, where the run has it.
    log : bool or None
        Whether that axis is logarithmic; by default where measured figures span decades.
    metric : str or None
        Metric on the page of measured figures; the first by default.
    method : str or None
        Method whose plan is shown; the best by default.
    section : Section
        What the page of measured figures shows.
    generation : str or None
        Name of the generation that is shown; the run's newest by default.
    context, batch : int
        Tokens of a sequence, and sequences at a time.
    dtype : str or None
        Type of the cache; that of the model's weights by default.
    compare : tuple of str or None
        Methods whose plans stand side by side; some by default.
    pair : tuple of str or None
        Two of them whose differences are shown; the selected and another by default.
    layer : int
        Layer whose heads are shown.
    kind : Kind
        Whether its keys, its values or both are.
    stretch : bool
        Whether the colours of similarities end at the largest one.
    gpu : str or None
        GPU on which to serve; one by its memory alone where it is ``other``.
    memory : float
        Memory of the other GPU, in GiB.
    weights : str or None
        Type in which the model is served; that of its files by default.
    parameters : float or None
        Billions of parameters; as counted in the model's files by default.
    others : tuple of str
        Ids of the runs that are laid over the run; ``with`` in the address.
    """

    run: str | None = None
    budget: float = 50.0
    unit: KvUnit = "percent"
    scale: str | None = None
    log: bool | None = None
    metric: str | None = None
    method: str | None = None
    section: Section = "quality"
    generation: str | None = None
    context: int = 32768
    batch: int = 8
    dtype: str | None = None
    compare: tuple[str, ...] | None = None
    pair: tuple[str, ...] | None = None
    layer: int = 0
    kind: Kind = "shared"
    stretch: bool = False
    gpu: str | None = None
    memory: float = 80.0
    weights: str | None = None
    parameters: float | None = None
    others: tuple[str, ...] = ()


def choices() -> Choices:
    """Return the choices; those of the address where it was changed or is new."""
    shown = st.query_params.to_dict()
    if _STATE not in st.session_state or st.session_state.get(_ADDRESS) != shown:
        st.session_state[_STATE] = _from_address(shown)
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
    shown = _to_address(changed)
    st.query_params.from_dict(shown)
    st.session_state[_ADDRESS] = shown


def address(**changes: Any) -> dict[str, str]:
    """Return the address of a page that shows the choices with some changes, for a link to it."""
    return _to_address(replace(choices(), **changes))


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


def _to_address(chosen: Choices) -> dict[str, str]:
    defaults = asdict(Choices())
    return {
        _NAMES.get(name, name): _address_text(value)
        for name, value in asdict(chosen).items()
        if value != defaults[name]
    }


def _address_text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _from_address(found: dict[str, str]) -> Choices:
    """Return the choices of an address; what makes no sense is left at its default."""
    known = {field.name for field in fields(Choices)}
    chosen = Choices()
    for shown, text in found.items():
        name = _FIELDS.get(shown, shown)
        if name in known and (value := _PARSERS[name](text)) is not None:
            chosen = replace(chosen, **{name: value})
    return chosen


def _percent(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value <= 100 else None


def _size(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value <= 10**6 else None


def _positive(text: str) -> int | None:
    return int(text) if text.isdecimal() and 0 < int(text) <= 10**9 else None


def _whole(text: str) -> int | None:
    return int(text) if text.isdecimal() and int(text) <= 10**9 else None


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, text.split(","))))


def _scale(text: str) -> str | None:
    # A metric's name has its data before it. Whether a run has it shows when it is drawn.
    return text if text in ERROR_SCALES or "/" in text else None


def _one_of(known: Any) -> Callable[[str], str | None]:
    return lambda text: text if text in known else None


_PARSERS: dict[str, Callable[[str], Any]] = {
    "run": str,
    "budget": _percent,
    "unit": _one_of(KV_UNITS),
    "scale": _scale,
    "log": lambda text: {"True": True, "False": False}.get(text),
    "metric": str,
    "method": str,
    "section": _one_of(SECTIONS),
    "generation": str,
    "context": _positive,
    "batch": _positive,
    "dtype": _one_of(DTYPE_BYTES),
    "compare": _names,
    "pair": _names,
    "layer": _whole,
    "kind": _one_of(KIND_LABELS),
    "stretch": lambda text: text == "True" or None,
    "gpu": str,
    "memory": _size,
    "weights": _one_of(WEIGHT_BYTES),
    "parameters": _size,
    "others": _names,
}

#: Names in the address that are no good names in Python.
_NAMES = {"others": "with"}
_FIELDS = {shown: name for name, shown in _NAMES.items()}
