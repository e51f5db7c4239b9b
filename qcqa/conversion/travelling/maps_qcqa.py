"""Linear maps between the heads of a site and the fewer channels that its cache holds.

A rotary embedding turns two dimensions of each head together, as one complex number: any complex
combination of the heads' numbers turns as they do. Keys are mapped within each such plane, so that
what was turned before it is cached need not be turned again. All other dimensions, and those of
values, are combined freely.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .selection_qcqa import Selection


@dataclass(frozen=True)
class MapShape:
    """Which map the keys, or the values, of a layer have.

    Parameters
    ----------
    pairs : tuple of (int, int)
        The two dimensions of a head in each rotary plane, ``P`` of them; none for values.
    planes : tuple of int
        Complex channels of each plane.
    free : int
        Channels of all other dimensions.

    Raises
    ------
    ValueError
        If it can be none.
    """

    pairs: tuple[tuple[int, int], ...]
    planes: tuple[int, ...]
    free: int

    def __post_init__(self) -> None:
        dims = [dim for pair in self.pairs for dim in pair]
        if any(len(pair) != 2 for pair in self.pairs) or not _are_counts(dims):
            raise ValueError(
                f"pairs {str(self.pairs)[:80]}: expected two dimensions of a head each"
            )
        if len(set(dims)) < len(dims):
            raise ValueError(f"pairs {str(self.pairs)[:80]}: expected each dimension once")
        if not _are_counts((*self.planes, self.free)) or len(self.planes) != len(self.pairs):
            raise ValueError(
                f"ranks {str(self.planes)[:80]} and {self.free!r}: expected a number of 0 or more "
                f"for each of {len(self.pairs)} rotary planes, and one for what does not rotate"
            )
        if not self.width:
            raise ValueError("a map of no channels: expected at least 1")

    @classmethod
    def of(cls, content: Any) -> "MapShape":
        """Return the map that JSON describes.

        Raises
        ------
        ValueError
            If it describes none.
        """
        if not isinstance(content, Mapping) or content.keys() != cls.__annotations__.keys():
            names = ", ".join(cls.__annotations__)
            raise ValueError(f"{str(content)[:80]}: expected a map with {names}")
        try:
            pairs = tuple(map(tuple, content["pairs"]))
            planes = tuple(content["planes"])
        except TypeError:
            raise ValueError(f"{str(content)[:80]}: expected lists of pairs and ranks") from None
        return cls(pairs, planes, content["free"])

    def to_json(self) -> dict[str, Any]:
        """Return the map as JSON."""
        return {
            "pairs": [list(pair) for pair in self.pairs],
            "planes": list(self.planes),
            "free": self.free,
        }

    @property
    def width(self) -> int:
        """Real channels in all."""
        return 2 * sum(self.planes) + self.free

    def require(self, num_heads: int, head_dim: int) -> None:
        """Refuse a map that so many heads of this size cannot have.

        Raises
        ------
        ValueError
            If they cannot.
        """
        if max((dim for pair in self.pairs for dim in pair), default=0) >= head_dim:
            raise ValueError(
                f"pairs {str(self.pairs)[:80]}: expected dimensions below {head_dim} of a head"
            )
        most = num_heads * (head_dim - 2 * len(self.pairs))
        if max(self.planes, default=0) > num_heads or self.free > most:
            raise ValueError(
                f"ranks {str(self.planes)[:80]} and {self.free}: expected at most {num_heads} for "
                f"each rotary plane, and {most} for what does not rotate"
            )


class SiteMap(nn.Module):
    """The map of the keys, or of the values, of a layer.

    Its matrices are buffers: they are kept with the weights, and no training changes them, as what
    is encoded must be what is decoded.

    Parameters
    ----------
    shape : MapShape
        Which map.
    num_heads, head_dim : int
        Of what is mapped.
    like : Tensor
        Has the matrices' type and device.

    Attributes
    ----------
    plane_encode : Tensor, shape (P, R, H, 2)
        Real and imaginary parts of the maps from the heads' numbers of each plane to its channels;
        ``R`` is the highest number of channels of a plane, rows past those of a plane are zero.
    plane_decode : Tensor, shape (P, H, R, 2)
        And back.
    free_encode : Tensor, shape (n, H * f)
        From the ``f`` other dimensions of all heads, head by head, to their channels.
    free_decode : Tensor, shape (H * f, n)
        And back.
    """

    plane_encode: Tensor
    plane_decode: Tensor
    free_encode: Tensor
    free_decode: Tensor

    def __init__(self, shape: MapShape, num_heads: int, head_dim: int, like: Tensor):
        super().__init__()
        self.shape = shape
        self._num_heads = num_heads
        for name, tensor in _first_channels(shape, num_heads, head_dim, like).items():
            self.register_buffer(name, tensor)
        self._highest = highest = max(shape.planes, default=0)
        first, second = ([pair[part] for pair in shape.pairs] for part in (0, 1))
        free = sorted({*range(head_dim)} - {*first, *second})
        self._first, self._second = Selection(first, dim=-1), Selection(second, dim=-1)
        self._free, self._num_still = Selection(free, dim=-1), len(free)
        order = (*first, *second, *free)
        self._as_they_were = Selection(sorted(range(head_dim), key=order.__getitem__), dim=-1)
        # Where each channel stands in (P, 2, R) laid flat: real and imaginary parts of each plane.
        places = [
            (2 * plane + part) * highest + rank
            for part in (0, 1)
            for plane, channels in enumerate(shape.planes)
            for rank in range(channels)
        ]
        numbers = {place: number for number, place in enumerate(places)}
        # What a plane lacks is decoded by zeros: there any channel will do.
        padded = [numbers.get(place, 0) for place in range(2 * highest * len(shape.planes))]
        self._kept, self._padded = Selection(places, dim=-1), Selection(padded, dim=-1)

    def forward(self, states: Tensor, *, back: bool = False) -> Tensor:
        """Return the channels of heads or, back, the heads of channels.

        Parameters
        ----------
        states : Tensor, shape (batch, heads, tokens, dh) or, back, (batch, 1, tokens, width)
            Of any tokens. Channels are the real parts of all planes, plane by plane, then the
            imaginary parts in this order, then the free ones.
        back : bool
            Which way.
        """
        return self._decoded(states) if back else self._encoded(states)

    def _encoded(self, states: Tensor) -> Tensor:
        parts = []
        if self._highest:
            both = torch.cat((self._first(states), self._second(states)), dim=1)  # (B, 2H, T, P)
            made = (
                both.permute(3, 0, 2, 1).flatten(1, 2)
                @ _as_real(self.plane_encode).to(states.dtype).mT
            )
            parts.append(self._kept(_by_token(made, states)))
        if self.shape.free:
            free = self._free(states).transpose(1, 2).flatten(2)  # (B, T, H f)
            parts.append(free @ self.free_encode.to(states.dtype).mT)
        return torch.cat(parts, dim=-1).unsqueeze(1)

    def _decoded(self, states: Tensor) -> Tensor:
        num_planes, num_free = len(self.shape.pairs), self.shape.free
        batch, _, tokens, width = states.shape
        turning, free = states[:, 0, :, : width - num_free], states[:, 0, :, width - num_free :]
        if self._highest:
            apart = torch.unflatten(self._padded(turning), -1, (num_planes, -1))  # (B, T, P, 2R)
            made = (
                apart.permute(2, 0, 1, 3).flatten(1, 2)
                @ _as_real(self.plane_decode).to(states.dtype).mT
            )
            pairs = torch.unflatten(
                _by_token(made, states), -1, (num_planes, 2, -1)
            )  # (B, T, P, 2, H)
            turned = pairs.permute(0, 4, 1, 3, 2).flatten(-2)  # (B, H, T, 2P)
        else:
            turned = states.new_zeros((batch, self._num_heads, tokens, 2 * num_planes))
        if num_free:
            made = free @ self.free_decode.to(states.dtype).mT
            others = torch.unflatten(made, -1, (self._num_heads, -1))
        else:
            others = states.new_zeros((batch, tokens, self._num_heads, self._num_still))
        return self._as_they_were(torch.cat((turned, others.transpose(1, 2)), dim=-1))


def tensor_shapes(shape: MapShape, num_heads: int, head_dim: int) -> dict[str, tuple[int, ...]]:
    """Return the tensors of a map by name; without those that would hold nothing.

    Parameters
    ----------
    shape : MapShape
        Which map.
    num_heads, head_dim : int
        Of what is mapped.
    """
    highest, num_planes = max(shape.planes, default=0), len(shape.pairs)
    still = num_heads * (head_dim - 2 * num_planes)
    shapes = {
        "plane_encode": (num_planes, highest, num_heads, 2),
        "plane_decode": (num_planes, num_heads, highest, 2),
        "free_encode": (shape.free, still),
        "free_decode": (still, shape.free),
    }
    return {name: size for name, size in shapes.items() if all(size)}


def _first_channels(
    shape: MapShape, num_heads: int, head_dim: int, like: Tensor
) -> dict[str, Tensor]:
    """Return a map that keeps the first heads of each plane, for models that are not opened."""
    tensors = {
        name: like.new_zeros(size, requires_grad=False)
        for name, size in tensor_shapes(shape, num_heads, head_dim).items()
    }
    plane = [number for number, channels in enumerate(shape.planes) for _ in range(channels)]
    rank = [number for channels in shape.planes for number in range(channels)]
    for name, tensor in tensors.items():
        if name.startswith("plane"):
            tensor[plane, rank, rank, 0] = 1
        else:
            tensor.fill_diagonal_(1)
    return tensors


def _as_real(maps: Tensor) -> Tensor:
    """Return complex maps (P, m, n, 2) as real ones (P, 2m, 2n), of real and imaginary parts."""
    real, imaginary = maps.unbind(-1)
    rows = torch.cat((real, -imaginary), dim=-1), torch.cat((imaginary, real), dim=-1)
    return torch.cat(rows, dim=-2)


def _by_token(made: Tensor, states: Tensor) -> Tensor:
    """Return what was made of all tokens, plane by plane (P, B T, n), as (B, T, P n)."""
    apart = torch.unflatten(made, 1, (states.shape[0], states.shape[2]))
    return apart.permute(1, 2, 0, 3).flatten(2)


def _are_counts(numbers: Any) -> bool:
    return all(type(number) is int and number >= 0 for number in numbers)
