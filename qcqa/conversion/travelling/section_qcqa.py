"""What is cached: the section ``qcqa`` of a converted model's ``config.json``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .bits_qcqa import Ladder
from .families_qcqa import heads_per_cached_head, takes_fewer_heads
from .maps_qcqa import MapShape, tensor_shapes

#: Newest version of the section that this file reads; without maps the second is written, and
#: without codecs the first.
SECTION_VERSION = 3

#: Of the keys and of the values of a layer, as JSON; None where states stay as they are.
Codecs = tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]
#: Of the keys and of the values of a layer; None where heads are cached as they are stored.
Maps = tuple[MapShape | None, MapShape | None]


@dataclass(frozen=True)
class Section:
    """The section ``qcqa`` of a model's config.

    Parameters
    ----------
    layout : {"separate", "concatenated", "grouped"}
        Order of the source's output rows: a projection each; all queries, all keys, all values;
        or, for each KV head, its query heads, its key head and its value head.
    transposed : bool
        Whether projections are stored as (in, out).
    prefixes : tuple of str
        What module names may begin with.
    modules : mapping
        Templates of the names: ``key`` and ``value``, or ``fused``.
    num_query_heads, num_kv_heads, head_dim : int
        Geometry of the source.
    takes_fewer_heads : bool
        Whether the family's code goes on with as many KV heads as the projections make.
    heads_per_cached_head : int
        How many copies of a KV head the family's own code hands to the cache.
    key_norm : str or None
        Template of the name of what normalises the keys.
    layers : tuple of (tuple of int, tuple of int)
        For each layer the group of each KV head, for keys and for values.
    codecs : tuple of (mapping or None, mapping or None)
        For each layer how stored keys and values are kept; empty where all stay as they are.
    maps : tuple of (MapShape or None, MapShape or None)
        For each layer through which maps keys and values are cached; empty where there are none.

    Raises
    ------
    ValueError
        If it describes no model.
    """

    layout: str
    transposed: bool
    prefixes: tuple[str, ...]
    modules: Mapping[str, str]
    num_query_heads: int
    num_kv_heads: int
    head_dim: int
    takes_fewer_heads: bool
    heads_per_cached_head: int
    key_norm: str | None
    layers: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
    codecs: tuple[Codecs, ...] = ()
    maps: tuple[Maps, ...] = ()

    def __post_init__(self) -> None:
        if self.layout not in _LAYOUTS:
            raise ValueError(f"layout {self.layout!r}: expected one of {', '.join(_LAYOUTS)}")
        expected = {"key", "value"} if self.layout == "separate" else {"fused"}
        if not isinstance(self.modules, Mapping) or self.modules.keys() != expected:
            raise ValueError(f"modules {self.modules!r}: expected {' and '.join(sorted(expected))}")
        names = (*self.prefixes, *self.modules.values(), self.key_norm or "")
        # Any other field in braces could look at more than the number, or be padded without end.
        if not all(isinstance(name, str) and _is_plain(name) for name in names):
            raise ValueError(f"names {names!r}: expected texts, with {{layer}} for the number")
        for name in ("num_query_heads", "num_kv_heads", "head_dim", "heads_per_cached_head"):
            count = getattr(self, name)
            if type(count) is not int or count < 1:
                raise ValueError(f"{name} {count!r}: expected a number of at least 1")
        for name in ("transposed", "takes_fewer_heads"):
            if type(getattr(self, name)) is not bool:
                raise ValueError(f"{name} {getattr(self, name)!r}: expected true or false")
        for labels in (labels for layer in self.layers for labels in layer):
            num_groups = len(set(labels))
            if len(labels) != self.num_kv_heads or set(labels) != set(range(num_groups)):
                raise ValueError(
                    f"groups {_text(labels)[:80]!r}: expected one, counted from 0, for each of "
                    f"{self.num_kv_heads} heads"
                )

    @classmethod
    def from_config(cls, config: Any) -> "Section":
        """Return the section of a config.

        Parameters
        ----------
        config : transformers.PreTrainedConfig
            Of a converted model.

        Raises
        ------
        ValueError
            If there is none, it is of another version or damaged, a codec in it cannot be, or it
            describes another model than the rest of the config.
        """
        content = getattr(config, "qcqa", None)
        versions = range(1, SECTION_VERSION + 1)
        if not isinstance(content, Mapping) or content.get("version") not in versions:
            raise ValueError(
                f"the config has no section 'qcqa' of version {' or '.join(map(str, versions))}; "
                "convert the model with this release of QCQA Explorer"
            )
        try:
            section = cls._of_content(content)
        except KeyError as error:
            raise ValueError(f"the section 'qcqa' has no {error}") from error
        except (AttributeError, TypeError) as error:
            raise ValueError(f"the section 'qcqa' holds what it cannot ({error})") from error
        return section._of_model(config.get_text_config())

    @classmethod
    def _of_content(cls, content: Mapping[str, Any]) -> "Section":
        # Earlier releases did not write the norm.
        content = {"key_norm": None, **content}
        fields = {name: content[name] for name in cls.__annotations__ if name not in _BY_LAYER}
        fields["prefixes"] = tuple(fields["prefixes"])
        layers = tuple(
            (_labels(entry["key"]), _labels(entry["value"])) for entry in content["layers"]
        )
        codecs = tuple(
            (entry.get("key_codec"), entry.get("value_codec")) for entry in content["layers"]
        )
        maps = tuple(
            (_map_of(entry.get("key_map")), _map_of(entry.get("value_map")))
            for entry in content["layers"]
        )
        section = cls(
            **fields,
            layers=layers,
            codecs=codecs if any(map(any, codecs)) else (),
            maps=maps if any(map(any, maps)) else (),
        )
        for layer in range(len(layers)):
            section.map_shapes(layer)
            section.ladders(layer)
        return section

    def _of_model(self, decoder: Any) -> "Section":
        """Return the section as a decoder's config bears it out; refuse it where that does not.

        What only the modules tell is looked at when there are any.
        """
        content = decoder.to_dict()
        copies = heads_per_cached_head(content, self.num_query_heads, self.num_kv_heads)
        claims = {
            "num_hidden_layers": (getattr(decoder, "num_hidden_layers", None), len(self.layers)),
            "num_attention_heads": (
                getattr(decoder, "num_attention_heads", None),
                self.num_query_heads,
            ),
            # Many configs have none.
            "head_dim": (getattr(decoder, "head_dim", None) or self.head_dim, self.head_dim),
            "heads_per_cached_head": (copies, self.heads_per_cached_head),
        }
        for name, (found, expected) in claims.items():
            if found != expected:
                raise ValueError(
                    f"{name} is {found} by the config: expected {expected}, as its section 'qcqa' "
                    "says"
                )
        # That every head gets its copy is right for all code, whatever the section says.
        return replace(
            self, takes_fewer_heads=self.takes_fewer_heads and takes_fewer_heads(content)
        )

    def to_config(self) -> dict[str, Any]:
        """Return the section as a config holds it; groupings as text, a line each."""
        content = {
            name: getattr(self, name) for name in self.__annotations__ if name not in _BY_LAYER
        }
        layers: list[dict[str, Any]] = [
            {"key": _text(key), "value": _text(value)} for key, value in self.layers
        ]
        for number, layer in enumerate(layers):
            key, value = self.codecs[number] if self.codecs else (None, None)
            key_map, value_map = self.maps[number] if self.maps else (None, None)
            entries = {
                "key_map": key_map and key_map.to_json(),
                "value_map": value_map and value_map.to_json(),
                "key_codec": key and dict(key),
                "value_codec": value and dict(value),
            }
            layer |= {name: entry for name, entry in entries.items() if entry is not None}
        older = 2 if any(map(any, self.codecs)) else 1
        return {
            "version": SECTION_VERSION if any(map(any, self.maps)) else older,
            **content,
            "prefixes": list(self.prefixes),
            "modules": dict(self.modules),
            "layers": layers,
        }

    def ladders(self, layer: int) -> tuple[Ladder | None, Ladder | None]:
        """Return how the keys and the values of a layer are packed, where they are.

        Raises
        ------
        ValueError
            If a codec cannot be, or that of values not with heads of this size.
        """
        if not self.codecs:
            return None, None
        key, value = (None if codec is None else Ladder.of(codec) for codec in self.codecs[layer])
        if value is not None:
            of_values = self.map_shapes(layer)[1]
            value.require(self.head_dim if of_values is None else of_values.width)
        return key, value

    def map_shapes(self, layer: int) -> Maps:
        """Return through which maps the keys and the values of a layer are cached.

        Raises
        ------
        ValueError
            If heads of this number and size cannot have them.
        """
        if not self.maps:
            return None, None
        shapes = self.maps[layer]
        for labels, shape in zip(self.layers[layer], shapes, strict=True):
            if shape is not None:
                shape.require(len(set(labels)), self.head_dim)
        if shapes[1] is not None and shapes[1].pairs:
            raise ValueError("a map of values with rotary planes: expected none")
        return shapes

    def map_tensors(self, layer: int) -> dict[str, tuple[int, ...]]:
        """Return the tensors of a layer's maps, by name without prefix, with their shapes."""
        tensors: dict[str, tuple[int, ...]] = {}
        attention = next(iter(self.modules.values())).format(layer=layer).rpartition(".")[0]
        of_layer = zip(MAP_NAMES, self.layers[layer], self.map_shapes(layer), strict=True)
        for name, labels, shape in of_layer:
            if shape is not None:
                shapes = tensor_shapes(shape, len(set(labels)), self.head_dim)
                tensors |= {f"{attention}.{name}.{part}": size for part, size in shapes.items()}
        return tensors

    def module_name(self, model: Any, role: str, layer: int) -> str:
        """Return the name of a layer's projection in ``model``.

        Raises
        ------
        ValueError
            If the model has none.
        """
        for prefix in self.prefixes:
            name = prefix + self.modules[role].format(layer=layer)
            try:
                model.get_submodule(name)
            except AttributeError:
                continue
            return name
        raise ValueError(f"{type(model).__name__} has no module {self.modules[role]}")

    def is_left_as_it_was(self, layer: int) -> bool:
        """Return whether every head of a layer stands for itself, and is cached without a map."""
        is_alone = all(len(set(labels)) == len(labels) for labels in self.layers[layer])
        return is_alone and not any(self.map_shapes(layer))

    def heads_in_projection(self) -> int:
        """Return the heads, of any role, in each projection of the source."""
        if self.layout == "separate":
            return self.num_kv_heads
        return self.num_query_heads + 2 * self.num_kv_heads

    def head_order(self) -> list[tuple[str, int]]:
        """Return role and number of the heads in a fused projection of the source, in order."""
        if self.layout == "concatenated":
            counts = {"query": self.num_query_heads}
            counts |= dict.fromkeys(("key", "value"), self.num_kv_heads)
            return [(role, head) for role, count in counts.items() for head in range(count)]
        per_group = self.num_query_heads // self.num_kv_heads
        order = []
        for head in range(self.num_kv_heads):
            first = head * per_group
            order += [("query", query) for query in range(first, first + per_group)]
            order += [("key", head), ("value", head)]
        return order

    def heads_of_projections(self, layer: int) -> dict[str, tuple[int, list[int]]]:
        """Return how a converted layer's projections are stored.

        Returns
        -------
        dict
            For each of ``modules`` the number of heads that are stored, of any role, and the stored
            head of each head that the source's projection has. A fused projection stores all
            queries, then the shared keys, then the shared values.
        """
        key, value = self.layers[layer]
        if self.layout == "separate":
            roles = zip(("key", "value"), (key, value), self.map_shapes(layer), strict=True)
            return {
                role: (max(labels) + 1, list(labels))
                for role, labels, shape in roles
                if len(set(labels)) < len(labels) or shape is not None
            }
        before_keys, before_values = self.num_query_heads, self.num_query_heads + max(key) + 1
        place: dict[str, Callable[[int], int]] = {
            "query": lambda head: head,
            "key": lambda head: before_keys + key[head],
            "value": lambda head: before_values + value[head],
        }
        stored = [place[role](head) for role, head in self.head_order()]
        return {"fused": (before_values + max(value) + 1, stored)}


#: What an attention's maps of keys and of values are called.
MAP_NAMES = ("qcqa_key_map", "qcqa_value_map")

_LAYOUTS = ("separate", "concatenated", "grouped")

#: Fields that are written by layer.
_BY_LAYER = ("layers", "codecs", "maps")


def _map_of(content: Any) -> MapShape | None:
    return None if content is None else MapShape.of(content)


def _labels(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split()))


def _is_plain(name: str) -> bool:
    return not set("{}") & set(name.replace("{layer}", ""))


def _text(labels: Sequence[int]) -> str:
    return " ".join(map(str, labels))
