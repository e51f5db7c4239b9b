"""Blocks of tokens as packed integers, and back.

Codes are packed along the tokens of a block, so that any head_dim goes and a row of bytes yields
whole rows of states: byte row r of 4-bit codes holds the tokens r and r + block / 2.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

#: Codes are cut into planes of bits that divide a byte.
_PLANES = {8: (8,), 4: (4,), 3: (2, 1), 2: (2,)}
#: States that are decoded at a time: what a processor's own cache holds, or what keeps a GPU busy.
_AT_ONCE_CPU, _AT_ONCE_GPU = 2**18, 2**26
#: The largest float16, and the least above zero.
_LARGEST, _LEAST = 65504.0, 2.0**-24


@dataclass(frozen=True)
class Blocks:
    """Packed blocks of one width, from the oldest on.

    Parameters
    ----------
    bits : int
        Of a code.
    codes : tuple of Tensor, uint8, shape (batch, heads, blocks, block * plane bits / 8, dh)
        A tensor for each plane of bits, the lowest first.
    scale, minimum : Tensor, float16
        Of keys, shape (batch, heads, blocks, 1, dh); of values,
        shape (batch, heads, blocks, block, dh / group).
    """

    bits: int
    codes: tuple[Tensor, ...]
    scale: Tensor
    minimum: Tensor

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All tensors; the first two dimensions are batch and heads, the third is blocks."""
        return (*self.codes, self.scale, self.minimum)

    def with_tensors(self, tensors: list[Tensor]) -> "Blocks":
        """Return the blocks with other tensors in the places of :attr:`tensors`."""
        *codes, scale, minimum = tensors
        return Blocks(self.bits, tuple(codes), scale, minimum)

    def __len__(self) -> int:
        return self.scale.shape[2]

    def __getitem__(self, part: slice) -> "Blocks":
        """Return some of the blocks, in memory of their own."""
        return self.with_tensors([tensor[:, :, part].clone() for tensor in self.tensors])

    def followed_by(self, newer: "Blocks") -> "Blocks":
        """Return these blocks and newer ones."""
        pairs = zip(self.tensors, newer.tensors, strict=True)
        return self.with_tensors([torch.cat(pair, dim=2) for pair in pairs])


def pack(states: Tensor, bits: int, group: int | None) -> Blocks:
    """Return blocks of states as integers.

    Parameters
    ----------
    states : Tensor, shape (batch, heads, blocks, block, dh)
        Of any floating type.
    bits : int
        Of a code.
    group : int or None
        Channels of a token with a scale and a minimum in common; None for those of a channel, over
        the tokens of a block.
    """
    states = states.float()
    if group is None:
        apart, over = states.unsqueeze(-1), -3
    else:
        apart, over = states.view(*states.shape[:-1], -1, group), -1
    lowest, highest = torch.aminmax(apart, dim=over, keepdim=True)
    # Rounded outwards, so that no state lies outside of what the codes span.
    minimum = _rounded(lowest, up=False)
    levels = 2**bits - 1
    scale = _rounded((highest - minimum.float()) / levels, up=True)
    codes = (apart - minimum.float()).div_(scale.float().clamp_min_(_LEAST)).round_()
    codes = codes.clamp_(0, levels).to(torch.uint8).flatten(-2)
    return Blocks(bits, _packed(codes, bits), scale.squeeze(-1), minimum.squeeze(-1))


def unpack(blocks: Blocks, out: Tensor, rotation: Tensor | None = None) -> Tensor:
    """Write the states of blocks, a piece at a time, and return them.

    Parameters
    ----------
    blocks : Blocks
        Of what :func:`pack` returned.
    out : Tensor, shape (batch, heads, blocks, block, dh)
        Where to; heads may lie apart.
    rotation : Tensor, optional
        What the states are multiplied by, once they are unpacked.
    """
    scale, minimum = blocks.scale.float().unsqueeze(-1), blocks.minimum.float().unsqueeze(-1)
    for piece in _pieces(out):
        part = out[piece]
        in_place = out.dtype == torch.float32 and rotation is None
        states = part if in_place else torch.empty_like(part, dtype=torch.float32)
        states.copy_(_codes([plane[piece] for plane in blocks.codes], blocks.bits))
        apart = states.view(*states.shape[:-1], scale.shape[-2], -1)
        apart.mul_(scale[piece]).add_(minimum[piece])
        if not in_place:
            part.copy_(states if rotation is None else states @ rotation)
    return out


def hadamard(head_dim: int, device: torch.device) -> Tensor:
    """Return an orthonormal matrix that is its own inverse and spreads a channel over others.

    It is block-diagonal, of Hadamard matrices as large as the largest power of two in ``head_dim``.
    """
    pair = torch.tensor([[1.0, 1.0], [1.0, -1.0]], device=device) / 2**0.5
    matrix = torch.ones((1, 1), device=device)
    while head_dim % (2 * len(matrix)) == 0:
        matrix = torch.kron(matrix, pair)
    return torch.kron(torch.eye(head_dim // len(matrix), device=device), matrix)


def _packed(codes: Tensor, bits: int) -> tuple[Tensor, ...]:
    """Return the planes of codes, shape (..., block, dh), as bytes."""
    planes = []
    for width in _PLANES[bits]:
        parts = codes.view(*codes.shape[:-2], 8 // width, -1, codes.shape[-1]) & 2**width - 1
        planes.append((parts << _shifts(width, codes.device)).sum(-3, dtype=torch.uint8))
        codes = codes >> width
    return tuple(planes)


def _codes(planes: Sequence[Tensor], bits: int) -> Tensor:
    """Return the codes that lie in planes."""
    if bits == 8:
        return planes[0]
    found, shift = [], 0
    for plane, width in zip(planes, _PLANES[bits], strict=True):
        # All parts of a byte at once: few passes over much, not many over little.
        parts = plane.unsqueeze(-3) >> _shifts(width, plane.device)  # (..., parts, rows, dh)
        parts &= 2**width - 1
        found.append((parts << shift if shift else parts).flatten(-3, -2))
        shift += width
    return found[0] if len(found) == 1 else found[0].bitwise_or_(found[1])


def _shifts(width: int, device: torch.device) -> Tensor:
    """Return by how many bits each part of a byte is shifted, shape (parts, 1, 1)."""
    return torch.arange(0, 8, width, dtype=torch.uint8, device=device).view(-1, 1, 1)


def _pieces(out: Tensor) -> Iterator[tuple[slice, ...]]:
    """Yield parts of the first three dimensions that are decoded at a time."""
    left = _AT_ONCE_CPU if out.device.type == "cpu" else _AT_ONCE_GPU
    left //= out.shape[-2] * out.shape[-1]
    ranges = []
    for size in reversed(out.shape[:3]):
        step = max(1, min(size, left))
        ranges.append([slice(start, start + step) for start in range(0, size, step)])
        left //= size
    yield from product(*reversed(ranges))


def _rounded(numbers: Tensor, *, up: bool) -> Tensor:
    """Return the next float16 that is no less, or no more, or the outermost one."""
    numbers = numbers.clamp(-_LARGEST, _LARGEST)
    halves = numbers.half()
    is_beyond = halves.float() < numbers if up else halves.float() > numbers
    # As integers, positive floats grow with their bits and negative ones shrink.
    bits = halves.view(torch.int16)
    step = torch.where((bits < 0) == up, -1, 1).to(torch.int16)
    return torch.where(is_beyond, bits + step, bits).view(torch.float16)
