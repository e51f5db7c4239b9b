"""What may be asked of bits, whichever their number."""

from math import gcd
from typing import Final, Literal

from qcqa.errors import ReductionError
from qcqa.model.spec import ModelSpec
from qcqa.options import Options
from qcqa.reduce.choice import SiteKind

#: Elements with one scale, and tokens that are packed together, unless another size is asked for.
DEFAULT_GROUP: Final = 32


class BitsOptions(Options):
    """Of all choices of bits in a search.

    Parameters
    ----------
    group : int
        Cached numbers with one scale: 32 or 64.
    rotate : bool
        Rotate keys and values by a Hadamard matrix first.
    """

    group: Literal[32, 64] = DEFAULT_GROUP
    rotate: bool = False

    @classmethod
    def flag(cls, name: str) -> str:
        """Return the option's name on the command line, which says that it is of bits."""
        return super().flag(f"bits_{name}")

    def group_at(self, kind: SiteKind, spec: ModelSpec) -> int:
        """Return how many elements have one scale: tokens of a key, channels of a value.

        Raises
        ------
        ReductionError
            As :meth:`require`.
        """
        self.require(spec)
        return self.group if kind == "key" else gcd(self.group, spec.head_dim)

    def require(self, spec: ModelSpec) -> None:
        """Raise unless groups divide the heads of a model, or hold a whole one.

        The default takes the largest group that does.

        Raises
        ------
        ReductionError
            If they do not.
        """
        if self.group != DEFAULT_GROUP and spec.head_dim % min(self.group, spec.head_dim):
            raise ReductionError(
                f"groups of {self.group} for heads of {spec.head_dim} dimensions",
                expected="a number that divides a head",
                remedy=f"take groups of {DEFAULT_GROUP}",
            )
