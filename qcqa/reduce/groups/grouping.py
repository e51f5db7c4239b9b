"""A partition of one layer's heads into groups that share one head."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from qcqa.errors import GroupingError
from qcqa.model.spec import ModelSpec
from qcqa.reduce.choice import LayerChoice, Site, SiteKind
from qcqa.reduce.picture import SitePicture
from qcqa.reduce.stored import Stored


@dataclass(frozen=True, slots=True)
class Grouping:
    """A partition of a layer's heads in canonical form.

    Parameters
    ----------
    labels : tuple of int
        The group of each head as restricted-growth labels: the first head has label 0 and each
        new group the next integer, so equal partitions compare equal. Length ``H``.

    Raises
    ------
    GroupingError
        If the labels are not in canonical form; :meth:`from_labels` takes any labels.
    """

    labels: tuple[int, ...]
    kind: ClassVar[str] = "groups"

    def __post_init__(self) -> None:
        highest = -1
        for label in self.labels:
            if not 0 <= label <= highest + 1:
                raise GroupingError(
                    f"labels {list(self.labels)}",
                    expected="restricted-growth labels",
                    remedy="use Grouping.from_labels",
                )
            highest = max(highest, label)
        if highest < 0:
            raise GroupingError("a grouping of no heads", expected="at least one head")

    @classmethod
    def from_labels(cls, labels: Sequence[int] | NDArray[np.integer]) -> "Grouping":
        """Return the grouping in which heads with equal labels share."""
        first_seen: dict[int, int] = {}
        return cls(tuple(first_seen.setdefault(int(x), len(first_seen)) for x in labels))

    @classmethod
    def from_groups(cls, groups: Iterable[Iterable[int]], num_heads: int) -> "Grouping":
        """Return the grouping with these groups of head numbers.

        Raises
        ------
        GroupingError
            If a head is missing, named twice or out of range.
        """
        labels = [-1] * num_heads
        for label, group in enumerate(groups):
            for head in group:
                if not 0 <= head < num_heads:
                    raise GroupingError(
                        f"head {head}", expected=f"a head from 0 to {num_heads - 1}"
                    )
                if labels[head] >= 0:
                    raise GroupingError(f"head {head} in two groups", expected="each head once")
                labels[head] = label
        missing = [head for head, label in enumerate(labels) if label < 0]
        if missing:
            raise GroupingError(f"heads {missing} in no group", expected="each head once")
        return cls.from_labels(labels)

    @classmethod
    def singletons(cls, num_heads: int) -> "Grouping":
        """Every head for itself: MHA, the source as it is."""
        return cls(tuple(range(num_heads)))

    @classmethod
    def contiguous(cls, num_heads: int, num_groups: int) -> "Grouping":
        """Blocks of neighbouring heads of one size: GQA, and MQA with one group.

        Raises
        ------
        GroupingError
            If ``num_groups`` does not divide ``num_heads``.
        """
        if num_groups < 1 or num_heads % num_groups:
            raise GroupingError(
                f"{num_groups} groups of {num_heads} heads",
                expected="a number of groups that divides the number of heads",
            )
        size = num_heads // num_groups
        return cls(tuple(head // size for head in range(num_heads)))

    @property
    def num_heads(self) -> int:
        """Heads of the source, ``H``."""
        return len(self.labels)

    @property
    def num_groups(self) -> int:
        """Shared heads that remain."""
        return max(self.labels) + 1

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Head numbers of each group, in the order of the labels."""
        return SitePicture(self.labels).readers

    @property
    def label(self) -> str:
        """How many heads remain."""
        return f"{self.num_groups} of {self.num_heads} heads"

    @property
    def short(self) -> str:
        """The heads that remain."""
        return str(self.num_groups)

    def stored(self, before: Stored) -> Stored:
        """Return what the cache keeps when it holds one head of each group."""
        return replace(before, elements=before.elements // self.num_heads * self.num_groups)

    def to_json(self) -> dict[str, Any]:
        """Return the head numbers of each group."""
        return {"groups": [list(group) for group in self.groups]}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], spec: ModelSpec) -> "Grouping":
        """Return the grouping of a plan's file.

        Raises
        ------
        GroupingError
            If a head is missing, named twice or out of range.
        """
        return cls.from_groups(content["groups"], spec.num_kv_heads)

    def require(self, kind: SiteKind, spec: ModelSpec) -> None:
        """Raise unless it is of as many heads as a model has.

        Raises
        ------
        GroupingError
            If it is not.
        """
        if self.num_heads != spec.num_kv_heads:
            raise GroupingError(
                f"{kind}s of {self.num_heads} heads",
                expected=f"{spec.num_kv_heads}, as {spec.source} has",
            )

    def reads(self) -> tuple[int, ...]:
        """Return the label of each head's group."""
        return self.labels

    def map_shape(self, _num_heads: int) -> None:
        """Return None: heads share by being equal."""

    def codec(self) -> None:
        """Return None: the heads of the cache are as the projections make them."""


@dataclass(frozen=True, slots=True)
class LayerGrouping:
    """The groupings of one layer's keys and values; in QCQA, GQA and MQA both are the same."""

    key: Grouping
    value: Grouping

    def __post_init__(self) -> None:
        if self.key.num_heads != self.value.num_heads:
            raise GroupingError(
                f"keys of {self.key.num_heads} heads and values of {self.value.num_heads}",
                expected="one number of heads",
            )

    @classmethod
    def shared(cls, grouping: Grouping) -> "LayerGrouping":
        """Return the layer in which keys and values are grouped alike."""
        return cls(key=grouping, value=grouping)

    @classmethod
    def of(cls, choice: LayerChoice, num_heads: int) -> "LayerGrouping":
        """Return how the heads of a layer share, whatever else is chosen there."""
        return cls(*(Grouping(site.reads) for site in choice.picture(num_heads).sites))

    @property
    def choice(self) -> LayerChoice:
        """What is chosen at the sites of the layer."""
        return LayerChoice(key=site_of(self.key), value=site_of(self.value))


def site_of(grouping: Grouping) -> Site:
    """Return the choices of a site whose heads share like this; none if every one is alone."""
    return () if grouping.num_groups == grouping.num_heads else (grouping,)


def block_labels(num_heads: int) -> NDArray[np.int64]:
    """Return blocks of neighbours of nearly one size, for every group count.

    Returns
    -------
    array, shape (H, H)
        Row ``k - 1`` has ``k`` groups; canonical, and where ``k`` divides ``H`` GQA's.
    """
    return np.arange(num_heads) * np.arange(1, num_heads + 1)[:, None] // num_heads


def canonical_labels(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return a population's labels in canonical form.

    Parameters
    ----------
    labels : array, shape (P, H)
        Any integers; heads with equal labels share.

    Returns
    -------
    array, shape (P, H)
        Restricted-growth labels, row by row as :meth:`Grouping.from_labels`.
    """
    same = labels[:, :, None] == labels[:, None, :]  # (P, H, H)
    first_member = same.argmax(axis=2)  # (P, H): lowest head of each head's group
    num_heads = labels.shape[1]
    is_first = first_member == np.arange(num_heads)  # (P, H)
    rank_of_first = np.cumsum(is_first, axis=1) - 1  # (P, H)
    return np.take_along_axis(rank_of_first, first_member, axis=1).astype(np.int64)
