"""Models whose attention heads share keys and values in groups, as QCQA Explorer writes them.

The weights hold only the shared heads, and so does the KV cache. ``qcqa`` in ``config.json`` says
which heads of which layer share. This file and those that it imports need torch and transformers
and nothing else; they travel beside the weights, so that this opens them on any machine::

    AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)

How it works. The model's own code stays in place, whatever its family and whichever attention
implementation it runs. Two seams are changed:

* The projections make shared heads only; a hook hands each to every head of its group. (Where
  groups are neighbours, as in GQA, the code of most families does that itself.)
* The attention sees its cache through a ``SharedCache``, which stores one head per group and hands
  back all heads of the source.

Where a site has a linear map, the cache holds its channels instead of heads: the view encodes and
decodes them, and the projections' hooks do both, so that there is nothing else to be seen where
nothing is cached.
"""

# First, as it says so where transformers is too old for what else is imported here.
from .releases_qcqa import SUPPORTED  # isort: split

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn

from torch import nn
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)

from .cache_qcqa import Sharing
from .hooks_qcqa import CountedHeads, Mapped, SharedHeads, Spread
from .maps_qcqa import SiteMap
from .packed_qcqa import require_packable
from .section_qcqa import MAP_NAMES, Section
from .selection_qcqa import Selection

_ROLES = ("key", "value")


def share_heads(model: PreTrainedModel, section: Section, layer: int) -> None:
    """Make one layer of a model store and cache its shared heads only, through its maps.

    The projections keep the first rows of their weights, and maps the first heads; right ones are
    for the caller to fill in.

    Parameters
    ----------
    model : PreTrainedModel
        As the family's own class builds it.
    section : Section
        Of the model's config.
    layer : int
        Number of the layer.

    Raises
    ------
    ValueError
        If its tokens cannot be packed as the section says, or its heads are others.
    """
    key, value = section.layers[layer]
    ladders = section.ladders(layer)
    if any(ladders):
        require_packable(model.config, layer)
    # This is grouped-query attention: the family's own code repeats the heads itself.
    is_gqa = section.takes_fewer_heads and key == value and _is_contiguous(key)
    is_gqa = is_gqa and not any(section.map_shapes(layer))
    any_projection = section.module_name(model, next(iter(section.modules)), layer)
    path = any_projection.rpartition(".")[0]
    attention: Any = model.get_submodule(path)
    _require_heads(model, attention, section, layer)
    spreads: dict[str, Spread] = {}
    maps = _with_maps(model, attention, section, layer)
    if not section.is_left_as_it_was(layer):
        size = section.head_dim
        for role, (num_heads, head_of) in section.heads_of_projections(layer).items():
            name = section.module_name(model, role, layer)
            _keep_rows(model.get_submodule(name), num_heads * size, transposed=section.transposed)
            if not is_gqa:
                heads = None if head_of == list(range(num_heads)) else Selection(head_of, dim=-2)
                spread = Spread(heads, size, _mapped(section, layer, role, maps))
                spreads[name.removeprefix(f"{path}.")] = spread
    copies = section.heads_per_cached_head
    if is_gqa:
        num_stored = max(key) + 1
        attention.num_key_value_groups = section.num_query_heads // num_stored
        sharing = Sharing(num_stored, stored=None, given_back=None)
        shared_key, shared_value = (replace(sharing, ladder=ladder) for ladder in ladders)
    else:
        _equalise_norm(attention, section, layer)
        shared_key, shared_value = (
            replace(_sharing(labels, copies), ladder=ladder, site_map=maps.get(role))
            for role, labels, ladder in zip(_ROLES, (key, value), ladders, strict=True)
        )
    if copies > 1 or any(ladders) or not section.is_left_as_it_was(layer):
        hook = SharedHeads(layer, shared_key, shared_value, spreads)
        attention.register_forward_pre_hook(hook, with_kwargs=True)


def _require_heads(model: PreTrainedModel, attention: Any, section: Section, layer: int) -> None:
    """Refuse a layer whose heads are others in number or size than those of the section."""
    config = model.config.get_text_config()
    # GPT-NeoX calls it otherwise.
    head_dim = getattr(attention, "head_dim", None) or (
        config.hidden_size // config.num_attention_heads
    )
    expected = section.heads_in_projection() * section.head_dim
    for role in section.modules:
        name = section.module_name(model, role, layer)
        # A module that is no projection of this kind has none.
        rows = getattr(model.get_submodule(name), "nf" if section.transposed else "out_features", 0)
        if rows != expected or head_dim != section.head_dim:
            raise ValueError(
                f"{name} makes {rows} numbers for heads of {head_dim} by the config: expected "
                f"{expected} for heads of {section.head_dim}, as its section 'qcqa' says"
            )


