"""Initial weights that can look back: previous-token heads, and heads that match and copy.

A small model on randomly drawn weights needs tens of millions of tokens before two heads of
different layers happen to form a look-up circuit (arXiv 2209.11895): neither is of use without the
other. So training starts with a few such pairs in place, in the spirit of mimetic initialisation
(arXiv 2305.09828), and decides itself what becomes of them. All other weights are drawn as usual.
"""

import math

import torch
from transformers import LlamaForCausalLM

from qcqa.demo.model import ROPE_THETA

# Layer 0: distance (tokens) that each of its first heads looks back.
_OFFSETS = (1, 1, 2, 3)
_NUM_MATCHING_LAYERS = 4
_FAST_PLANES = 4
_PEAK = 12.0
_CONSTANT = 4.0
# A match must hold over the length of a story, so it uses only planes that hardly turn within one.
_FAST_SHARE = 7 / 16
_SHARPNESS = 2.2


def _projection(rows: int, size: int, generator: torch.Generator) -> torch.Tensor:
    """Draw orthonormal rows that ignore dimension 0, which is the same for all tokens."""
    drawn = torch.randn(size - 1, rows, generator=generator)
    basis = torch.linalg.qr(drawn).Q.T  # (rows, size - 1)
    return torch.cat([torch.zeros(rows, 1), basis], dim=1)


def add_look_up_heads(model: LlamaForCausalLM, *, seed: int) -> None:
    """Give some heads of a fresh model a start as look-up heads, in place.

    Parameters
    ----------
    model
        A freshly initialised MHA Llama.
    seed
        Seed of the projections.
    """
    generator = torch.Generator().manual_seed(seed)
    config = model.config
    size, width = int(config.hidden_size), int(config.head_dim or 0)
    scale = config.initializer_range
    layers = model.model.layers
    with torch.no_grad():
        embedding = model.model.embed_tokens.weight
        embedding[:, 0] = _CONSTANT * scale
        # What the constant is after the norm in front of the first layer.
        constant = _CONSTANT / math.sqrt(1 + _CONSTANT**2 / size)
        slow = torch.arange(width) % (width // 2) >= _FAST_SHARE * (width // 2)  # (dh,)
        writes, reads = [], []
        for head, offset in enumerate(_OFFSETS):
            rows = slice(head * width, (head + 1) * width)
            read = _projection(width, size, generator)
            write = _projection(width, size, generator).T
            attention = layers[0].self_attn
            query, key = _looking_back(offset, width, constant)
            attention.q_proj.weight[rows] = 0
            attention.k_proj.weight[rows] = 0
            attention.q_proj.weight[rows, 0] = query
            attention.k_proj.weight[rows, 0] = key
            attention.v_proj.weight[rows] = read
            attention.o_proj.weight[:, rows] = 2 * scale * write
            reads.append(read)
            writes.append(write)
        for layer in layers[1 : 1 + _NUM_MATCHING_LAYERS]:
            attention = layer.self_attn
            for head in range(len(_OFFSETS)):
                rows = slice(head * width, (head + 1) * width)
                copied = _projection(width, size, generator)
                attention.q_proj.weight[rows] = _SHARPNESS * slow[:, None] * reads[head]
                attention.k_proj.weight[rows] = _SHARPNESS * slow[:, None] * writes[head].T
                attention.v_proj.weight[rows] = copied
                attention.o_proj.weight[:, rows] = 2 * scale * copied.T


def _looking_back(offset: int, width: int, constant: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return query and key weights whose rotary score peaks at a distance of ``offset``."""
    planes = torch.arange(min(_FAST_PLANES, width // 2))
    angles = offset * ROPE_THETA ** (-2 * planes / width)
    size = math.sqrt(_PEAK * math.sqrt(width)) / constant
    query, key = torch.zeros(width), torch.zeros(width)
    query[planes] = size
    key[planes] = size * angles.cos()
    key[planes + width // 2] = size * angles.sin()
    return query, key
