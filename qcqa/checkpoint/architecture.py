"""Where a model family keeps its attention projections: data files, one per family.

``architectures/*.json`` say for each ``model_type`` how the projection modules are called, how
query, key and value heads lie in their weights, which keys of ``config.json`` hold the geometry
and how positions enter. To add a family is to add a file, and a tiny model to the tests.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from qcqa.errors import CheckpointError, UnsupportedModelError

Config = Mapping[str, Any]

#: Where a multimodal checkpoint keeps its language model.
NESTED_PREFIXES = ("language_model.", "model.language_model.", "model.", "")


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Modules(_Data):
    """Names of one layer's projection modules, with ``{layer}`` for its number.

    Parameters
    ----------
    output : str
        Takes the heads' outputs back to the hidden size.
    query, key, value : str or None
        Separate projections.
    fused : str or None
        The one projection that holds all three.
    key_norm : str or None
        Normalises keys between their projection and the rotary embedding.
    """

    output: str
    query: str | None = None
    key: str | None = None
    value: str | None = None
    fused: str | None = None
    key_norm: str | None = None


class GeometryKeys(_Data):
    """Keys of ``config.json`` that hold the geometry; the first that is there counts.

    Parameters
    ----------
    num_layers, num_query_heads, hidden_size : tuple of str
        Must be there.
    num_kv_heads : tuple of str or int
        One per query head where no key is there; a number where the family fixes it.
    head_dim : tuple of str
        ``hidden_size / num_query_heads`` where no key is there.
    """

    num_layers: tuple[str, ...]
    num_query_heads: tuple[str, ...]
    hidden_size: tuple[str, ...]
    num_kv_heads: tuple[str, ...] | int = ()
    head_dim: tuple[str, ...] = ()


class Position(_Data):
    """How positions reach the keys.

    Parameters
    ----------
    scheme : {"rotary", "alibi", "none"}
        ``none`` where they are added to the hidden states before the first layer.
    pairing : {"half", "adjacent"}, optional
        Which two dimensions of a head share a rotary plane: ``p`` and ``p + rotary_dim / 2``, or
        ``2 p`` and ``2 p + 1``.
    rotary_dim : tuple of str
        Config keys that hold the number of dimensions that rotate.
    fraction : tuple of str
        Config keys that hold the share of ``head_dim`` that rotates, dots for nesting; all of
        it where no key is there.
    layers : tuple of str
        Config keys that hold, for each layer, whether it rotates; all do where no key is there.
    """

    scheme: Literal["rotary", "alibi", "none"]
    pairing: Literal["half", "adjacent"] | None = None
    rotary_dim: tuple[str, ...] = ()
    fraction: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()


class Variant(_Data):
    """What is different where the config has certain values.

    Parameters
    ----------
    when : dict
        Values of config keys that must all be there.
    modules, geometry : dict
        Entries that replace those of the family.
    position : Position, optional
        Replaces that of the family.
    """

    when: dict[str, Any]
    modules: dict[str, Any] = {}
    geometry: dict[str, Any] = {}
    position: Position | None = None


class Architecture(_Data):
    """One family's data file; :func:`architecture_of` finds a model's.

    Parameters
    ----------
    family : str
        Name of the family.
    model_types : tuple of str
        Values of ``model_type`` in ``config.json`` that it covers.
    prefixes : tuple of str
        What module names may begin with: checkpoints are saved with the head and without.
    layout : {"separate", "concatenated", "grouped"}
        Order of the output rows: a projection each; all queries, all keys, all values; or, for
        each KV head, its query heads, its key head and its value head.
    transposed : bool
        Whether weights are stored as (in, out) rather than (out, in).
    modules, geometry, position, variants
        See their classes.
    """

    family: str
    model_types: tuple[str, ...]
    prefixes: tuple[str, ...]
    layout: Literal["separate", "concatenated", "grouped"]
    transposed: bool = False
    modules: Modules
    geometry: GeometryKeys
    position: Position
    variants: tuple[Variant, ...] = ()

    @model_validator(mode="after")
    def _modules_fit_layout(self) -> Self:
        separate = (self.modules.query, self.modules.key, self.modules.value)
        if self.layout == "separate" and (None in separate or self.modules.fused):
            raise ValueError("a separate layout has query, key and value modules, none fused")
        if self.layout != "separate" and (any(separate) or not self.modules.fused):
            raise ValueError(f"a {self.layout} layout has a fused module only")
        return self

    def for_config(self, config: Config) -> "Architecture":
        """Return the family as this config has it: variants that fit applied, in their order."""
        changed = self.model_dump(exclude={"variants"})
        for variant in self.variants:
            if all(config.get(key) == value for key, value in variant.when.items()):
                changed["modules"] |= variant.modules
                changed["geometry"] |= variant.geometry
                if variant.position is not None:
                    changed["position"] = variant.position
        return Architecture.model_validate(changed)

    def key_value_modules(self) -> tuple[str, ...]:
        """Return the templates of the modules that hold keys and values: one fused, or two."""
        if self.modules.fused is not None:
            return (self.modules.fused,)
        if self.modules.key is None or self.modules.value is None:
            raise AssertionError("checked on load")
        return (self.modules.key, self.modules.value)

    def rotary_dim(self, config: Config, head_dim: int) -> int:
        """Return how many of a key head's dimensions the rotary embedding turns; 0 for none."""
        if self.position.scheme != "rotary":
            return 0
        dim = _first(config, self.position.rotary_dim)
        if dim is not None:
            return int(dim)
        fraction = _first(config, self.position.fraction)
        return head_dim if fraction is None else int(head_dim * float(fraction))

    def rotary_planes(
        self, config: Config, head_dim: int, layer: int
    ) -> tuple[tuple[int, int], ...]:
        """Return the pairs of a key head's dimensions that a layer turns together."""
        rotates = _first(config, self.position.layers)
        if rotates is not None and not rotates[layer]:
            return ()
        num_planes = self.rotary_dim(config, head_dim) // 2
        if self.position.pairing == "adjacent":
            return tuple((2 * plane, 2 * plane + 1) for plane in range(num_planes))
        return tuple((plane, plane + num_planes) for plane in range(num_planes))


