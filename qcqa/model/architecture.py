"""Where a model family keeps its attention projections: data files, one per family.

``architectures/*.json`` say for each ``model_type`` how the projection modules are called, how
query, key and value heads lie in their weights, which keys of ``config.json`` hold the geometry
and how positions enter. To add a family is to add a file, and a tiny model to the tests.
"""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from qcqa.model.config_keys import Config, first_of, nested
from qcqa.model.key_norm import KeyNorm


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


class TypeFacts(_Data):
    """What is particular to one ``model_type`` of a family.

    Parameters
    ----------
    defaults : dict
        Values of the config keys that a config may leave out, as transformers' class fills them
        in. A key that is there and null has no default.
    kv_bias : str or bool
        Config key that holds whether key and value projections have a bias, or whether they do.
    inside : tuple of str
        Multimodal models whose language model is of this type where their config names none.
    """

    defaults: dict[str, Any]
    kv_bias: str | bool
    inside: tuple[str, ...] = ()


class GeometryKeys(_Data):
    """Keys of ``config.json`` that hold the geometry; the first that is there counts.

    Other spellings of a key come before the key itself, as transformers has them win.

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
    fraction : str, optional
        Config key that holds the share of ``head_dim`` that rotates, where the config's rotary
        parameters do not hold it; all of it where there is none.
    layers : str, optional
        Config key that holds, for each layer, whether it rotates.
    still_interval : str, optional
        Config key of a number ``n``: every ``n``-th layer does not rotate, where ``layers`` is not
        there.
    """

    scheme: Literal["rotary", "alibi", "none"]
    pairing: Literal["half", "adjacent"] | None = None
    rotary_dim: tuple[str, ...] = ()
    fraction: str | None = None
    layers: str | None = None
    still_interval: str | None = None


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
    """One family's data file; see :mod:`qcqa.model.families`.

    Parameters
    ----------
    family : str
        Name of the family.
    model_types : dict of str to TypeFacts
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
    key_norm : KeyNorm
        What the module ``key_norm`` does, where there is one; the queries have one of its kind.
    clip : tuple of str
        Config keys that hold a limit to which queries, keys and values are clipped.
    """

    family: str
    model_types: dict[str, TypeFacts]
    prefixes: tuple[str, ...]
    layout: Literal["separate", "concatenated", "grouped"]
    transposed: bool = False
    modules: Modules
    geometry: GeometryKeys
    position: Position
    variants: tuple[Variant, ...] = ()
    key_norm: KeyNorm = KeyNorm()
    clip: tuple[str, ...] = ()

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

    def norm_of_keys(self) -> KeyNorm | None:
        """Return what normalises the keys, or None where nothing does."""
        return None if self.modules.key_norm is None else self.key_norm

    def is_clipped(self, config: Config) -> bool:
        """Return whether queries, keys and values are clipped."""
        return bool(first_of(config, self.clip))

    def svd_limits(self, config: Config) -> str | None:
        """Return in a sentence where the ``svd`` merge cannot change bases, or None."""
        if self.is_clipped(config):
            return (
                "this model clips its queries, keys and values, which no change of basis passes: "
                "svd shares weighted means instead"
            )
        if self.modules.key_norm is not None:
            return (
                "this model normalises its keys, which no change of basis passes: svd shares "
                "weighted means of keys, and subspaces of values"
            )
        return None

    def config_keys(self) -> frozenset[str]:
        """Return the config keys that decide over shapes of heads and over positions."""
        keys = set[str]()
        for names in self.geometry.model_dump().values():
            keys.update(() if isinstance(names, int) else names)
        keys.update(self.position.rotary_dim, ("rope_parameters", "rope_scaling"))
        return frozenset(keys)

    def has_kv_bias(self, config: Config) -> bool:
        """Return whether key and value projections have a bias, by the config."""
        key = self.model_types[config["model_type"]].kv_bias
        return key if isinstance(key, bool) else bool(config.get(key))

    def rotary_dim(self, config: Config, head_dim: int) -> int:
        """Return how many of a key head's dimensions the rotary embedding turns; 0 for none."""
        if self.position.scheme != "rotary":
            return 0
        dim = first_of(config, self.position.rotary_dim)
        if dim is not None:
            return int(dim)
        if self.position.fraction is None:
            return head_dim
        # As in transformers, where the older spelling wins over the newer.
        parameters = nested(config, "rope_scaling") or nested(config, "rope_parameters")
        fraction = parameters.get("partial_rotary_factor", config.get(self.position.fraction))
        dim = head_dim if fraction is None else int(head_dim * float(fraction))
        return dim + dim % 2  # an odd one is rounded up, in transformers too

    def rotary_planes(
        self, config: Config, head_dim: int, layer: int
    ) -> tuple[tuple[int, int], ...]:
        """Return the pairs of a key head's dimensions that a layer turns together."""
        if not self.rotates(config, layer):
            return ()
        num_planes = self.rotary_dim(config, head_dim) // 2
        if self.position.pairing == "adjacent":
            return tuple((2 * plane, 2 * plane + 1) for plane in range(num_planes))
        return tuple((plane, plane + num_planes) for plane in range(num_planes))

    def rotates(self, config: Config, layer: int) -> bool:
        """Return whether positions turn the keys of a layer."""
        layers, interval = (
            None if key is None else config.get(key)
            for key in (self.position.layers, self.position.still_interval)
        )
        if layers is not None:
            return bool(layers[layer])
        return not interval or bool((layer + 1) % interval)
