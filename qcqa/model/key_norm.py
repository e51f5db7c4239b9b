"""A norm that stands behind a family's key projection."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeyNorm:
    """A norm between the key projection and the scores; the queries have one of the same kind.

    Parameters
    ----------
    is_centred : bool
        Whether it subtracts the mean over a head's dimensions, as LayerNorm does.
    is_over_all_heads : bool
        Whether it divides by the length of all heads together, not of each.
    """

    is_centred: bool = False
    is_over_all_heads: bool = False

    @property
    def allows_signs(self) -> bool:
        """Whether the sign of a plane passes it."""
        return not self.is_centred
