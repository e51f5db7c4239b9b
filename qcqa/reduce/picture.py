"""What becomes of the heads of a layer: what is drawn of it, and what its projections make."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SitePicture:
    """What the cache holds for the heads of a site.

    Parameters
    ----------
    reads : tuple of int
        The stored head that each head of the source reads, numbered by the first that does. Length
        ``H``.
    words : str
        How they are stored, such as ``4 bits``; empty where it is as the projections make them.
    is_mapped : bool
        Whether a linear map makes what is stored, so that the cache holds no heads.
    """

    reads: tuple[int, ...]
    words: str = ""
    is_mapped: bool = False

    @property
    def num_heads(self) -> int:
        """Heads of the source, ``H``."""
        return len(self.reads)

    @property
    def num_stored(self) -> int:
        """Heads that projections make, and that the cache holds unless a map comes between."""
        return max(self.reads) + 1

    @property
    def readers(self) -> tuple[tuple[int, ...], ...]:
        """Heads of the source that read each stored head, in the order of the stored heads."""
        readers: list[list[int]] = [[] for _ in range(self.num_stored)]
        for head, stored in enumerate(self.reads):
            readers[stored].append(head)
        return tuple(map(tuple, readers))


@dataclass(frozen=True, slots=True)
class LayerPicture:
    """What the cache holds for the keys and for the values of a layer."""

    key: SitePicture
    value: SitePicture

    @property
    def sites(self) -> tuple[SitePicture, SitePicture]:
        """Keys and values."""
        return self.key, self.value

    @property
    def num_stored_heads(self) -> int:
        """Stored K heads plus stored V heads."""
        return sum(site.num_stored for site in self.sites)

    @property
    def shares(self) -> bool:
        """Whether several heads read one."""
        return any(site.num_stored < site.num_heads for site in self.sites)
