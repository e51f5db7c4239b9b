"""KV-cache budgets: from a ratio or a size in GiB to the bits per token that may be cached.

Bits per token are a share of the source's, in the source's type: what a plan takes of them at a
load, :meth:`~qcqa.search.result.SearchResult.at` says.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from qcqa.errors import BudgetError
from qcqa.model.spec import ModelSpec, dtype_bytes

GIB = 2**30

#: Guards a budget that was computed as a ratio of whole numbers against rounding below itself.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class CacheLoad:
    """What a KV cache has to hold.

    Parameters
    ----------
    context_tokens : int
        Tokens of one sequence.
    batch_size : int
        Sequences at a time.
    dtype : str
        Type of the cached elements.

    Raises
    ------
    BudgetError
        If a number is below one.
    """

    context_tokens: int
    batch_size: int
    dtype: str

    def __post_init__(self) -> None:
        dtype_bytes(self.dtype)
        for name in ("context_tokens", "batch_size"):
            if getattr(self, name) < 1:
                raise BudgetError(f"{name} = {getattr(self, name)}", expected="at least 1")

    def cache_bytes(self, spec: ModelSpec, kv_bits: int) -> int:
        """Return the bytes of the whole cache at so many bits per token in the source's type."""
        in_this_type = Fraction(kv_bits * dtype_bytes(self.dtype), spec.element_bits)
        return ceil(in_this_type * self.context_tokens * self.batch_size)

    def cache_gib(self, spec: ModelSpec, kv_bits: int) -> float:
        """Return :meth:`cache_bytes` in GiB."""
        return self.cache_bytes(spec, kv_bits) / GIB


def bits_within_ratio(spec: ModelSpec, kv_ratio: float) -> int:
    """Return how many bits per token a cache of this share of the source's may take.

    Raises
    ------
    BudgetError
        If the ratio is not above 0 and at most 1.
    """
    return int(_checked(kv_ratio) * spec.kv_bits + _ROUNDING)


def parse_ratio(text: str) -> float:
    """Return a KV ratio written as ``50%`` or ``0.5``: in an address, or on a command line.

    Raises
    ------
    BudgetError
        If it is neither, or not above 0 and at most 1.
    """
    number, sign, rest = text.strip().partition("%")
    try:
        if rest:
            raise ValueError
        value = float(number)
    except ValueError:
        raise BudgetError(f"budget {text!r}", expected="a share such as 50% or 0.5") from None
    if sign:
        return _checked(value / 100)
    is_percent = 1 < value <= 100
    remedy = f"write {budget_text(value / 100)} or {value / 100:.10g}" if is_percent else None
    return _checked(value, remedy=remedy)


def budget_text(kv_ratio: float) -> str:
    """Return a KV ratio as :func:`parse_ratio` reads it, such as ``50%``."""
    return f"{100 * kv_ratio:.10g}%"


def _checked(kv_ratio: float, *, remedy: str | None = None) -> float:
    if not 0 < kv_ratio <= 1:
        raise BudgetError(
            f"KV ratio {kv_ratio:g}",
            expected="a number above 0 and at most 1 (1 is the source's own cache)",
            remedy=remedy,
        )
    return kv_ratio


def ratio_of_bits(spec: ModelSpec, kv_bits: int) -> float:
    """Return a KV ratio of few digits within which exactly so many bits per token fit.

    The exact share may have endless digits, and its last bits would be lost where it is written
    down and read again: in an address, or on a command line.

    Parameters
    ----------
    spec : ModelSpec
        The source model.
    kv_bits : int
        From 1 to those of the source.

    Raises
    ------
    BudgetError
        If the number is out of range.
    """
    full = spec.kv_bits
    if not 1 <= kv_bits <= full:
        raise BudgetError(f"{kv_bits} bits per token", expected=f"from 1 to {full}")
    # Two digits more than tell one bit of an element from the next: a chart shows no difference.
    scale = 10.0 ** (len(str(full // spec.head_dim)) + 2)
    return ceil(kv_bits * scale / full - _ROUNDING) / scale


def bits_within_gib(spec: ModelSpec, gib: float, load: CacheLoad) -> int:
    """Return how many bits per token a cache of this many GiB may take under ``load``.

    Raises
    ------
    BudgetError
        If the size is not positive.
    """
    if not gib > 0:
        raise BudgetError(f"{gib:g} GiB", expected="a size above 0")
    share = gib * GIB / load.cache_bytes(spec, spec.kv_bits)
    return min(int(share * spec.kv_bits + _ROUNDING), spec.kv_bits)


def bits_of_point(spec: ModelSpec, number: int) -> int:
    """Return the budget of a job's plan in bits per token; older releases counted cached heads.

    Even two bits for a token of one head are more than there are heads.
    """
    return number * spec.head_bits if number <= spec.num_stored_heads else number
