"""The choices that the address of a page holds, and how they stand in it."""

from collections.abc import Callable, Container, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

from qcqa.charts.common.kv_axis import KV_UNITS, KvUnit
from qcqa.charts.fronts.error_axis import ERROR_SCALES
from qcqa.charts.layers.group_costs import KIND_LABELS
from qcqa.errors import BudgetError
from qcqa.model.spec import DTYPE_BYTES
from qcqa.plan.budget import budget_text, parse_ratio
from qcqa.plan.capacity import WEIGHT_BYTES
from qcqa.reduce.stored import COST_CONTEXT
from qcqa.reduce.terms import Kind

_T = TypeVar("_T")

Section = Literal["quality", "speed", "texts"]

#: Sections of the page of measured figures, and their names.
SECTIONS: dict[Section, str] = {
    "quality": "Quality",
    "speed": "Speed and memory",
    "texts": "Side by side",
}


def _number(text: str, *, most: float) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value <= most else None


def _budget(text: str) -> float | None:
    """Return percent; as on the command line, and as addresses of earlier releases have them."""
    try:
        return round(100 * parse_ratio(text), 10) or None
    except BudgetError:
        return _number(text, most=100)


def _budget_text(percent: float) -> str:
    return budget_text(percent / 100)


def _size(text: str) -> float | None:
    return _number(text, most=10**6)


def whole(text: str) -> int | None:
    """Return a whole number, or None where the text is none or too large."""
    # Python refuses to read thousands of digits.
    is_short = text.isdecimal() and len(text) <= 10
    return int(text) if is_short and int(text) <= 10**9 else None


def _positive(text: str) -> int | None:
    return whole(text) or None


def switch(text: str) -> bool | None:
    """Return whether something is on, or None where the text says neither."""
    return {"True": True, "False": False}.get(text)


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, text.split(","))))


def _scale(text: str) -> str | None:
    # A metric's name has its data before it. Whether a run has it shows when it is drawn.
    return text if text in ERROR_SCALES or "/" in text else None


def one_of(known: Container[str]) -> Callable[[str], str | None]:
    """Return what reads one of some names."""
    return lambda text: text if text in known else None


def some_of(known: Container[str]) -> Callable[[str], tuple[str, ...] | None]:
    """Return what reads names that are all among some, or none at all."""

    def parse(text: str) -> tuple[str, ...] | None:
        names = _names(text)
        return names if all(name in known for name in names) else None

    return parse


@dataclass(frozen=True, slots=True)
class Choices:
    """All that the address of the page holds, each with what reads it from there.

    Parameters
    ----------
    run : str or None
        Id of the run; the included one by default.
    budget : float
        KV-cache budget in percent of the source's; ``50%`` in the address.
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

    run: Annotated[str | None, str] = None
    budget: Annotated[float, _budget, _budget_text] = 50.0
    unit: Annotated[KvUnit, one_of(KV_UNITS)] = "percent"
    scale: Annotated[str | None, _scale] = None
    log: Annotated[bool | None, switch] = None
    metric: Annotated[str | None, str] = None
    method: Annotated[str | None, str] = None
    section: Annotated[Section, one_of(SECTIONS)] = "quality"
    generation: Annotated[str | None, str] = None
    context: Annotated[int, _positive] = COST_CONTEXT
    batch: Annotated[int, _positive] = 8
    dtype: Annotated[str | None, one_of(DTYPE_BYTES)] = None
    compare: Annotated[tuple[str, ...] | None, _names] = None
    pair: Annotated[tuple[str, ...] | None, _names] = None
    layer: Annotated[int, whole] = 0
    kind: Annotated[Kind, one_of(KIND_LABELS)] = "shared"
    stretch: Annotated[bool, switch] = False
    gpu: Annotated[str | None, str] = None
    memory: Annotated[float, _size] = 80.0
    weights: Annotated[str | None, one_of(WEIGHT_BYTES)] = None
    parameters: Annotated[float | None, _size] = None
    others: Annotated[tuple[str, ...], _names] = ()


#: Names in the address that are no good names in Python.
_SHOWN = {"others": "with"}


def to_address(chosen: Any) -> dict[str, str]:
    """Return choices as names and texts; those that are as they are by default are left out.

    Parameters
    ----------
    chosen : dataclass instance
        :class:`Choices`, or another whose fields are annotated with what reads them, and with what
        writes them where that is special.
    """
    defaults = asdict(type(chosen)())
    hints = get_type_hints(type(chosen), include_extras=True)
    return {
        _SHOWN.get(name, name): (*hints[name].__metadata__, _text)[1](value)
        for name, value in asdict(chosen).items()
        if value != defaults[name]
    }


def from_address(kind: type[_T], found: Mapping[str, str]) -> _T:
    """Return the choices of an address; what makes no sense is left at its default.

    Parameters
    ----------
    kind : type
        :class:`Choices`, or another dataclass whose fields are annotated with what reads them.
    found : mapping of str to str
        The address's names and texts.
    """
    parsed = {
        name: hint.__metadata__[0](found[shown])
        for name, hint in get_type_hints(kind, include_extras=True).items()
        if (shown := _SHOWN.get(name, name)) in found
    }
    return kind(**{name: value for name, value in parsed.items() if value is not None})


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return f"{value:.10g}" if isinstance(value, float) else str(value)
