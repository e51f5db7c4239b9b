"""Refit of merged attention: each layer's output is brought back to that of the source.

Sequential over layers: a layer sees what the merged layers before it make of the text, so that it
mends their error with its own. The source is the teacher and nothing else: no labels, no loss of
the whole model, one layer in training at a time. Blockwise reconstruction as in post-training
quantization (BRECQ, arXiv 2102.05426), here with the weights of the shared heads.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from qcqa.progress import OnLayer
from qcqa.text.batches import TokenBatch
from qcqa.text.decoder import Decoder, frozen
from qcqa.text.output_ridge import fit_output_projection, watched

#: One batch in so many is not fitted to, but tells whether the fit is one.
_CHECK_EVERY = 8
_WARM_UP = 10


@dataclass(frozen=True, slots=True)
class RefitSettings:
    """How long, and how fast, the attention of a layer is fitted.

    Parameters
    ----------
    steps : int
        Of Adam, per layer, each on one batch; before them the output projection is fitted by least
        squares, which with no steps is all.
    rate : float
        Highest step size, relative to the root mean square of each weight tensor; falls to zero
        along a cosine.
    """

    steps: int = 200
    rate: float = 0.03


def refit(
    source: PreTrainedModel,
    merged: PreTrainedModel,
    batches: Sequence[TokenBatch],
    settings: RefitSettings | None = None,
    *,
    layers: Sequence[int],
    on_layer: OnLayer | None = None,
) -> None:
    """Fit the attention projections of a merged model's layers, in place.

    Parameters
    ----------
    source : PreTrainedModel
        The model that was converted, float32.
    merged : PreTrainedModel
        What the conversion made of a copy, float32; its attention's weights are its own.
    batches : sequence of TokenBatch
        Calibration text.
    settings : RefitSettings, optional
        How long and how fast.
    layers : sequence of int
        Which layers to fit; the others are left as they are.
    on_layer : callable, optional
        Called after each layer; raising from it ends the refit.
    """
    settings = settings or RefitSettings()
    teacher, student = Decoder(source), Decoder(merged)
    with frozen(source), frozen(merged):
        wanted = [teacher.embed(batch.token_ids) for batch in batches]
        reached = list(wanted)
        for layer in range(teacher.num_layers):
            with torch.no_grad(), watched(teacher.output_projection(layer)) as seen:
                wanted = [teacher.step(layer, hidden) for hidden in wanted]
            if layer in layers:
                fit_output_projection(
                    teacher, student, layer, reached, _shaped(seen.outputs, wanted), batches
                )
                fit_layer(teacher, student, layer, reached, wanted, batches, settings)
            with torch.no_grad():
                reached = [teacher.step(layer, hidden, by=student) for hidden in reached]
            if on_layer:
                on_layer(layer + 1, teacher.num_layers)


def fit_layer(
    teacher: Decoder,
    student: Decoder,
    layer: int,
    inputs: Sequence[Tensor],
    targets: Sequence[Tensor],
    batches: Sequence[TokenBatch],
    settings: RefitSettings,
) -> None:
    """Fit one layer's attention so that the layer makes the targets of the inputs.

    What was fitted is kept only if it is nearer to the targets on batches that were not fitted to.

    Parameters
    ----------
    teacher, student : Decoder
        The source, which knows how layers are called, and the merged model.
    layer : int
        Number of the layer.
    inputs, targets : sequence of Tensor, shape (B, T, d)
        One per batch.
    batches : sequence of TokenBatch
        Say which tokens are real.
    settings : RefitSettings
        How long and how fast.
    """
    parameters = student.attention_parameters(layer)
    scale = _mean_square(inputs, targets, batches)

    def error(place: int) -> Tensor:
        made = teacher.step(layer, inputs[place], by=student)
        wrong = (made - targets[place])[batches[place].is_real]
        return wrong.square().sum(dim=-1).mean() / scale

    held_out = range(0, len(batches), _CHECK_EVERY) if len(batches) >= _CHECK_EVERY else ()
    fitted = [place for place in range(len(batches)) if place not in held_out]
    checked = list(held_out) or fitted
    before = [parameter.detach().clone() for parameter in parameters]
    if not settings.steps:
        return
    with torch.no_grad():
        was = sum(error(place) for place in checked)
    _descend(parameters, error, fitted, settings)
    with torch.no_grad():
        if not sum(error(place) for place in checked) < was:
            for parameter, old in zip(parameters, before, strict=True):
                parameter.copy_(old)


def _descend(
    parameters: Sequence[nn.Parameter],
    error: Callable[[int], Tensor],
    places: Sequence[int],
    settings: RefitSettings,
) -> None:
    """Make Adam's steps, each on one batch, all batches before any comes again."""
    sizes = [float(parameter.detach().square().mean().sqrt()) for parameter in parameters]
    groups = [{"params": [parameter], "lr": 0.0} for parameter in parameters]
    optimizer = torch.optim.Adam(groups, betas=(0.9, 0.98))
    generator = torch.Generator().manual_seed(0)
    order: list[int] = []
    for parameter in parameters:
        parameter.requires_grad_(True)
    try:
        for step in range(settings.steps):
            progress = step / settings.steps
            rate = settings.rate * 0.5 * (1 + math.cos(math.pi * progress))
            rate *= min(1.0, (step + 1) / _WARM_UP)
            for group, size in zip(optimizer.param_groups, sizes, strict=True):
                group["lr"] = rate * size
            if not order:
                order = torch.randperm(len(places), generator=generator).tolist()
            optimizer.zero_grad()
            error(places[order.pop()]).backward()  # type: ignore[no-untyped-call]  # torch does not type it
            optimizer.step()
    finally:
        for parameter in parameters:
            parameter.requires_grad_(False)
            parameter.grad = None


def _shaped(rows: Sequence[Tensor], like: Sequence[Tensor]) -> list[Tensor]:
    """Return outputs of projections, which some families flatten, in the shape of hidden states."""
    return [row.reshape(other.shape) for row, other in zip(rows, like, strict=True)]


def _mean_square(
    inputs: Sequence[Tensor], targets: Sequence[Tensor], batches: Sequence[TokenBatch]
) -> Tensor:
    """Return what a layer adds to a token's hidden state, squared, on average."""
    rows = [
        (target - given)[batch.is_real].square().sum(dim=-1).mean()
        for given, target, batch in zip(inputs, targets, batches, strict=True)
    ]
    return torch.stack(rows).mean().clamp(min=1e-30)
