"""A checkpoint on disk: its geometry and where its K and V weights are, read layer by layer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qcqa.errors import CheckpointError
from qcqa.model.architecture import Architecture
from qcqa.model.config_keys import Config
from qcqa.model.fingerprint import fingerprint
from qcqa.model.heads import LayerHeads, Role, RowRanges, row_ranges
from qcqa.model.language_head import require_head
from qcqa.model.safetensors_file import SafetensorsFile
from qcqa.model.spec import ModelSpec
from qcqa.model.storage import Storage
from qcqa.reading.safetensors_file import StoredTensor

_ROLES: tuple[Role, Role] = ("key", "value")


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A model whose config and headers have been read and found to agree.

    :func:`~qcqa.model.open_checkpoint` makes it.

    Parameters
    ----------
    spec : ModelSpec
        Geometry.
    architecture : Architecture
        Where its family keeps what.
    config : mapping
        The part of ``config.json`` that describes the decoder.
    prefix : str
        What this checkpoint's module names begin with.
    shards : mapping of str to str
        Name of the file of every tensor.
    tensors : mapping of str to StoredTensor
        Headers of the tensors that hold keys and values.
    num_weights, num_layer_weights : int
        Weights of all tensors in the files that hold keys and values, and those of the layers.
    storage : Storage
        Where the files come from.
    missing_head : str or None
        Why this is no language model, in words, where it is none.
    """

    spec: ModelSpec
    architecture: Architecture
    config: Config
    prefix: str
    shards: Mapping[str, str]
    tensors: Mapping[str, StoredTensor]
    num_weights: int
    num_layer_weights: int
    storage: Storage
    missing_head: str | None = None
    _open_files: dict[str, SafetensorsFile] = field(default_factory=dict, repr=False)

    @property
    def folder(self) -> Path:
        """Folder of the files; for a model on the Hub, its snapshot in the cache."""
        return self.storage.folder

    @property
    def kv_tensor_bytes(self) -> int:
        """Bytes that :meth:`read_layer` reads over all layers."""
        total = 0
        for name, tensor in self.tensors.items():
            rows, wanted = tensor.shape[0], self.spec.num_kv_heads * self.spec.head_dim
            if self.architecture.modules.fused is not None:
                wanted *= 2
            if self.architecture.transposed and not name.endswith(".bias"):
                wanted = rows
            total += tensor.num_bytes * wanted // rows
        return total

    def require_language_model(self) -> None:
        """Refuse to run or write a model that has no language-model head.

        Raises
        ------
        UnsupportedModelError
            If it has none: an embedder, a classifier, a reward model.
        """
        require_head(self.missing_head, self.spec.source)

    def headers(self) -> Iterator[tuple[str, Mapping[str, StoredTensor]]]:
        """Yield the name of every file of weights, and the tensors in it by name.

        Raises
        ------
        CheckpointError
            If a file is missing or damaged.
        """
        for shard in sorted(set(self.shards.values())):
            tensors = self.storage.header(shard)
            if tensors is None:
                raise missing_shard(self.spec.source, shard)
            yield shard, tensors

    def num_parameters(self) -> int:
        """Return how many weights the model's files hold, from their headers.

        Raises
        ------
        CheckpointError
            If a file is missing or damaged.
        """
        return sum(
            tensor.num_weights for _, tensors in self.headers() for tensor in tensors.values()
        )

    def module_name(self, template: str, layer: int) -> str:
        """Return the name of a layer's module in this checkpoint, from its template."""
        return self.prefix + template.format(layer=layer)

    def new_buffer(self) -> NDArray[np.float32]:
        """Return memory for the heads of one layer, to be given to :meth:`read_layer`.

        Returns
        -------
        array, shape (2, H, dh, d) or (2, H, dh, d + 1)
        """
        return self._empty_heads(self.spec.head_dim)

    def read_layer(self, layer: int, *, out: NDArray[np.float32] | None = None) -> LayerHeads:
        """Read the K and V heads of one layer.

        Parameters
        ----------
        layer : int
            From 0 to L - 1.
        out : array, optional
            What :meth:`new_buffer` gave, to be filled anew: fresh memory for each layer costs a
            third of the time.

        Raises
        ------
        CheckpointError
            If a file is damaged. Weights that are no numbers are not looked for here.
        """
        key_ranges = row_ranges(self.architecture, self.spec, "key")
        value_ranges = row_ranges(self.architecture, self.spec, "value")
        heads = self.new_buffer() if out is None else out
        return self._read_heads(layer, key_ranges, value_ranges, heads)

    def fingerprint(self) -> str:
        """Return the fingerprint of the model, reading no more than the sample that it is of."""
        return fingerprint(self.first_rows())

    def first_rows(self) -> Iterator[LayerHeads]:
        """Yield the first row of every head, layer by layer: what the fingerprint is of."""
        keys, values = (
            [
                (row, row + 1)
                for first, last in row_ranges(self.architecture, self.spec, role)
                for row in range(first, last, self.spec.head_dim)
            ]
            for role in _ROLES
        )
        for layer in range(self.spec.num_layers):
            yield self._read_heads(layer, keys, values, self._empty_heads(1))

    def _empty_heads(self, rows_per_head: int) -> NDArray[np.float32]:
        width = self.spec.hidden_size + self.spec.has_kv_bias
        return np.empty((2, self.spec.num_kv_heads, rows_per_head, width), dtype=np.float32)

    def _read_heads(
        self, layer: int, keys: RowRanges, values: RowRanges, heads: NDArray[np.float32]
    ) -> LayerHeads:
        """Read rows of every head into ``heads``, shape (2, H, rows per head, d)."""
        modules = [
            self.module_name(template, layer) for template in self.architecture.key_value_modules()
        ]
        rows = heads.reshape(2, -1, heads.shape[-1])  # (2, n, d)
        if self.architecture.modules.fused is not None:
            # One pass over the fused tensor: first all key rows, then all value rows.
            self._read_module(modules[0], keys + values, rows.reshape(-1, heads.shape[-1]))
        else:
            self._read_module(modules[0], keys, rows[0])
            self._read_module(modules[1], values, rows[1])
        return LayerHeads(key=heads[0], value=heads[1])

    def _read_module(self, module: str, ranges: RowRanges, rows: NDArray[np.float32]) -> None:
        """Read output rows of a projection, bias as last column: ``(n, d)`` or ``(n, d + 1)``."""
        hidden_size = self.spec.hidden_size
        weight = f"{module}.weight"
        self._file_of(weight).read_rows(
            weight, ranges, rows[:, :hidden_size], transposed=self.architecture.transposed
        )
        if self.spec.has_kv_bias:
            bias = f"{module}.bias"
            self._file_of(bias).read_rows(bias, ranges, rows[:, hidden_size:])

    def file(self, shard: str) -> SafetensorsFile:
        """Return a file of weights, fetched if need be; it is opened once.

        Raises
        ------
        CheckpointError
            If it is missing or damaged.
        """
        if shard not in self._open_files:
            path = self.storage.find(shard)
            if path is None:
                raise missing_shard(self.spec.source, shard)
            self._open_files[shard] = SafetensorsFile(path)
        return self._open_files[shard]

    def _file_of(self, tensor: str) -> SafetensorsFile:
        file = self.file(self.shards[tensor])
        if file.tensors.get(tensor) != self.tensors[tensor]:
            raise CheckpointError(
                f"{file.path} has changed since it was opened", remedy="open the model again"
            )
        return file

    def tensor_names(self, layer: int) -> tuple[str, ...]:
        """Return the names of the tensors of one layer that hold keys and values."""
        return tuple(
            name
            for template in self.architecture.key_value_modules()
            for kind in ("weight", "bias")
            if (name := f"{self.module_name(template, layer)}.{kind}") in self.tensors
        )


def missing_shard(source: str, shard: str) -> CheckpointError:
    """Return the error for a file that the index names and that is not there."""
    return CheckpointError(
        f"{source} has no file {shard}, which its index names",
        remedy="download the model again, all files of it",
    )