def watch_cache(model: nn.Module, section: Section) -> None:
    """Have every run of a model prove that its cache holds shared heads only.

    Parameters
    ----------
    model : Module
        All its layers share.
    section : Section
        Of its config.
    """
    layers = range(len(section.layers))
    packed = {layer for layer in layers if any(section.ladders(layer))}
    shapes = [section.map_shapes(layer)[0] for layer in layers]
    num_cached = [
        (max(key) + 1, None) if shape is None else (1, shape.width)
        for (key, _), shape in zip(section.layers, shapes, strict=True)
    ]
    model.register_forward_hook(CountedHeads(num_cached, packed))


def _with_maps(
    model: nn.Module, attention: nn.Module, section: Section, layer: int
) -> dict[str, SiteMap]:
    """Give a layer's attention its maps; return them by role."""
    maps: dict[str, SiteMap] = {}
    shapes, labels = section.map_shapes(layer), section.layers[layer]
    for role, name, shape, of_role in zip(_ROLES, MAP_NAMES, shapes, labels, strict=True):
        if shape is not None:
            module = role if role in section.modules else "fused"
            projection = model.get_submodule(section.module_name(model, module, layer))
            like = projection.get_parameter("weight").detach()
            maps[role] = SiteMap(shape, max(of_role) + 1, section.head_dim, like)
            attention.add_module(name, maps[role])
    return maps


def _mapped(
    section: Section, layer: int, projection: str, maps: Mapping[str, SiteMap]
) -> tuple[Mapped, ...]:
    """Return the maps of the heads that a projection of a layer stores."""
    num_keys, num_values = (max(labels) + 1 for labels in section.layers[layer])
    first = {"key": 0, "value": 0}
    if projection == "fused":
        first = {"key": section.num_query_heads, "value": section.num_query_heads + num_keys}
    count = {"key": num_keys, "value": num_values}
    return tuple(
        Mapped(site_map, first[role], first[role] + count[role])
        for role, site_map in maps.items()
        if projection in (role, "fused")
    )


def _keep_rows(projection: nn.Module, num_rows: int, *, transposed: bool) -> None:
    """Keep the first output rows of a projection's weight and bias."""
    for name, dim in (("weight", int(transposed)), ("bias", 0)):
        old = getattr(projection, name, None)
        if old is not None:
            kept = old.detach().narrow(dim, 0, num_rows).clone()
            setattr(projection, name, nn.Parameter(kept, requires_grad=old.requires_grad))
    for size in ("out_features", "nf"):
        if hasattr(projection, size):
            setattr(projection, size, num_rows)


