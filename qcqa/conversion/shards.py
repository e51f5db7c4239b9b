"""A converted checkpoint's weights, written tensor by tensor: never a whole model in memory.

Tensors that do not change are copied as bytes. The attention of one layer is in memory while its
shared heads are computed; what is new of it waits until its place in a shard has come.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from qcqa.conversion.layout import Layout, changed_modules
from qcqa.conversion.tensor_bytes import NewTensor, bytes_of, chunks, header, read_tensor
from qcqa.errors import CalibrationError
from qcqa.model.checkpoint import Checkpoint
from qcqa.plan.plan import Plan
from qcqa.reduce.groups.merge.layer_weights import Merge

INDEX = "model.safetensors.index.json"

#: Takes the bytes written so far and those of all shards.
OnBytes = Callable[[int, int], None]
#: Returns the tensors of a layer by name.
Fitted = Callable[[int], dict[str, Tensor]]


class ConvertedShards:
    """The weight files of a checkpoint after a conversion: their sizes first, then the files.

    Parameters
    ----------
    checkpoint : Checkpoint
        The source.
    layout : Layout
        Of the source and of the converted model.
    merge : Merge
        Computes shared heads.
    plan : Plan
        Which heads share.
    fitted : callable, optional
        Returns a layer's tensors as they are after a refit, in any float type, by name without the
        model's prefix; called once, when the layer's turn comes, in place of the merge.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        layout: Layout,
        merge: Merge,
        plan: Plan,
        fitted: Fitted | None = None,
    ):
        self._checkpoint = checkpoint
        self._layout = layout
        self._merge = merge
        self._plan = plan
        self._fitted = fitted
        layers = range(checkpoint.spec.num_layers)
        self._layers = {
            checkpoint.module_name(template, layer): layer
            for layer in layers
            for template in changed_modules(checkpoint.architecture)
        }
        maps = {layer: layout.section.map_tensors(layer) for layer in layers}
        self._layers |= {
            checkpoint.prefix + name.rpartition(".")[0]: layer
            for layer in layers
            for name in maps[layer]
        }
        self._merged: dict[int, dict[str, Tensor]] = {}
        shapes = {
            checkpoint.prefix + name: shape
            for layer in layers
            for name, shape in layout.shapes(layer).items()
        }
        # Maps lie behind the weights of their layer's keys, and are of their type.
        beside = {
            checkpoint.module_name(checkpoint.architecture.key_value_modules()[0], layer)
            + ".weight": maps[layer]
            for layer in layers
        }
        self._shards = {
            shard: [
                NewTensor(checkpoint.prefix * is_new + place, entry, size)
                for name, entry in sorted(stored.items(), key=lambda item: item[1].start)
                for is_new, place, size in (
                    (False, name, shapes.get(name, entry.shape)),
                    *((True, *added) for added in beside.get(name, {}).items()),
                )
            ]
            for shard, stored in checkpoint.headers()
        }

    @property
    def num_bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.num_bytes for shard in self._shards.values() for tensor in shard)

    def write(self, folder: Path, on_bytes: OnBytes | None = None) -> None:
        """Write all shards into a folder, and their index where the source has one.

        Raises
        ------
        CheckpointError
            If a file of the source is damaged.
        OSError
            If the folder cannot be written to.
        """
        written, total = 0, self.num_bytes
        for shard, tensors in self._shards.items():
            with (folder / shard).open("wb") as file:
                file.write(header(tensors))
                for tensor in tensors:
                    for data in self._data(shard, tensor):
                        written += file.write(data)
                        if on_bytes is not None:
                            on_bytes(written, total)
        if self._checkpoint.storage.find(INDEX) is not None:
            names = {tensor.name: shard for shard in self._shards for tensor in self._shards[shard]}
            index = {"metadata": {"total_size": total}, "weight_map": names}
            (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")

    def _data(self, shard: str, tensor: NewTensor) -> Iterator[bytes | memoryview]:
        """Yield a tensor's bytes: a merged one at once, any other piece by piece."""
        merged = self._take_merged(tensor.name)
        if merged is not None:
            yield bytes_of(merged, tensor.source)
        else:
            yield from chunks(self._checkpoint.file(shard), tensor.name)

    def _take_merged(self, name: str) -> Tensor | None:
        """Return a tensor that the merge made, merging its layer when the first is asked for."""
        layer = self._layer_of(name)
        if layer is None:
            return None
        if layer not in self._merged:
            self._merged[layer] = self._new_tensors(layer)
        return self._merged[layer].pop(name.removeprefix(self._checkpoint.prefix), None)

    def _new_tensors(self, layer: int) -> dict[str, Tensor]:
        if self._fitted is None or self._layout.section.is_left_as_it_was(layer):
            return self._layout.merged(layer, self._read, self._merge, self._plan.layers[layer])
        fitted = self._fitted(layer)
        require_shapes(
            layer,
            fitted,
            {
                name: tensor.shape
                for tensors in self._shards.values()
                for tensor in tensors
                if self._layer_of(tensor.name) == layer
                and (
                    (name := tensor.name.removeprefix(self._checkpoint.prefix)) in fitted
                    or name in self._layout.shapes(layer)
                    or name in self._layout.section.map_tensors(layer)
                )
            },
        )
        return fitted

    def _layer_of(self, name: str) -> int | None:
        """Return the layer to whose attention a tensor belongs."""
        module = name
        while "." in module:
            module = module.rpartition(".")[0]
            if module in self._layers:
                return self._layers[module]
        return None

    def _read(self, name: str) -> Tensor | None:
        """Read a tensor by its name without prefix."""
        name = self._checkpoint.prefix + name
        shard = self._checkpoint.shards.get(name)
        return None if shard is None else read_tensor(self._checkpoint.file(shard), name)


def require_shapes(
    layer: int, tensors: Mapping[str, Tensor], expected: Mapping[str, Sequence[int]]
) -> None:
    """Refuse a layer's weights that are not those of a plan's model, as a damaged file may hold.

    Raises
    ------
    CalibrationError
        If a tensor that is expected is not there, or has another shape.
    """
    for name, shape in expected.items():
        found = tuple(tensors[name].shape) if name in tensors else "nothing"
        if found != tuple(shape):
            raise CalibrationError(
                f"the fitted attention that is kept holds {found} for {name} of layer {layer}",
                expected=str(tuple(shape)),
                remedy="delete the folder fitted of the run, and it is made again",
            )
