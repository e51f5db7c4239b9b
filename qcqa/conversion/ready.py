"""What a live model must be before its first layer is changed."""

from collections.abc import Callable, Sequence
from dataclasses import fields

import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from qcqa.conversion.layout import Layout, Read
from qcqa.conversion.travelling.packed_qcqa import require_packable
from qcqa.errors import CheckpointError, ReductionError, UnsupportedModelError
from qcqa.model.architecture import Architecture
from qcqa.model.config_keys import Config
from qcqa.model.heads import weight_rows
from qcqa.model.language_head import require_head
from qcqa.model.quantized import quantized_layout
from qcqa.model.spec import ModelSpec
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.groups.merge.layer_weights import Merge
from qcqa.reduce.layer import needs_of


def model_name(model: PreTrainedModel) -> str:
    """Return what error messages call a live model."""
    return str(getattr(model, "name_or_path", "")) or type(model).__name__


def refuse_unready(model: PreTrainedModel) -> None:
    """Refuse a model that is wrapped, or not all of whose weights are its own floats in memory.

    Raises
    ------
    UnsupportedModelError
        If it has adapters, is wrapped, quantized, offloaded, or no language model.
    """
    source = model_name(model)
    adapters = [
        name
        for name, module in model.named_modules()
        if type(module).__module__.startswith("peft.")
    ]
    if adapters:
        raise UnsupportedModelError(
            f"{source} has adapters in it ({adapters[-1] or type(model).__name__})",
            expected="the model alone",
            remedy="merge them with peft's merge_and_unload and convert the result, or convert "
            "the model first and add adapters then",
        )
    if not isinstance(model, PreTrainedModel):
        raise UnsupportedModelError(
            f"{source} is a {type(model).__name__}",
            expected="a model of transformers",
            remedy="convert the model inside it, before it is wrapped or compiled",
        )
    getter: Callable[[], object] = model.get_output_embeddings
    require_head(None if getter() is not None else f"it is a {type(model).__name__}", source)
    for name, parameter in model.named_parameters():
        _refuse_parameter(name, parameter, source)
    layout = quantized_layout([name for name, _ in model.named_buffers()])
    if layout is not None:
        raise _unfit(f"{source} is quantized ({layout})")
    for name, module in model.named_modules():
        if "quantized" in type(module).__module__:
            raise _unfit(f"{source} is quantized ({name} is a {type(module).__name__})")


def refuse_unpackable(config: PreTrainedConfig, layers: Sequence[LayerChoice], source: str) -> None:
    """Refuse choices that pack tokens in layers whose caches cannot.

    Parameters
    ----------
    config : PreTrainedConfig
        Of the model.
    layers : sequence of LayerChoice
        What is chosen in each layer.
    source : str
        What to call the model.

    Raises
    ------
    ReductionError
        Which names the first such layer.
    """
    for number, choice in enumerate(layers):
        try:
            if any(choice.codecs()):
                require_packable(config, number)
        except ValueError as error:
            kinds = {
                part.kind for site in choice.sites for part in site if part.codec() is not None
            }
            raise ReductionError(
                f"{' and '.join(sorted(kinds))} in layer {number} of {source}, whose cache is of "
                "a kind of its own, as with a sliding window",
                expected="them in layers that see all tokens",
                remedy="take a plan that leaves this layer in full precision",
            ) from error


def refuse_unmappable(
    architecture: Architecture, config: Config, spec: ModelSpec, layers: Sequence[LayerChoice]
) -> None:
    """Refuse linear maps that the attention of a model cannot have.

    Parameters
    ----------
    architecture : Architecture
        Of the model, variants applied.
    config : mapping
        The part of the model's config that describes the decoder.
    spec : ModelSpec
        Its geometry.
    layers : sequence of LayerChoice
        What is chosen in each layer.

    Raises
    ------
    ReductionError
        Which names the first layer that cannot have its map.
    """
    for number, choice in enumerate(layers):
        key, value = choice.map_shapes(spec.num_kv_heads)
        if key is None and value is None:
            continue
        kinds = {
            part.kind
            for site in choice.sites
            for part in site
            if part.map_shape(spec.num_kv_heads) is not None
        }
        where = f"in layer {number} of {spec.source}"
        what = " and ".join(sorted(kinds))
        if architecture.is_clipped(config):
            raise ReductionError(
                f"{what} {where}, which clips its keys and values",
                expected="heads that share, or bits",
            )
        if key is None:
            continue
        if architecture.norm_of_keys() is not None:
            raise ReductionError(
                f"{what} for keys {where}, which normalises them",
                expected="it for values alone, or heads that share, or bits",
            )
        planes = architecture.rotary_planes(config, spec.head_dim, number)
        if len(key.planes) != len(planes):
            raise ReductionError(
                f"{what} for keys {where} with ranks for {len(key.planes)} rotary planes",
                expected=f"ranks for {len(planes)}",
                remedy="search a plan for this model",
            )


