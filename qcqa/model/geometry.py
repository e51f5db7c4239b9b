"""A decoder's numbers of layers and heads, and their sizes, from its config."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from qcqa.errors import CheckpointError, UnsupportedModelError
from qcqa.model.architecture import Architecture
from qcqa.model.config_keys import Config, first_of, nested

UNEVEN_REMEDY = "use a model whose layers have equal shapes"
#: Config keys by which some models give layers shapes of their own.
_BY_LAYER = ("block_configs", "num_key_value_heads_per_layer", "num_attention_heads_per_layer")


class Geometry(BaseModel):
    """The numbers that :func:`geometry_of` found in a config."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_layers: int
    num_query_heads: int
    num_kv_heads: int
    head_dim: int
    hidden_size: int


def geometry_of(architecture: Architecture, config: Config, *, source: str) -> Geometry:
    """Return a decoder's geometry from its config.

    Raises
    ------
    CheckpointError
        If a number is missing, differs between layers or is none, or heads do not divide.
    """
    keys = architecture.geometry
    _refuse_uneven(architecture, config, source)

    def number(names: tuple[str, ...]) -> int | None:
        value = first_of(config, names)
        if value is None:
            return None
        if isinstance(value, list | Mapping):
            raise _uneven(source, f"{names[0]} in its config is a {type(value).__name__}")
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise CheckpointError(
                f"{names[0]} = {value!r} in the config of {source}",
                expected="a positive whole number",
                remedy="mend config.json",
            )
        return value

    def required(names: tuple[str, ...]) -> int:
        value = number(names)
        if value is None:
            raise CheckpointError(
                f"the config of {source} has no {' or '.join(names)}",
                remedy="save the model again with transformers' save_pretrained, "
                "the language model alone if it is multimodal",
            )
        return value

    num_query_heads = required(keys.num_query_heads)
    hidden_size = required(keys.hidden_size)
    head_dim = number(keys.head_dim)
    if head_dim is None:
        if hidden_size % num_query_heads:
            raise CheckpointError(
                f"hidden size {hidden_size} and {num_query_heads} query heads "
                f"in the config of {source}",
                expected="a number of heads that divides the hidden size",
                remedy="mend config.json",
            )
        head_dim = hidden_size // num_query_heads
    if isinstance(keys.num_kv_heads, int):
        num_kv_heads = keys.num_kv_heads
    else:
        num_kv_heads = number(keys.num_kv_heads) or num_query_heads
    return Geometry(
        num_layers=required(keys.num_layers),
        num_query_heads=num_query_heads,
        num_kv_heads=num_kv_heads,
        head_dim=head_dim,
        hidden_size=hidden_size,
    )


def _refuse_uneven(architecture: Architecture, config: Config, source: str) -> None:
    """Refuse a config that gives layers of their own shape, or leaves attention out of some."""
    for key in _BY_LAYER:
        if config.get(key):
            raise _uneven(source, f"{key} in its config")
    of_geometry = {"skip", *architecture.config_keys()}
    for layer, overrides in nested(config, "per_layer_config").items():
        if not isinstance(overrides, Mapping) or of_geometry & overrides.keys():
            raise _uneven(source, f"per_layer_config in its config, for layer {layer}")


def _uneven(source: str, where: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"the geometry of {source} differs between layers ({where})",
        expected="one number for all layers",
        remedy=UNEVEN_REMEDY,
    )
