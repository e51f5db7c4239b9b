"""Low-rank keys and values, as in Palu (arXiv 2407.21118): what is cached is the latent.

The key projection of a group of heads is written ``W = B A`` with ``A`` of ``r`` rows; the cache
holds ``A x``, before the rotary embedding, and keys are made from it again with ``B`` when they are
read. For values ``B`` goes into the output projection. Either way the model predicts what one with
the weights ``B A`` predicts, and that is what is measured here; the bytes are those of the latents.

Its decompositions: M-LRD each head by itself, J-LRD all heads of a layer at once, G-LRD groups of
heads (of four, as there). Its whitening is that of SVD-LLM (arXiv 2403.07378): with the Cholesky
factor ``S S' = E[x x']`` on calibration text, ``W S = U s V'`` is cut at rank ``r``, and
``B A = U_r s_r V_r' S^-1``, which is ``U_r U_r' W``.

Latents may be rounded as well: per token, with a scale and a minimum for the latent of a group,
after a rotation that goes into ``A`` and ``B``; there it is Hadamard's, here an orthogonal matrix
drawn at random, which there is of every size.

Left out: ranks that differ between layers by Fisher information (here all ratios are alike), and
fused kernels.
"""

from functools import partial

import torch
from torch import Tensor, nn

from qcqa.conversion.names import attention_names
from qcqa.model.spec import ModelSpec
from tests.benchmarks.peers.ground import Ground, Made, NoneFitsError, Peer, copy_beside

#: Heads of a group of G-LRD in the paper.
_HEADS_OF_A_GROUP = 4


#: Bits of scale and minimum of a rounded latent, float16 each.
_SCALE_BITS = 32


def latent_basis(weight: Tensor, moment: Tensor, rank: int) -> Tensor:
    """Return the directions ``U_r`` of a group's states that hold most on the calibration text.

    Parameters
    ----------
    weight : Tensor, shape (n, d)
        Rows of the heads of a group.
    moment : Tensor, shape (d, d), float64
        ``E[x x']`` of what the projection reads.
    rank : int
        At most ``n``.

    Returns
    -------
    Tensor, shape (n, r), float64
        With orthonormal columns.
    """
    # A text of few tokens, or inputs that never vary, leave it singular.
    ridge = 1e-9 * moment.diagonal().mean() * torch.eye(len(moment), dtype=moment.dtype)
    whitened = weight.to(torch.float64) @ torch.linalg.cholesky(moment + ridge)
    return torch.linalg.svd(whitened, full_matrices=False)[0][:, :rank]


def rounded(latents: Tensor, width: int) -> Tensor:
    """Return latents (..., r) as integers of so many bits keep them, a scale for each."""
    low, high = latents.amin(-1, keepdim=True), latents.amax(-1, keepdim=True)
    low, scale = low.half().float(), ((high - low) / (2**width - 1)).half().float()
    scale = scale.clamp(min=torch.finfo(torch.float16).tiny)
    return low + scale * ((latents - low) / scale).round().clamp(0, 2**width - 1)


class LatentProjection(nn.Module):
    """A projection whose output is made from rounded latents of groups of its rows.

    Parameters
    ----------
    projection : Linear
        What it takes the place of.
    bases : sequence of Tensor, shape (n, r)
        Of each group; ``B``, while ``B' W`` is ``A``.
    width : int
        Bits of an integer.
    """

    def __init__(self, projection: nn.Linear, bases: list[Tensor], width: int):
        super().__init__()
        self._width = width
        self.bias = projection.bias
        self.decode = nn.Parameter(torch.stack(bases).to(projection.weight))  # (g, n, r)
        groups = projection.weight.view(len(bases), -1, projection.in_features)
        self.encode = nn.Parameter(self.decode.mT @ groups)  # (g, r, d)

    def forward(self, states: Tensor) -> Tensor:
        """Return keys or values (B, T, H * dh)."""
        latents = torch.einsum("btd,grd->btgr", states, self.encode)
        made = torch.einsum("btgr,gnr->btgn", rounded(latents, self._width), self.decode)
        made = made.flatten(2)
        return made if self.bias is None else made + self.bias


def group_size(kind: str, num_heads: int) -> int:
    """Return the heads of a group of a decomposition: ``m``, ``g`` or ``j``."""
    if kind == "g":
        return next(n for n in range(_HEADS_OF_A_GROUP, 0, -1) if num_heads % n == 0)
    return 1 if kind == "m" else num_heads


def latent_bits(spec: ModelSpec, size: int, rank: int, width: int | None = None) -> int:
    """Return the bits per token of the latents of groups of so many heads, keys and values."""
    latent = rank * spec.element_bits if width is None else rank * width + _SCALE_BITS
    return 2 * spec.num_layers * (spec.num_kv_heads // size) * latent


@torch.no_grad()
def make(ground: Ground, ratio: float, kind: str, width: int | None = None) -> Made:
    """Return a model whose keys and values have the rank that a KV ratio leaves them."""
    spec, names = ground.spec, attention_names(ground.source)
    size = group_size(kind, spec.num_kv_heads)
    if kind == "g" and size in (1, spec.num_kv_heads):
        raise NoneFitsError(f"groups of {size} of {spec.num_kv_heads} heads are those of M or J")
    if any("fused" in projections for projections in names.projections):
        raise NoneFitsError(f"fused projections of {spec.model_type}")
    rows, rank = size * spec.head_dim, size * spec.head_dim
    room = ratio * spec.kv_bits + 1e-6
    while rank and latent_bits(spec, size, rank, width) > room:
        rank -= 1
    if not rank:
        raise NoneFitsError(f"not one of {rows} dimensions")
    sites = [
        (layer, projections[role])
        for layer, projections in enumerate(names.projections)
        for role in ("key", "value")
    ]
    model = copy_beside(ground.source, (f"{name}.weight" for _, name in sites))
    _, calibration = ground.calibration()
    drawn = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(rank, rank, generator=drawn, dtype=torch.float64))[0]
    for layer, name in sites:
        moment = calibration.moment(layer)[: spec.hidden_size, : spec.hidden_size]
        projection = model.get_submodule(name)
        groups = projection.weight.split(rows)
        bases = [latent_basis(group, moment, rank) for group in groups]
        if width is not None:
            turned = LatentProjection(projection, [basis @ turn for basis in bases], width)
            model.set_submodule(name, turned)
            continue
        for group, basis in zip(groups, bases, strict=True):
            group.copy_(basis @ (basis.T @ group.to(torch.float64)))
    bits = latent_bits(spec, size, rank, width)
    note = f"rank {rank} of {rows}" + (f" in {width} bits" if width else "")
    return Made(model, lambda tokens: bits * tokens, note=note)


PEERS = (
    *(
        Peer(f"palu-{kind}", f"Palu-like, {kind.upper()}-LRD", partial(make, kind=kind))
        for kind in "mgj"
    ),
    *(
        Peer(
            f"palu-{kind}-{width}",
            f"Palu-like, {kind.upper()}-LRD, {width} bits",
            partial(make, kind=kind, width=width),
        )
        for kind in "gj"
        for width in (4, 3)
    ),
)