def refuse_odd_layers(
    layout: Layout, read: Read, merge: Merge, layers: Sequence[LayerChoice]
) -> None:
    """Refuse a model or moments that a merge would stumble over in one of its layers.

    All layers are read as the conversion will read them; none is merged.

    Parameters
    ----------
    layout : Layout
        Of the conversion.
    read : callable
        Reads the model's tensors.
    merge : Merge
        Of the conversion.
    layers : sequence of LayerChoice
        What is chosen in each layer.

    Raises
    ------
    QCQAError
        If tensors are missing, differ in shape between layers or are no finite numbers, a key
        norm is of an unknown kind, or moments are of another model or cannot be had.
    """
    spec = layout.spec
    for layer in range(spec.num_layers):
        _refuse_shapes(layout, read, layer)
        if layout.section.is_left_as_it_was(layer):
            continue
        heads = layout.heads(layer, read, needs_of(merge, layers[layer], spec.num_kv_heads))
        for field in fields(heads):
            weights: Tensor | None = getattr(heads, field.name)
            if weights is not None and not torch.isfinite(weights).all():
                raise CheckpointError(
                    f"the {field.name} weights of layer {layer} of {spec.source} hold NaN or "
                    "infinite numbers",
                    expected="finite weights",
                    remedy="open the model again, in float32 or bfloat16",
                )
        moment = layout.context(layer).moment
        size = spec.hidden_size + spec.has_kv_bias
        if moment is not None and moment.shape != (size, size):
            raise CheckpointError(
                f"the second moment of layer {layer} has shape {tuple(moment.shape)}",
                expected=f"({size}, {size}), for the inputs of {spec.source}",
                remedy="calibrate this model",
            )


def _refuse_parameter(name: str, parameter: Tensor, source: str) -> None:
    dtype = str(parameter.dtype).removeprefix("torch.")
    if parameter.device.type == "meta":
        raise UnsupportedModelError(
            f"{source} has weights of type {dtype} on meta ({name}): offloaded, or never loaded",
            expected="all weights in memory",
            remedy="open the model without device_map, or with one that offloads nothing",
        )
    is_wide_float = parameter.is_floating_point() and parameter.dtype.itemsize > 1
    if not is_wide_float or type(parameter.data) is not Tensor:
        kind = type(parameter.data if is_wide_float else parameter).__name__
        raise _unfit(f"{source} has weights of type {dtype} on {parameter.device} ({name}, {kind})")


def _unfit(found: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        found,
        expected="float32, float16 or bfloat16 weights in memory",
        remedy="load the model without quantization or sharding, convert it, then quantize",
    )


def _refuse_shapes(layout: Layout, read: Read, layer: int) -> None:
    spec, names = layout.spec, layout.architecture.modules
    queries = spec.num_query_heads * spec.head_dim
    rows = weight_rows(layout.architecture, spec)
    shapes = [(name, (rows, spec.hidden_size)) for name in layout.architecture.key_value_modules()]
    if names.query is not None:
        shapes.append((names.query, (queries, spec.hidden_size)))
    shapes.append((names.output, (spec.hidden_size, queries)))
    for template, shape in shapes:
        name = f"{template.format(layer=layer)}.weight"
        weight = read(name)
        expected = shape[::-1] if layout.architecture.transposed else shape
        if weight is None or tuple(weight.shape) != expected:
            found = "is missing" if weight is None else f"has shape {tuple(weight.shape)}"
            raise UnsupportedModelError(
                f"{name} of {spec.source} {found}",
                expected=f"shape {expected} in every layer",
                remedy="use a model whose layers have equal shapes, as its config says",
            )
    for template in layout.architecture.key_value_modules():
        name = f"{template.format(layer=layer)}.bias"
        if (read(name) is not None) != spec.has_kv_bias:
            raise UnsupportedModelError(
                f"{name} of {spec.source} is {'missing' if spec.has_kv_bias else 'there'}",
                expected="biases in all layers, or in none",
            )
