"""From a model's architecture and a plan to the section ``qcqa`` of the converted config."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from qcqa.conversion.travelling.families_qcqa import heads_per_cached_head, takes_fewer_heads
from qcqa.conversion.travelling.maps_qcqa import MapShape
from qcqa.conversion.travelling.releases_qcqa import SUPPORTED
from qcqa.conversion.travelling.section_qcqa import Maps, Section
from qcqa.model.architecture import Architecture
from qcqa.model.config_keys import Config
from qcqa.model.spec import ModelSpec
from qcqa.reduce.choice import LayerChoice


def section_of(
    architecture: Architecture,
    config: Config,
    spec: ModelSpec,
    layers: Sequence[LayerChoice],
) -> Section:
    """Return the section that describes a model after its conversion.

    Parameters
    ----------
    architecture : Architecture
        Of the source, variants applied.
    config : mapping
        The part of the source's config that describes the decoder.
    spec : ModelSpec
        Of the source.
    layers : sequence of LayerChoice
        What is chosen in each layer.
    """
    codecs = tuple(layer.codecs() for layer in layers)
    maps = tuple(
        _maps_of(layer, architecture.rotary_planes(config, spec.head_dim, number), spec)
        for number, layer in enumerate(layers)
    )
    pictures = [layer.picture(spec.num_kv_heads) for layer in layers]
    names = architecture.modules
    if architecture.layout == "separate":
        modules = {"key": names.key, "value": names.value}
    else:
        modules = {"fused": names.fused}
    return Section(
        layout=architecture.layout,
        transposed=architecture.transposed,
        prefixes=architecture.prefixes,
        modules={role: name for role, name in modules.items() if name is not None},
        num_query_heads=spec.num_query_heads,
        num_kv_heads=spec.num_kv_heads,
        head_dim=spec.head_dim,
        takes_fewer_heads=takes_fewer_heads(config),
        heads_per_cached_head=heads_per_cached_head(
            config, spec.num_query_heads, spec.num_kv_heads
        ),
        key_norm=names.key_norm,
        layers=tuple((picture.key.reads, picture.value.reads) for picture in pictures),
        codecs=codecs if any(map(any, codecs)) else (),
        maps=maps if any(map(any, maps)) else (),
    )


def _maps_of(choice: LayerChoice, planes: tuple[tuple[int, int], ...], spec: ModelSpec) -> Maps:
    """Return the maps of a layer in which these dimensions of keys rotate together."""
    key, value = choice.map_shapes(spec.num_kv_heads)
    return (
        None if key is None else MapShape(planes, key.planes, key.free),
        None if value is None else MapShape((), value.planes, value.free),
    )


def config_entry(section: Section) -> dict[str, Any]:
    """Return what a config holds of a section, with who wrote it and what it was tested with."""
    try:
        release = version("qcqa-explorer")
    except PackageNotFoundError:
        release = "source"  # run from a source tree
    written_by = f"qcqa-explorer {release}"
    return {**section.to_config(), "written_by": written_by, "tested_with": SUPPORTED}
