"""Choices: how one site, the keys or the values of a layer, is made smaller."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Protocol, Self

from qcqa.errors import ReductionError
from qcqa.model.spec import ModelSpec
from qcqa.reduce.linear_map import MapShape
from qcqa.reduce.picture import LayerPicture, SitePicture
from qcqa.reduce.stored import Stored

#: Which tensors of a layer a site is.
SiteKind = Literal["key", "value"]


class Choice(Protocol):
    """One reduction at one site, with its parameters; frozen, hashable and plain JSON."""

    kind: ClassVar[str]

    @property
    def label(self) -> str:
        """What people read of it, such as ``2 of 8 heads``."""
        ...

    @property
    def short(self) -> str:
        """What tells it from others of its kind, such as ``2``."""
        ...

    def stored(self, before: Stored) -> Stored:
        """Return what the cache keeps, from what it would keep without this choice."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Return its parameters as a plan's file holds them, beside the kind."""
        ...

    @classmethod
    def from_json(cls, content: Mapping[str, Any], spec: ModelSpec, /) -> Self:
        """Return the choice of a file.

        Raises
        ------
        QCQAError
            If it is none that the model can have.
        """
        ...

    def require(self, kind: SiteKind, spec: ModelSpec) -> None:
        """Raise unless this site of a model can have it.

        Raises
        ------
        QCQAError
            Which says what it cannot have, and what it can.
        """
        ...

    def reads(self) -> tuple[int, ...] | None:
        """Return the stored head that each head reads; None if each reads its own.

        Numbered by the first head that reads it.
        """
        ...

    def map_shape(self, num_heads: int, /) -> MapShape | None:
        """Return the ranks of the linear map through which so many heads are cached.

        None if there is no such map.
        """
        ...

    def codec(self) -> Mapping[str, Any] | None:
        """Return how the tensors of the site enter and leave the cache; None if as they are.

        Plain JSON, which the code that travels with converted weights understands.
        """
        ...


#: Choices at one site, in the order in which they take effect; none where it is left as it is.
Site = tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class LayerChoice:
    """What is chosen at the two sites of a layer.

    Parameters
    ----------
    key, value : tuple of Choice
        Of its keys and of its values.
    """

    key: Site = ()
    value: Site = ()

    @property
    def sites(self) -> tuple[Site, Site]:
        """Keys and values."""
        return self.key, self.value

    def require(self, spec: ModelSpec) -> None:
        """Raise unless a layer of a model can have these choices.

        Raises
        ------
        QCQAError
            As :meth:`Choice.require`.
        """
        kinds: tuple[SiteKind, SiteKind] = ("key", "value")
        for kind, site in zip(kinds, self.sites, strict=True):
            shared = [choice.label for choice in site if choice.reads() is not None]
            mapped = [choice.label for choice in site if choice.map_shape(spec.num_kv_heads)]
            if len(mapped) > 1 or (mapped and shared):
                raise ReductionError(
                    f"{' and '.join((*shared, *mapped))} for {kind}s", expected="one of them"
                )
            heads = spec
            for choice in site:
                choice.require(kind, heads)
                if shape := choice.map_shape(spec.num_kv_heads):
                    # To what comes after a map there is one head, of all its channels.
                    heads = replace(spec, num_kv_heads=1, head_dim=shape.width)
            packed = [choice.label for choice in site if choice.codec() is not None]
            if len(packed) > 1:
                raise ReductionError(f"{' and '.join(packed)} for {kind}s", expected="one of them")

    def stored(self, spec: ModelSpec) -> tuple[Stored, Stored]:
        """Return what the cache keeps of keys and of values, in the type of the source."""
        key, value = (stored_at(site, spec) for site in self.sites)
        return key, value

    def bits_per_token(self, spec: ModelSpec) -> int:
        """Return the bits per token of the layer's cache; see :mod:`qcqa.reduce.stored`."""
        return sum(stored.bits_per_token for stored in self.stored(spec))

    def picture(self, num_heads: int) -> LayerPicture:
        """Return what becomes of so many heads of keys and of values."""
        return LayerPicture(*(picture_of(site, num_heads) for site in self.sites))

    def map_shapes(self, num_heads: int) -> tuple[MapShape | None, MapShape | None]:
        """Return the ranks of the maps through which so many keys and values are cached."""
        key, value = (map_shape_of(site, num_heads) for site in self.sites)
        return key, value

    def map_weights(self, spec: ModelSpec) -> int:
        """Return the numbers in the layer's maps, which its model has beside its weights."""
        heads = spec.num_kv_heads
        return sum(
            shape.num_weights(heads, spec.head_dim)
            for shape in self.map_shapes(heads)
            if shape is not None
        )

    def changes_weights(self, num_heads: int) -> bool:
        """Return whether so many heads share, or are cached through a map."""
        return self.picture(num_heads).shares or any(self.map_shapes(num_heads))

    def codecs(self) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
        """Return how keys and values enter and leave the cache; None if as they are."""
        key, value = (
            packing.codec() if packing else None for packing in map(packing_of, self.sites)
        )
        return key, value


def stored_at(site: Site, spec: ModelSpec, element_bits: int | None = None) -> Stored:
    """Return what the cache keeps of a site.

    Parameters
    ----------
    site : tuple of Choice
        What is chosen there.
    spec : ModelSpec
        Of the source.
    element_bits : int, optional
        Bits of an element at full precision; by default those of the source's type.
    """
    stored = Stored(spec.num_kv_heads * spec.head_dim, element_bits or spec.element_bits)
    for choice in site:
        stored = choice.stored(stored)
    return stored


def picture_of(site: Site, num_heads: int) -> SitePicture:
    """Return what becomes of so many heads at a site; what does not share them says its label."""
    stored, words = tuple(range(num_heads)), []
    for choice in site:
        reads = choice.reads()
        if reads is None:
            words.append(choice.label)
        else:
            stored = tuple(reads[head] for head in stored)
    is_mapped = map_shape_of(site, num_heads) is not None
    return SitePicture(stored, ", ".join(words), is_mapped)


def map_shape_of(site: Site, num_heads: int) -> MapShape | None:
    """Return the ranks of the map through which so many heads of a site pass, if there is one."""
    return next(filter(None, (choice.map_shape(num_heads) for choice in site)), None)


def packing_of(site: Site) -> Choice | None:
    """Return the choice that has a codec; None if the tensors of a site are cached as they are."""
    return next((choice for choice in site if choice.codec() is not None), None)
