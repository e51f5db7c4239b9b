"""The size of a KV cache in the unit that the reader chose."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from qcqa.model.spec import ModelSpec, dtype_bytes
from qcqa.plan.budget import CacheLoad

KvUnit = Literal["percent", "gib", "kib"]

#: Names of the units for people, in the order of a switch between them.
KV_UNITS: dict[KvUnit, str] = {
    "percent": "%",
    "gib": "GiB",
    "kib": "KiB/token",
}


@dataclass(frozen=True, slots=True)
class KvAxis:
    """Turns bits per token into percent of the source, GiB under a load, or KiB per token.

    They are a plan's size at that load; see :mod:`qcqa.search.sizes`.

    Parameters
    ----------
    spec : ModelSpec
        The source model.
    load : CacheLoad
        Context, batch and type of the cache.
    unit : KvUnit
        What to show.
    """

    spec: ModelSpec
    load: CacheLoad
    unit: KvUnit = "percent"

    @property
    def full(self) -> float:
        """The source's own cache."""
        return self.of(self.spec.kv_bits)

    @property
    def title(self) -> str:
        """What the axis shows, with its unit."""
        return {
            "percent": "KV cache, % of the source's",
            "gib": f"KV cache, GiB ({load_text(self.load)})",
            "kib": f"KV cache, KiB per token ({self.load.dtype})",
        }[self.unit]

    @property
    def suffix(self) -> str:
        """The unit behind a number."""
        return {"percent": "%", "gib": "GiB", "kib": "KiB/token"}[self.unit]

    def of(self, kv_bits: int) -> float:
        """Return the size of a cache of so many bits per token."""
        return kv_bits * self._per_bit

    def of_array(self, kv_bits: Any) -> list[float]:
        """Return :meth:`of` of many, ready for a figure."""
        sizes: list[float] = (np.asarray(kv_bits) * self._per_bit).tolist()
        return sizes

    def text(self, kv_bits: int) -> str:
        """Return the size with its unit."""
        return size_text(self.of(kv_bits), self.unit)

    @property
    def _per_bit(self) -> float:
        if self.unit == "percent":
            return 100 / self.spec.kv_bits
        if self.unit == "gib":
            return self.load.cache_gib(self.spec, self.spec.kv_bits) / self.spec.kv_bits
        return dtype_bytes(self.load.dtype) / self.spec.element_bits / 1024


def size_text(size: float, unit: KvUnit) -> str:
    """Return a size as people write it, with its unit."""
    if unit == "percent":
        return f"{size:.1f} %"
    if unit == "gib":
        return f"{significant(size)} GiB"
    return f"{significant(size)} KiB/token"


def load_text(load: CacheLoad) -> str:
    """Return a load in words, such as ``32,768 tokens x 8, bfloat16``."""
    return (
        f"{load.context_tokens:,} tokens \N{MULTIPLICATION SIGN} {load.batch_size:,}, {load.dtype}"
    )


def significant(number: float) -> str:
    """Return a number with three significant digits, never in powers of ten."""
    if number == 0:
        return "0"
    # A nudge, so that halves are rounded up here as they are in a browser.
    number *= 1 + 1e-12
    magnitude = int(np.floor(np.log10(abs(number))))
    return f"{number:,.{max(0, 2 - magnitude)}f}"
