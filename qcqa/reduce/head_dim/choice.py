"""Smaller heads at a site: of each head the rotary planes, and how many other dimensions."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from qcqa.errors import ReductionError
from qcqa.model.spec import ModelSpec
from qcqa.reduce.choice import SiteKind
from qcqa.reduce.linear_map import MapShape
from qcqa.reduce.stored import Stored


@dataclass(frozen=True, slots=True)
class HeadDim:
    """Heads that lose their least dimensions, each by itself.

    Parameters
    ----------
    planes : tuple of tuple of int
        For each rotary plane of keys the heads that keep it, increasing; none for values and where
        nothing rotates.
    free : tuple of int
        For each head, the dimensions of its best subspace of all that does not rotate; none where
        all rotates.

    Raises
    ------
    ReductionError
        If a number of dimensions is negative, heads are not increasing, or nothing is left.
    """

    planes: tuple[tuple[int, ...], ...] = ()
    free: tuple[int, ...] = ()
    kind: ClassVar[str] = "head-dim"

    def __post_init__(self) -> None:
        rising = all(list(heads) == sorted(set(heads)) for heads in self.planes)
        lowest = min((*self.free, *(head for heads in self.planes for head in heads)), default=0)
        if not rising or lowest < 0 or not self.width:
            raise ReductionError(
                f"heads {[list(heads) for heads in self.planes]} of planes and "
                f"{list(self.free)} other dimensions",
                expected="increasing heads, no negative number, and something that is kept",
            )

    @property
    def width(self) -> int:
        """Channels of a token that are cached, of all heads together."""
        return 2 * sum(map(len, self.planes)) + sum(self.free)

    @property
    def label(self) -> str:
        """The channels of all heads."""
        return f"{self.width} head dims"

    @property
    def short(self) -> str:
        """The number alone."""
        return str(self.width)

    def stored(self, before: Stored) -> Stored:
        """Return what the cache keeps when it holds these dimensions alone."""
        return replace(before, elements=self.width)

    def to_json(self) -> dict[str, Any]:
        """Return its parameters."""
        return {"planes": [list(heads) for heads in self.planes], "free": list(self.free)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], _spec: ModelSpec) -> Self:
        """Return the smaller heads of a plan's file.

        Raises
        ------
        ReductionError
            If there can be none such.
        """
        planes = tuple(tuple(heads) for heads in content["planes"])
        free = tuple(content["free"])
        if not {*map(type, (*free, *(head for heads in planes for head in heads)))} <= {int}:
            raise TypeError("expected whole numbers")
        return cls(planes, free)

    def require(self, kind: SiteKind, spec: ModelSpec) -> None:
        """Raise unless the heads of a model have these planes and dimensions.

        Raises
        ------
        ReductionError
            If they do not.
        """
        num_heads, most_free = spec.num_kv_heads, spec.head_dim - 2 * len(self.planes)
        if kind == "value" and self.planes:
            raise ReductionError(
                f"smaller value heads with {len(self.planes)} rotary planes",
                expected="numbers of dimensions alone, as values do not rotate",
            )
        last = max((heads[-1] for heads in self.planes if heads), default=0)
        if (
            last >= num_heads
            or most_free < max(self.free, default=0)
            or len(self.free) not in (0, num_heads)
        ):
            raise ReductionError(
                f"{self.label} with {len(self.planes)} rotary planes and {list(self.free)} others",
                expected=f"those of {num_heads} heads of {spec.head_dim} dimensions",
            )

    def reads(self) -> None:
        """Return None: no heads share."""

    def map_shape(self, _num_heads: int) -> MapShape:
        """Return how many heads keep each plane, and all other dimensions that are kept."""
        return MapShape(tuple(map(len, self.planes)), sum(self.free))

    def codec(self) -> None:
        """Return None: what is left is cached as it is."""
