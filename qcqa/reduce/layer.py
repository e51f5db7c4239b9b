"""A layer's weights after what is chosen there: heads that share first, then linear maps."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from qcqa.reduce.choice import Choice, LayerChoice, Site, SiteKind
from qcqa.reduce.groups.merge import merged_layer
from qcqa.reduce.groups.merge.absorb import heads_of
from qcqa.reduce.groups.merge.context import LayerContext
from qcqa.reduce.groups.merge.layer_weights import LayerWeights, Merge, Role
from qcqa.reduce.linear_map import LinearMap
from qcqa.reduce.registry import REDUCTIONS

#: Weights that a map is fitted to, beside those of the site.
_NEEDED_BY_MAPS: frozenset[Role] = frozenset({"query", "key", "value", "output"})


@dataclass(frozen=True, slots=True, eq=False)
class ReducedLayer:
    """A layer after what is chosen there.

    Parameters
    ----------
    weights : LayerWeights
        One key head and one value head per group.
    maps : mapping of str to LinearMap
        For keys and values, where there are any: through which they are cached.
    """

    weights: LayerWeights
    maps: Mapping[SiteKind, LinearMap]


def needs_of(merge: Merge, choice: LayerChoice, num_heads: int) -> frozenset[Role]:
    """Return the weights that are needed to make of so many heads what is chosen in a layer."""
    return merge.needs | _NEEDED_BY_MAPS if any(choice.map_shapes(num_heads)) else merge.needs


def reduced_layer(
    merge: Merge, weights: LayerWeights, choice: LayerChoice, context: LayerContext
) -> ReducedLayer:
    """Return a layer after what is chosen there.

    Heads that are cached through a map keep their number and size; their weights are projected to
    what the map keeps.

    Parameters
    ----------
    merge : Merge
        Computes shared heads.
    weights : LayerWeights
        Of the source; see :func:`needs_of`.
    choice : LayerChoice
        For its ``H`` heads.
    context : LayerContext
        What must be known of the layer beside its weights.
    """
    reduced = merged_layer(merge, weights, choice, context)
    kinds: tuple[SiteKind, SiteKind] = ("key", "value")
    mapped = {
        kind: found
        for kind, site in zip(kinds, choice.sites, strict=True)
        if (found := _mapped_by(site, len(weights.key)))
    }
    if not mapped:
        return ReducedLayer(reduced, {})
    heads = heads_of(weights, context)
    maps: dict[SiteKind, LinearMap] = {}
    for kind, chosen in mapped.items():
        fit = REDUCTIONS[chosen.kind].fit
        if fit is None:
            raise AssertionError("a reduction whose choices have maps fits them")
        maps[kind] = fit(chosen, heads, kind)
    key, value = reduced.key, reduced.value
    if "key" in maps:
        key = _projected(key, maps["key"], context.rotary_planes)
    if "value" in maps:
        value = _projected(value, maps["value"], ())
    return ReducedLayer(replace(reduced, key=key, value=value), maps)


def _mapped_by(site: Site, num_heads: int) -> Choice | None:
    return next((choice for choice in site if choice.map_shape(num_heads)), None)


def _projected(heads: Tensor, linear_map: LinearMap, planes: tuple[tuple[int, int], ...]) -> Tensor:
    """Return heads (H, dh, e) of which a map loses nothing, in their type."""
    wide = heads.detach().to("cpu", torch.float64).numpy()
    return torch.from_numpy(linear_map.projected(wide, planes)).to(heads)
