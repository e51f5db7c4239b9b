"""From a source model and a plan to the merged model, refitted where the plan asks for it."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from qcqa.conversion.live import converted_copy
from qcqa.conversion.names import attention_names
from qcqa.conversion.shards import require_shapes
from qcqa.errors import CalibrationError
from qcqa.plan.plan import Plan
from qcqa.progress import OnLayer
from qcqa.text.amounts import BATCH_TOKENS, plan_steps, read_batches
from qcqa.text.batches import make_batches
from qcqa.text.calibration_folder import CalibrationFolder
from qcqa.text.refit import RefitSettings, refit
from qcqa.text.windows import evenly


def merged_model(
    source: PreTrainedModel,
    plan: Plan,
    calibration: CalibrationFolder | None = None,
    *,
    on_layer: OnLayer | None = None,
) -> PreTrainedModel:
    """Return what a plan makes of a model; the model itself stays as it is.

    Parameters
    ----------
    source : PreTrainedModel
        Float32 where the plan refits.
    plan : Plan
        Made for this model.
    calibration : CalibrationFolder, optional
        What the plan's merge and refit rest on.
    on_layer : callable, optional
        Called after each layer of a refit; raising from it ends the refit.

    Raises
    ------
    CalibrationError
        If the plan was made with a calibration and none is given.
    QCQAError
        If the plan is for another model.
    """
    if calibration is None and (plan.calibration is not None or plan.refit):
        raise CalibrationError(
            f"a plan whose {plan.merge} merge rests on calibration text, and no such text",
            remedy="give the text with --calibration FILE",
        )
    moments = calibration.moment if calibration and plan.calibration else None
    merged = converted_copy(source, plan, moments=moments)
    if plan.refit and calibration is not None:
        batches = make_batches(
            calibration.windows(), batch_tokens=BATCH_TOKENS, device=source.device
        )
        num_weights = sum(weight.numel() for weight in source.parameters())
        settings = RefitSettings(steps=plan_steps(num_weights))
        some = evenly(batches, read_batches(num_weights))
        refit(source, merged, some, settings, layers=plan.changed_layers, on_layer=on_layer)
    return merged


def attention_tensors(model: PreTrainedModel) -> list[dict[str, Tensor]]:
    """Return for each layer the weights that a merge may change, and its maps.

    By name, without the model's prefix.
    """
    names = attention_names(model)
    return [
        {
            f"{module.removeprefix(names.prefix)}.{name}": tensor.detach()
            for module in names.merged_modules(layer)
            for name, tensor in model.get_submodule(module).state_dict().items()
        }
        for layer in range(len(names.layers))
    ]


@torch.no_grad()
def set_attention(model: PreTrainedModel, layers: Sequence[Mapping[str, Tensor]]) -> None:
    """Put :func:`attention_tensors` of a model into another that was converted by the same plan.

    Parameters
    ----------
    model : PreTrainedModel
        Changed in place; types of weights may differ.
    layers : sequence of mapping of str to Tensor
        As :func:`attention_tensors` returns them.

    Raises
    ------
    CalibrationError
        If they are not of such a model.
    """
    for number, (into, tensors) in enumerate(zip(attention_tensors(model), layers, strict=True)):
        require_shapes(number, tensors, {name: tensor.shape for name, tensor in into.items()})
        for name, tensor in into.items():
            tensor.copy_(tensors[name])