def _is_contiguous(labels: Sequence[int]) -> bool:
    """Return whether the groups are blocks of neighbours of one size."""
    size, rest = divmod(len(labels), max(labels) + 1)
    return not rest and all(label == head // size for head, label in enumerate(labels))


def _sharing(labels: Sequence[int], copies: int) -> Sharing:
    num_stored = max(labels) + 1
    if num_stored == len(labels) and copies == 1:
        return Sharing(num_stored, stored=None, given_back=None)
    firsts = [labels.index(label) * copies for label in range(num_stored)]
    labels_of_copies = [label for label in labels for _ in range(copies)]
    return Sharing(
        num_stored,
        stored=Selection(firsts, dim=1),
        given_back=Selection(labels_of_copies, dim=1),
    )


def _equalise_norm(attention: nn.Module, section: Section, layer: int) -> None:
    """Let all heads of a group have the first one's key norm, which training may change alone.

    What is cached is the first head of a group: where nothing is cached it must be no other.
    """
    labels = section.layers[layer][0]
    norm = getattr(attention, (section.key_norm or "").rpartition(".")[2], None)
    if not isinstance(norm, nn.Module) or len(set(labels)) == len(labels):
        return
    num_scales = sum(scales.numel() for name, scales in norm.named_parameters() if "weight" in name)
    if num_scales not in (section.head_dim, section.num_kv_heads * section.head_dim):
        raise ValueError(
            f"{section.key_norm} has {num_scales} scales: expected the norm of "
            f"{section.num_kv_heads} heads of {section.head_dim}, as the section 'qcqa' says"
        )
    firsts = [labels.index(label) for label in labels]
    scales = getattr(norm, "weight", None)
    if scales is None:  # a norm for each head, from heads before tokens
        norm.register_forward_hook(Spread(Selection(firsts, dim=1)))
    elif scales.ndim == 2:
        norm.register_forward_hook(Spread(Selection(firsts, dim=-2)))
    elif len(scales) > section.head_dim:
        norm.register_forward_hook(Spread(Selection(firsts, dim=-2), head_dim=section.head_dim))


_FAMILIES_CLASSES = {
    *MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values(),
    *MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES.values(),
}
_CLASSES: dict[type[PreTrainedModel], type[PreTrainedModel]] = {}


def shared_heads_class(stock: type[PreTrainedModel]) -> type[PreTrainedModel]:
    """Return the subclass of a model class that builds shared heads from its config.

    Parameters
    ----------
    stock : type
        A class of transformers with a language-model head.
    """
    if stock in _CLASSES:
        return _CLASSES[stock]

    def build(self: PreTrainedModel, config: PreTrainedConfig, *args: Any, **kwargs: Any) -> None:
        section = Section.from_config(config)  # before a model of as many layers is made
        stock.__init__(self, config, *args, **kwargs)
        for layer in range(len(section.layers)):
            share_heads(self, section, layer)
        watch_cache(self, section)

    members = {
        "__init__": build,
        "__module__": __name__,
        "__doc__": f"{stock.__name__} with shared heads.",
        # Makes ``save_pretrained`` write this file and ``auto_map`` with the weights.
        "_auto_class": "AutoModelForCausalLM",
        # The config names the source's heads, too many to allocate a static cache for.
        "_get_static_cache_init_shape": lambda _self: None,
        "init_continuous_batching": _refuse_continuous_batching,
        # A class that is made here is found again, by copies and pickles, by the one it is of.
        "__reduce_ex__": lambda self, _protocol: (_new, (stock,), self.__dict__),
    }
    # transformers asks where a class is defined; for these questions it is the family's own.
    for question in (
        "is_custom_code",
        "_can_set_attn_implementation",
        "_can_set_experts_implementation",
    ):
        if hasattr(stock, question):
            members[question] = staticmethod(getattr(stock, question))
    # The name stays, because transformers knows by it how a family's tensors are renamed.
    _CLASSES[stock] = type(stock.__name__, (stock,), members)
    return _CLASSES[stock]


def _refuse_continuous_batching(*_args: Any, **_kwargs: Any) -> NoReturn:
    raise ValueError(
        "continuous batching keeps as many heads as the config names, so that a cache of shared "
        "heads would save nothing; call generate with a batch"
    )


def _new(stock: type[PreTrainedModel]) -> PreTrainedModel:
    shared = shared_heads_class(stock)
    return shared.__new__(shared)


class QCQAForCausalLM:
    """What ``auto_map`` names: opens a model with the class of its own family, heads shared."""

    @classmethod
    def from_pretrained(
        cls, source: Any, *args: Any, config: PreTrainedConfig | None = None, **kwargs: Any
    ) -> PreTrainedModel:
        """Open a converted model; arguments as those of ``PreTrainedModel.from_pretrained``."""
        if config is None:
            config = AutoConfig.from_pretrained(source, trust_remote_code=False)
        return _class_of(config).from_pretrained(source, *args, config=config, **kwargs)

    @classmethod
    def _from_config(cls, config: PreTrainedConfig, **kwargs: Any) -> PreTrainedModel:
        """Build a converted model with random weights, for ``AutoModelForCausalLM.from_config``."""
        stock: Any = _class_of(config)
        built: PreTrainedModel = stock._from_config(config, **kwargs)
        return built

    @classmethod
    def register_for_auto_class(cls, auto_class: Any = None) -> None:
        """Do nothing: the classes of the models are registered already."""


def auto_map() -> dict[str, str]:
    """Return the entry ``auto_map`` of a converted model's config."""
    name = f"{__name__.rpartition('.')[2]}.{QCQAForCausalLM.__name__}"
    return {"AutoModelForCausalLM": name, "AutoModelForImageTextToText": name}


def _class_of(config: PreTrainedConfig) -> type[PreTrainedModel]:
    """Return the class for a config.

    Raises
    ------
    ValueError
        If transformers knows no language model of this kind.
    """
    for mapping in (MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING):
        stock = mapping.get(type(config), None)
        # Transformers may have registered the class above for a config that it did not know.
        if isinstance(stock, type) and issubclass(stock, PreTrainedModel):
            return shared_heads_class(stock)
    raise ValueError(
        f"no language model is known for {type(config).__name__}; expected {SUPPORTED}"
    )


def __getattr__(name: str) -> Any:
    # ``save_pretrained`` writes the name of the family's class into ``auto_map``.
    if name in _FAMILIES_CLASSES:
        return QCQAForCausalLM
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