def _first(config: Config, keys: tuple[str, ...]) -> Any:
    """Return the first of some dotted keys that is there and not null."""
    for key in keys:
        value: Any = config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None:
            return value
    return None


@cache
def known_architectures() -> Mapping[str, Architecture]:
    """Return the architecture of every ``model_type`` that is known."""
    folder = files("qcqa.checkpoint") / "architectures"
    architectures = [
        Architecture.model_validate_json(file.read_text(encoding="utf-8"))
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.name.endswith(".json")
    ]
    return {name: one for one in architectures for name in one.model_types}


def architecture_of(config: Config, *, source: str) -> tuple[Architecture, Config]:
    """Return a model's architecture and the part of its config that describes the decoder.

    Parameters
    ----------
    config : mapping
        Content of ``config.json``.
    source : str
        What error messages call the model.

    Returns
    -------
    architecture : Architecture
        Variants applied, prefixes as the config's nesting wants them.
    decoder_config : mapping
        ``config`` itself, or its ``text_config`` in a multimodal model.

    Raises
    ------
    UnsupportedModelError
        If no data file covers the model, or it has a second attention, to an encoder.
    """
    known = known_architectures()
    model_type = config.get("model_type")
    if isinstance(model_type, str) and model_type in known:
        _refuse_cross_attention(config, source)
        return known[model_type].for_config(config), config
    text_config = config.get("text_config")
    if isinstance(text_config, Mapping) and text_config.get("model_type") in known:
        _refuse_cross_attention(text_config, source)
        architecture = known[text_config["model_type"]].for_config(text_config)
        prefixes = tuple(dict.fromkeys(_nested_prefixes(architecture)))
        return architecture.model_copy(update={"prefixes": prefixes}), text_config
    raise UnsupportedModelError(
        f"model_type {model_type!r} of {source} is not known",
        expected=f"one of {', '.join(sorted(known))}",
        remedy="add a file to qcqa/checkpoint/architectures that says where its K and V "
        "projections are; models without plain K and V heads (MLA, linear attention) cannot be",
    )


def _refuse_cross_attention(config: Config, source: str) -> None:
    if config.get("add_cross_attention"):
        raise UnsupportedModelError(
            f"{source} is the decoder of an encoder-decoder (add_cross_attention in its config)",
            expected="a decoder that attends to its own tokens only",
            remedy="its cross-attention has keys and values of its own, which no plan covers",
        )


def _nested_prefixes(architecture: Architecture) -> Iterator[str]:
    for outer in NESTED_PREFIXES:
        for inner in architecture.prefixes:
            yield outer + inner


class Geometry(_Data):
    """The numbers that :func:`geometry_of` found in a config."""

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

    def number(names: tuple[str, ...]) -> int | None:
        value = _first(config, names)
        if value is None:
            return None
        if isinstance(value, list | Mapping):
            raise UnsupportedModelError(
                f"{names[0]} in the config of {source} is {type(value).__name__}: "
                "the geometry differs between layers",
                expected="one number for all layers",
                remedy="use a model whose layers have equal shapes",
            )
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
