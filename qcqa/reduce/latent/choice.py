"""A latent for a site of a layer: fewer channels, from all its heads together."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from qcqa.errors import ReductionError
from qcqa.model.spec import ModelSpec
from qcqa.reduce.choice import SiteKind
from qcqa.reduce.linear_map import MapShape
from qcqa.reduce.stored import Stored


@dataclass(frozen=True, slots=True)
class Latent:
    """A joint low-rank map of a site's heads; keys are mapped within each rotary plane.

    Parameters
    ----------
    planes : tuple of int
        Complex rank of each rotary plane of keys; none for values and where nothing rotates.
    free : int
        Rank of all dimensions that do not rotate.

    Raises
    ------
    ReductionError
        If a rank is negative, or all are zero.
    """

    planes: tuple[int, ...] = ()
    free: int = 0
    kind: ClassVar[str] = "latent"

    def __post_init__(self) -> None:
        if min((*self.planes, self.free)) < 0 or not self.width:
            raise ReductionError(
                f"latents of ranks {list(self.planes)} and {self.free}",
                expected="no negative rank, and one above zero",
            )

    @property
    def width(self) -> int:
        """Channels of a token that are cached."""
        return 2 * sum(self.planes) + self.free

    @property
    def label(self) -> str:
        """The channels."""
        return f"{self.width} latents"

    @property
    def short(self) -> str:
        """The number alone."""
        return str(self.width)

    def stored(self, before: Stored) -> Stored:
        """Return what the cache keeps when it holds the channels alone."""
        return replace(before, elements=self.width)

    def to_json(self) -> dict[str, Any]:
        """Return the ranks."""
        return {"planes": list(self.planes), "free": self.free}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], _spec: ModelSpec) -> Self:
        """Return the latent of a plan's file.

        Raises
        ------
        ReductionError
            If it can be none.
        """
        planes, free = tuple(content["planes"]), content["free"]
        if {*map(type, (*planes, free))} != {int}:
            raise TypeError("expected whole numbers")
        return cls(planes, free)

    def require(self, kind: SiteKind, spec: ModelSpec) -> None:
        """Raise unless its ranks are at most what the heads of a model have dimensions for.

        Raises
        ------
        ReductionError
            If they are not.
        """
        heads, free = spec.num_kv_heads, spec.head_dim - 2 * len(self.planes)
        if kind == "value" and self.planes:
            raise ReductionError(
                f"latents of values with ranks for {len(self.planes)} rotary planes",
                expected="one rank for all their dimensions, as values do not rotate",
            )
        if free < 0 or self.free > heads * free or max(self.planes, default=0) > heads:
            raise ReductionError(
                f"latents of {kind}s of ranks {list(self.planes)} and {self.free}",
                expected=f"a rank of at most {heads} for each of at most {spec.head_dim // 2} "
                f"rotary planes, and of {heads} for each dimension that does not rotate",
            )

    def reads(self) -> None:
        """Return None: every head has its part of the latent."""

    def map_shape(self, _num_heads: int) -> MapShape:
        """Return the ranks."""
        return MapShape(self.planes, self.free)

    def codec(self) -> None:
        """Return None: what the map makes is cached as it is."""
