"""Conversion of a live transformers model, in place."""

from collections.abc import Iterable, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from qcqa.conversion.layout import Layout, Moments, changed_modules
from qcqa.conversion.ready import (
    model_name,
    refuse_odd_layers,
    refuse_unmappable,
    refuse_unpackable,
    refuse_unready,
)
from qcqa.conversion.same_weights import require_same_weights
from qcqa.conversion.section import config_entry, section_of
from qcqa.conversion.travelling.modeling_qcqa import (
    auto_map,
    share_heads,
    shared_heads_class,
    watch_cache,
)
from qcqa.errors import CheckpointError
from qcqa.model.architecture import Architecture
from qcqa.model.config_keys import Config
from qcqa.model.families import architecture_of, refuse_converted
from qcqa.model.geometry import geometry_of
from qcqa.model.spec import ModelSpec
from qcqa.plan.plan import Plan
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.groups.merge import merge_named
from qcqa.reduce.groups.merge.context import LayerContext
from qcqa.reduce.groups.merge.layer_weights import LayerWeights, Role
from qcqa.reduce.terms import MergeName


@torch.no_grad()
def convert(
    model: PreTrainedModel, plan: Plan, *, moments: Moments | None = None
) -> PreTrainedModel:
    """Turn a transformers model into one that stores and caches only the plan's shared heads.

    The model is changed in place, layer by layer, so that no second copy of it is needed; before
    the first, all are looked at.
    ``save_pretrained`` then writes a checkpoint that opens with ``trust_remote_code=True``.

    Parameters
    ----------
    model : PreTrainedModel
        A language model whose weights are those that the plan was made for, in any float type.
    plan : Plan
        Which heads share, and how shared heads are computed.
    moments : callable, optional
        Second moments of the attention's inputs by layer, for merges that weigh errors by them;
        by default they go by the weights alone.

    Returns
    -------
    PreTrainedModel
        The model itself.

    Raises
    ------
    PlanError
        If the plan is for another model.
    CheckpointError
        If the model's family is unknown, it has adapters or no language-model head, or it is
        quantized, offloaded or converted already.
    QCQAError
        If a layer cannot be merged or packed, or its moments cannot be had. In all these cases the
        model is as it was.
    """
    architecture, config, spec, read = _opened(model)
    plan.require_model(spec, plan.fingerprint)
    refuse_unpackable(model.config, plan.layers, spec.source)
    refuse_unmappable(architecture, config, spec, plan.layers)
    section = section_of(architecture, config, plan.model, plan.layers)
    layout = Layout(architecture, spec, section, config, moments)
    refuse_odd_layers(layout, read, merge_named(plan.merge), plan.layers)
    require_same_weights(plan, layout, read, opened=model.name_or_path or "")
    return _share(model, layout, read, plan.layers, plan.merge)


def converted_copy(
    model: PreTrainedModel, plan: Plan, *, moments: Moments | None = None
) -> PreTrainedModel:
    """Return what :func:`convert` makes of a copy of a model; the model itself stays as it is.

    Only the attention of layers whose weights change is copied, its projections and key norms, as
    no reduction changes anything else: all other parameters and buffers are the model's own, in the
    same memory. The copy is for running, not for training.

    Parameters
    ----------
    model, plan, moments
        As :func:`convert` takes them.

    Raises
    ------
    QCQAError
        As :func:`convert`.
    """
    return convert(_copy(model, plan.layers), plan, moments=moments)


@torch.no_grad()
def copy_with_one_layer(
    model: PreTrainedModel,
    layer: int,
    choice: LayerChoice,
    merge: MergeName,
    *,
    moments: Moments | None = None,
) -> PreTrainedModel:
    """Return a copy of a model in which one layer alone is reduced; see :func:`converted_copy`.

    Parameters
    ----------
    model : PreTrainedModel
        Not converted.
    layer : int
        Number of the layer.
    choice : LayerChoice
        What is chosen there.
    merge : MergeName
        How shared heads are computed.
    moments : callable, optional
        As :func:`convert` takes them.

    Raises
    ------
    CheckpointError
        If the model's family is unknown, or it is quantized or converted already.
    """
    spec = _opened(model)[2]
    layers = [LayerChoice()] * spec.num_layers
    layers[layer] = choice
    copy = _copy(model, layers)
    architecture, config, spec, read = _opened(copy)
    refuse_unpackable(copy.config, layers, spec.source)
    refuse_unmappable(architecture, config, spec, layers)
    section = section_of(architecture, config, spec, layers)
    layout = Layout(architecture, spec, section, config, moments)
    refuse_odd_layers(layout, read, merge_named(merge), layers)
    return _share(copy, layout, read, layers, merge)


