"""KV-cache budgets: from a ratio or a size in GiB to the number of heads that may be cached."""

from dataclasses import dataclass
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

    def cache_bytes(self, spec: ModelSpec, num_cached_heads: int) -> int:
        """Return the bytes of the whole cache when so many K and V heads are kept."""
        per_token = spec.kv_bytes_per_token(num_cached_heads=num_cached_heads, dtype=self.dtype)
        return per_token * self.context_tokens * self.batch_size

    def cache_gib(self, spec: ModelSpec, num_cached_heads: int) -> float:
        """Return :meth:`cache_bytes` in GiB."""
        return self.cache_bytes(spec, num_cached_heads) / GIB


def heads_within_ratio(spec: ModelSpec, kv_ratio: float) -> int:
    """Return how many K plus V heads a cache of this share of the source's may hold.

    Raises
    ------
    BudgetError
        If the ratio is not above 0 and at most 1.
    """
    return int(_checked(kv_ratio) * spec.num_cached_heads + _ROUNDING)


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


def ratio_of_heads(spec: ModelSpec, num_cached_heads: int) -> float:
    """Return a KV ratio of few digits within which exactly so many heads fit.

    The exact share may have endless digits, and its last head would be lost where it is written
    down and read again: in an address, or on a command line.

    Parameters
    ----------
    spec : ModelSpec
        The source model.
    num_cached_heads : int
        K heads plus V heads over all layers, from 1 to those of the source.

    Raises
    ------
    BudgetError
        If the number is out of range.
    """
    full = spec.num_cached_heads
    if not 1 <= num_cached_heads <= full:
        raise BudgetError(f"{num_cached_heads} cached heads", expected=f"from 1 to {full}")
    # Two digits more than tell one head from the next, so that a chart shows no difference.
    scale = 10.0 ** (len(str(full)) + 2)
    return ceil(num_cached_heads * scale / full - _ROUNDING) / scale


def heads_within_gib(spec: ModelSpec, gib: float, load: CacheLoad) -> int:
    """Return how many K plus V heads a cache of this many GiB may hold under ``load``.

    Raises
    ------
    BudgetError
        If the size is not positive.
    """
    if not gib > 0:
        raise BudgetError(f"{gib:g} GiB", expected="a size above 0")
    bytes_per_head = load.cache_bytes(spec, 1)
    return min(int(gib * GIB / bytes_per_head + _ROUNDING), spec.num_cached_heads)
