"""From a model's tensors to the heads of a layer, and from shared heads back to tensors.

Live conversion and conversion on disk both come through here: they differ in where a tensor is
read from and where it goes. Names of tensors are without the model's prefix.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from qcqa.conversion.travelling.section_qcqa import MAP_NAMES, Section
from qcqa.errors import CheckpointError, UnsupportedModelError
from qcqa.model.architecture import Architecture
from qcqa.model.config_keys import Config
from qcqa.model.spec import ModelSpec
from qcqa.reduce.choice import LayerChoice, SiteKind
from qcqa.reduce.groups.merge.context import LayerContext
from qcqa.reduce.groups.merge.layer_weights import LayerWeights, Merge, Role
from qcqa.reduce.layer import needs_of, reduced_layer
from qcqa.reduce.linear_map import LinearMap

#: Returns the tensor of a name, or None where the model has none.
Read = Callable[[str], Tensor | None]
#: Returns the second moment of a layer's inputs, as :class:`LayerContext` holds it.
Moments = Callable[[int], Tensor | None]


_KIND_OF_MAP: dict[str, SiteKind] = dict(zip(MAP_NAMES, ("key", "value"), strict=True))


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a model keeps the heads of a layer.

    Parameters
    ----------
    architecture : Architecture
        Of the source, variants applied.
    spec : ModelSpec
        Of the source.
    section : Section
        Of the converted model's config.
    config : mapping
        The part of the source's config that describes the decoder.
    moments : callable, optional
        Second moments of the attention's inputs by layer, for merges that weigh errors by them.
    """

    architecture: Architecture
    spec: ModelSpec
    section: Section
    config: Config
    moments: Moments | None = None

    def merged(
        self, layer: int, read: Read, merge: Merge, choice: LayerChoice
    ) -> dict[str, Tensor]:
        """Return the tensors by name that are new in a converted layer; none if it is left.

        Raises
        ------
        UnsupportedModelError
            If the layer has a key norm of an unknown kind.
        """
        if self.section.is_left_as_it_was(layer):
            return {}
        heads = self.heads(layer, read, needs_of(merge, choice, self.spec.num_kv_heads))
        reduced = reduced_layer(merge, heads, choice, self.context(layer))
        return self.tensors(layer, reduced.weights, read) | self._maps(layer, reduced.maps)

    def context(self, layer: int) -> LayerContext:
        """Return what a merge must know of a layer beside its weights."""
        return LayerContext(
            moment=None if self.moments is None else self.moments(layer),
            rotary_planes=self.architecture.rotary_planes(self.config, self.spec.head_dim, layer),
            key_norm=self.architecture.norm_of_keys(),
            is_clipped=self.architecture.is_clipped(self.config),
        )

    def shapes(self, layer: int) -> dict[str, tuple[int, ...]]:
        """Return the tensors by name that are smaller in the converted layer, with their shapes.

        Those that it has beside them are :meth:`Section.map_tensors`.
        """
        shapes: dict[str, tuple[int, ...]] = {}
        if self.section.is_left_as_it_was(layer):
            return shapes
        for role, (num_heads, _) in self.section.heads_of_projections(layer).items():
            num_rows = num_heads * self.spec.head_dim
            module = self.section.modules[role].format(layer=layer)
            weight = (num_rows, self.spec.hidden_size)
            shapes[f"{module}.weight"] = weight[::-1] if self.section.transposed else weight
            shapes[f"{module}.bias"] = (num_rows,)
        return shapes

    def heads(self, layer: int, read: Read, needs: Iterable[Role]) -> LayerWeights:
        """Return the weights of a layer's attention, head by head.

        Parameters
        ----------
        layer : int
            Number of the layer.
        read : callable
            Reads the source's tensors.
        needs : iterable of str
            The roles that are wanted. Keys and values always come, and queries where they are in
            one tensor with them.
        """
        names, size = self.architecture.modules, self.spec.head_dim
        wanted = {"key", "value", *needs}
        if names.fused is not None:
            heads = self._heads(names.fused.format(layer=layer), read)
            order = [role for role, _ in self.section.head_order()]
            parts = {
                role: heads[[place for place, of in enumerate(order) if of == role]]
                for role in ("query", "key", "value")
            }
        else:
            modules = {"query": names.query, "key": names.key, "value": names.value}
            parts = {
                role: self._heads(name.format(layer=layer), read)
                for role, name in modules.items()
                if name is not None and role in wanted
            }
        weights = LayerWeights(**parts)
        if "output" in wanted:
            output = self._oriented(_required(names.output.format(layer=layer) + ".weight", read))
            weights = replace(weights, output=output.reshape(len(output), -1, size))
        if "key_norm" in wanted:
            weights = replace(weights, key_norm=self._key_norm(layer, read))
        return weights

    def tensors(self, layer: int, weights: LayerWeights, read: Read) -> dict[str, Tensor]:
        """Return a layer's tensors by name, from its heads after a merge.

        Parameters
        ----------
        layer : int
            Number of the layer.
        weights : LayerWeights
            What the merge left as it was (None) has no tensor in the result.
        read : callable
            Reads the source's tensors, for their shapes.
        """
        names = self.architecture.modules
        if names.fused is not None:
            if weights.query is None:
                raise AssertionError("a merge must hand back the queries that it was given")
            # In the order of Section.heads_of_projections: queries, shared keys, shared values.
            parts = (weights.query, weights.key, weights.value)
            heads = {names.fused: torch.cat(parts)}
        else:
            heads = {
                name: part
                for name, part in (
                    (names.query, weights.query),
                    (names.key, weights.key),
                    (names.value, weights.value),
                )
                if name is not None and part is not None
            }
        tensors: dict[str, Tensor] = {}
        for template, part in heads.items():
            tensors |= self._projection(template.format(layer=layer), part.flatten(0, 1))
        if weights.output is not None:
            name = names.output.format(layer=layer) + ".weight"
            tensors[name] = self._oriented(weights.output.flatten(1))
        if weights.key_norm is not None and names.key_norm is not None:
            norm = names.key_norm.format(layer=layer)
            tensors |= self._key_norm_tensors(norm, weights.key_norm, read)
        return {name: tensor.contiguous() for name, tensor in tensors.items()}

    def _maps(self, layer: int, maps: Mapping[SiteKind, LinearMap]) -> dict[str, Tensor]:
        """Return the tensors of a layer's maps by name, in float64."""
        tensors: dict[str, Tensor] = {}
        for name, shape in self.section.map_tensors(layer).items():
            site, part = name.split(".")[-2:]
            array = getattr(maps[_KIND_OF_MAP[site]], part)
            parts = np.stack((array.real, array.imag), -1) if np.iscomplexobj(array) else array
            tensors[name] = torch.from_numpy(np.ascontiguousarray(parts)).reshape(shape)
        return tensors

    def _oriented(self, weight: Tensor) -> Tensor:
        """Turn a stored weight to (out, in), or back."""
        return weight.T if self.architecture.transposed else weight

    def _heads(self, module: str, read: Read) -> Tensor:
        """Return a projection's output rows by head, bias as last column where there is one."""
        rows = self._oriented(_required(f"{module}.weight", read))
        bias = read(f"{module}.bias")
        if bias is not None:
            rows = torch.cat((rows, bias[:, None]), dim=1)
        return rows.reshape(-1, self.spec.head_dim, rows.shape[1])

    def _projection(self, module: str, rows: Tensor) -> dict[str, Tensor]:
        """Return a projection's tensors from its output rows."""
        hidden_size = self.spec.hidden_size
        tensors = {f"{module}.weight": self._oriented(rows[:, :hidden_size])}
        if rows.shape[1] > hidden_size:
            tensors[f"{module}.bias"] = rows[:, hidden_size]
        return tensors

    def _key_norm(self, layer: int, read: Read) -> Tensor | None:
        """Return the scales of a norm that has them per key head, (H, dh)."""
        template = self.architecture.modules.key_norm
        if template is None:
            return None
        module = template.format(layer=layer)
        scales = read(f"{module}.weight")
        if scales is None:
            return torch.stack([_required(name, read) for name in self._norms_of_heads(module)])
        shape = (self.spec.num_kv_heads, self.spec.head_dim)
        if scales.shape == shape[1:]:
            return None
        if scales.numel() != shape[0] * shape[1]:
            raise UnsupportedModelError(
                f"{module}.weight of {self.spec.source} has shape {tuple(scales.shape)}",
                expected=f"{shape} or {shape[1:]}: scales for each key head, or for all",
            )
        return scales.reshape(shape)

    def _key_norm_tensors(self, module: str, scales: Tensor, read: Read) -> dict[str, Tensor]:
        old = read(f"{module}.weight")
        if old is not None:
            return {f"{module}.weight": scales.reshape(old.shape)}
        return dict(zip(self._norms_of_heads(module), scales, strict=True))

    def _norms_of_heads(self, module: str) -> list[str]:
        return [f"{module}.norms.{head}.weight" for head in range(self.spec.num_kv_heads)]


def changed_modules(architecture: Architecture) -> list[str]:
    """Return the templates of the modules whose tensors a merge may change."""
    names = architecture.modules.model_dump()
    return [name for name in names.values() if name is not None]


def _required(name: str, read: Read) -> Tensor:
    tensor = read(name)
    if tensor is None:
        raise CheckpointError(
            f"the model has no tensor {name}",
            expected="the tensors of its family",
            remedy="save the model again with transformers' save_pretrained",
        )
    return tensor
