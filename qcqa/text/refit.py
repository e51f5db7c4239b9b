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
from qcqa.text.output_ridge import fit_output_projection

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
            if layer in layers:
                _fit(teacher, student, layer, wanted, reached, batches, settings)
            with torch.no_grad():
                wanted = [teacher.step(layer, hidden) for hidden in wanted]
                reached = [teacher.step(layer, hidden, by=student) for hidden in reached]
            if on_layer:
                on_layer(layer + 1, teacher.num_layers)


def _fit(
    teacher: Decoder,
    student: Decoder,
    layer: int,
    wanted: Sequence[Tensor],
    reached: Sequence[Tensor],
    batches: Sequence[TokenBatch],
    settings: RefitSettings,
) -> None:
    """Fit a layer to what the source makes of its own hidden states, given those reached so far."""
    with torch.no_grad():
        targets = [teacher.attend(layer, hidden).output for hidden in wanted]
    if teacher.adds_attention(layer, wanted[0]):
        # The attention mends what the layers before it have left wrong.
        for target, hidden, ours in zip(targets, wanted, reached, strict=True):
            target += hidden - ours
        fit_attention(teacher, student, layer, reached, targets, batches, settings)
        return
    fit_output_projection(teacher, student, layer, reached, targets, batches)
    with torch.no_grad():
        outputs = [teacher.step(layer, hidden) for hidden in wanted]
    _fit_by_steps(
        lambda hidden: teacher.step(layer, hidden, by=student),
        student.attention_parameters(layer),
        reached,
        outputs,
        batches,
        settings,
    )


def fit_attention(
    teacher: Decoder,
    student: Decoder,
    layer: int,
    inputs: Sequence[Tensor],
    targets: Sequence[Tensor],
    batches: Sequence[TokenBatch],
    settings: RefitSettings,
) -> None:
    """Fit one layer's attention so that it makes the targets of the inputs.

    Its output projection by least squares, then all of its projections by steps.

    Parameters
    ----------
    teacher, student : Decoder
        The source, which knows how layers are called, and the merged model.
    layer : int
        Number of the layer.
    inputs, targets : sequence of Tensor, shape (B, T, d)
        What the layer is handed, and outputs of its attention, one per batch.
    batches : sequence of TokenBatch
        Say which tokens are real.
    settings : RefitSettings
        How long and how fast.
    """
    fit_output_projection(teacher, student, layer, inputs, targets, batches)
    _fit_by_steps(
        lambda hidden: teacher.attend(layer, hidden, by=student).output,
        student.attention_parameters(layer),
        inputs,
        targets,
        batches,
        settings,
    )


def _fit_by_steps(
    make: Callable[[Tensor], Tensor],
    parameters: Sequence[nn.Parameter],
    inputs: Sequence[Tensor],
    targets: Sequence[Tensor],
    batches: Sequence[TokenBatch],
    settings: RefitSettings,
) -> None:
    """Fit parameters so that what is made of the inputs is the targets.

    What was fitted is kept only if it is nearer to the targets on batches that were not fitted to.
    """
    if not settings.steps:
        return
    scale = _mean_square(targets, batches)

    def error(place: int) -> Tensor:
        wrong = (make(inputs[place]) - targets[place])[batches[place].is_real]
        return wrong.square().sum(dim=-1).mean() / scale

    held_out = range(0, len(batches), _CHECK_EVERY) if len(batches) >= _CHECK_EVERY else ()
    fitted = [place for place in range(len(batches)) if place not in held_out]
    checked = list(held_out) or fitted
    before = [parameter.detach().clone() for parameter in parameters]
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


def _mean_square(targets: Sequence[Tensor], batches: Sequence[TokenBatch]) -> Tensor:
    """Return the mean square of what is to be made of a token."""
    rows = [
        target[batch.is_real].square().sum(dim=-1).mean()
        for target, batch in zip(targets, batches, strict=True)
    ]
    return torch.stack(rows).mean().clamp(min=1e-30)
