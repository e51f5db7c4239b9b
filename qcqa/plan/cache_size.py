"""What the cache of a plan takes: by the tokens of a sequence, in bytes, to the last of them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import lcm

from qcqa.model.spec import ModelSpec, dtype_bytes
from qcqa.reduce.choice import LayerChoice, stored_at
from qcqa.reduce.stored import Stored


@dataclass(frozen=True, slots=True)
class CacheSize:
    """The size of one sequence's cache.

    Parameters
    ----------
    sites : mapping from Stored to int
        How many keys and values of layers are kept in each way.
    """

    sites: Mapping[Stored, int]

    @classmethod
    def of(cls, layers: Iterable[LayerChoice], spec: ModelSpec, dtype: str) -> "CacheSize":
        """Return the size of the cache of a plan's layers.

        Parameters
        ----------
        layers : iterable of LayerChoice
            What is chosen in each of them.
        spec : ModelSpec
            The source model.
        dtype : str
            Type of what is kept at full precision.
        """
        element_bits = 8 * dtype_bytes(dtype)
        sites = Counter(site for layer in layers for site in layer.sites)
        held: Counter[Stored] = Counter()
        for site, count in sites.items():
            held[stored_at(site, spec, element_bits)] += count
        return cls(held)

    def at(self, tokens: int) -> int:
        """Return the bytes of so many tokens."""
        return sum(count * stored.bytes(tokens) for stored, count in self.sites.items())

    def most_tokens(self, room: int) -> int:
        """Return how long a sequence may get in so many bytes.

        A cache gets smaller for a moment when a block is packed: all lengths up to this one fit.
        """
        # So many tokens more never take less: of as many lengths in a row all fit, or none longer.
        period = lcm(*(stored.block for stored in self.sites))

        def fits(periods: int) -> bool:
            lengths = range(periods * period, (periods + 1) * period)
            return all(self.at(tokens) <= room for tokens in lengths)

        low, high = 0, 1
        while self.at(high * period) <= room:
            high *= 2
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if fits(middle) else (low, middle)
        tokens = low * period
        while self.at(tokens) <= room:
            tokens += 1
        return max(0, tokens - 1)