def _share(
    model: PreTrainedModel,
    layout: Layout,
    read: "_Reader",
    layers: Sequence[LayerChoice],
    merge: MergeName,
) -> PreTrainedModel:
    """Let a model's layers share their heads, in place."""
    for layer, choice in enumerate(layers):
        tensors = layout.merged(layer, read, merge_named(merge), choice)
        # Where no heads share, too: some families cache heads of a layer repeatedly, and need not.
        share_heads(model, layout.section, layer)
        for name, tensor in tensors.items():
            tensor_of(model, read.prefix + name).copy_(tensor)
    watch_cache(model, layout.section)
    model.config.qcqa = config_entry(layout.section)
    model.config.auto_map = auto_map()
    model.__class__ = shared_heads_class(type(model))
    return model


def tensor_of(model: nn.Module, name: str) -> Tensor:
    """Return a model's parameter or buffer by its name."""
    module, _, part = name.rpartition(".")
    found: Tensor = getattr(model.get_submodule(module), part)
    return found


def source_heads(
    model: PreTrainedModel, layer: int, *, needs: Iterable[Role], moments: Moments | None = None
) -> tuple[LayerWeights, LayerContext]:
    """Return the heads of a source model's layer as a merge is given them.

    Parameters
    ----------
    model : PreTrainedModel
        Not converted.
    layer : int
        Number of the layer.
    needs : iterable of str
        Roles of the weights that are wanted; see :class:`~qcqa.reduce.groups.merge.Merge`.
    moments : callable, optional
        As :func:`convert` takes them.

    Raises
    ------
    CheckpointError
        If the model's family is unknown, or it is quantized or converted already.
    """
    architecture, config, spec, read = _opened(model)
    section = section_of(architecture, config, spec, (LayerChoice(),) * spec.num_layers)
    layout = Layout(architecture, spec, section, config, moments)
    return layout.heads(layer, read, needs), layout.context(layer)


def _copy(model: PreTrainedModel, layers: Sequence[LayerChoice]) -> PreTrainedModel:
    """Return a copy that has in common what these choices for its layers do not change."""
    architecture, _, spec, read = _opened(model)
    modules = tuple(
        f"{read.prefix}{template.format(layer=number)}."
        for template in changed_modules(architecture)
        for number, layer in enumerate(layers)
        if layer.changes_weights(spec.num_kv_heads)
    )
    # By all their names: a tensor that an attention shares with something else is copied too.
    parameters = list(model.named_parameters(remove_duplicate=False))
    tensors = [*parameters, *model.named_buffers(remove_duplicate=False)]
    changed = {id(tensor) for name, tensor in tensors if name.startswith(modules)}
    kept = {id(tensor): tensor for _, tensor in tensors if id(tensor) not in changed}
    return deepcopy(model, kept)


class _Reader:
    """Reads a live model's parameters by their names without prefix.

    Parameters
    ----------
    model : PreTrainedModel
        The model.
    architecture : Architecture
        Knows the prefixes.
    source : str
        What error messages call the model.

    Raises
    ------
    CheckpointError
        If the model has no keys where its family has them.
    """

    def __init__(self, model: PreTrainedModel, architecture: Architecture, source: str):
        self._model = model
        first = architecture.key_value_modules()[0].format(layer=0) + ".weight"
        for prefix in architecture.prefixes:
            self.prefix = prefix
            weight = self(first)
            if weight is not None:
                self.dtype = weight.dtype
                return
        raise CheckpointError(
            f"{source} has no parameter {architecture.prefixes[0]}{first}",
            expected=f"the names of the {architecture.family} family",
            remedy="convert the model as transformers loads it, before adapters are added",
        )

    def __call__(self, name: str) -> Tensor | None:
        """Return a parameter, or None where there is none."""
        try:
            return self._model.get_parameter(self.prefix + name)
        except AttributeError:
            return None


def _opened(model: PreTrainedModel) -> tuple[Architecture, Config, ModelSpec, _Reader]:
    """Return a live model's architecture, config of the decoder and geometry, and its reader.

    Raises
    ------
    CheckpointError
        If its family is unknown, it was converted already, or its weights cannot be merged:
        quantized, or not there.
    """
    source = model_name(model)
    refuse_unready(model)
    config = model.config.to_dict()
    refuse_converted(config, source)
    architecture, decoder_config = architecture_of(config, source=source)
    read = _Reader(model, architecture, source)
    dtype = str(read.dtype).removeprefix("torch.")
    spec = ModelSpec(
        source=source,
        revision=None,
        model_type=str(config["model_type"]),
        **geometry_of(architecture, decoder_config, source=source).model_dump(),
        has_kv_bias=any(
            read(template.format(layer=0) + ".bias") is not None
            for template in architecture.key_value_modules()
        ),
        dtype=dtype,
    )
    return architecture, decoder_config, spec, read
