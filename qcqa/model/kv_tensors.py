"""The tensors that hold keys and values: whether all are there, and as the config promises."""

from collections.abc import Mapping
from typing import NoReturn

from qcqa.errors import CheckpointError, UnsupportedModelError
from qcqa.model.architecture import Architecture
from qcqa.model.checkpoint import missing_shard
from qcqa.model.config_keys import Config
from qcqa.model.geometry import UNEVEN_REMEDY
from qcqa.model.heads import weight_rows
from qcqa.model.safetensors_file import FLOAT_NAMES
from qcqa.model.spec import ModelSpec
from qcqa.model.storage import Storage
from qcqa.model.wrapped import refuse_wrapped
from qcqa.reading.safetensors_file import StoredTensor

_OTHER_CONFIG = "use the config.json that belongs to these weights"


class KVTensors:
    """Headers of the tensors that hold keys and values; missing ones are refused.

    Parameters
    ----------
    architecture, prefix, shards, storage, source
        As found so far.
    num_layers : int
        From the config.
    """

    def __init__(
        self,
        architecture: Architecture,
        prefix: str,
        shards: Mapping[str, str],
        storage: Storage,
        source: str,
        num_layers: int,
    ):
        self._architecture = architecture
        self._prefix = prefix
        self._shards = shards
        self._source = source
        self._num_layers = num_layers
        if num_layers > len(shards):
            raise CheckpointError(
                f"{num_layers} layers in the config of {source}, whose files hold "
                f"{len(shards)} tensors",
                expected="keys and values of every layer that the config names",
                remedy=_OTHER_CONFIG,
            )
        modules = [
            prefix + template.format(layer=layer)
            for layer in range(num_layers)
            for template in architecture.key_value_modules()
        ]
        self.has_bias = any(f"{module}.bias" in shards for module in modules)
        kinds = ("weight", "bias") if self.has_bias else ("weight",)
        names = [f"{module}.{kind}" for module in modules for kind in kinds]
        self._refuse_missing([name for name in names if name not in shards])
        headers = {}
        for shard in sorted({shards[name] for name in names}):
            header = storage.header(shard)
            if header is None:
                raise missing_shard(source, shard)
            headers[shard] = header
        self._refuse_missing([name for name in names if name not in headers[shards[name]]])
        self.tensors: dict[str, StoredTensor] = {
            name: headers[shards[name]][name] for name in names
        }
        sizes = {
            name: stored.num_weights
            for header in headers.values()
            for name, stored in header.items()
        }
        of_layers = prefix + architecture.key_value_modules()[0].partition("{layer}")[0]
        self.num_weights = sum(sizes.values())
        self.num_layer_weights = sum(
            size for name, size in sizes.items() if name.startswith(of_layers)
        )
        # Queries need not be read, but where a shard has them they tell whether heads fit.
        self._queries: dict[str, StoredTensor] = {}
        if architecture.modules.query is not None:
            for layer in range(num_layers):
                query = prefix + architecture.modules.query.format(layer=layer) + ".weight"
                stored = headers.get(shards.get(query, ""), {}).get(query)
                if stored is not None:
                    self._queries[query] = stored
        for name, tensor in self.tensors.items():
            if tensor.dtype not in FLOAT_NAMES:
                raise UnsupportedModelError(
                    f"{name} of {source} is stored as {tensor.dtype}",
                    expected=f"one of {', '.join(FLOAT_NAMES)}",
                    remedy="use the model that it was quantized from",
                )
        self.dtype = FLOAT_NAMES[self.tensors[names[0]].dtype]

    def _refuse_missing(self, missing: list[str]) -> None:
        if missing:
            name = missing[0].removeprefix(self._prefix)
            wanted = [self._prefix + name, *(p + name for p in self._architecture.prefixes)]
            refuse_wrapped(self._shards, wanted, self._source)
            others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise CheckpointError(
                f"{self._source} has no tensor {missing[0]}{others}",
                expected="keys and values of every layer that the config names",
                remedy="download the model again, all files of it",
            )

    def check_shapes(self, spec: ModelSpec) -> None:
        """Refuse tensors whose shapes are not what the config promises.

        Raises
        ------
        UnsupportedModelError
            If layers differ.
        CheckpointError
            If the config is another model's.
        """
        rows = weight_rows(self._architecture, spec)
        promised = {"weight": (rows, spec.hidden_size), "bias": (rows,)}
        query_rows = spec.num_query_heads * spec.head_dim
        heads = (
            f"{spec.num_query_heads} query heads, {spec.num_kv_heads} key/value heads of "
            f"{spec.head_dim} and hidden size {spec.hidden_size} in the config"
        )
        for name, tensor in self.tensors.items():
            expected = promised[name.rpartition(".")[2]]
            if self._architecture.transposed:
                expected = expected[::-1]
            if tensor.shape != expected:
                found = f"{name} of {spec.source} has shape {tensor.shape}"
                self._refuse_shape(name, self.tensors, found, f"{expected} for {heads}")
        for name, tensor in self._queries.items():
            if tensor.shape[0] != query_rows:
                found = f"the query weights of {spec.source} have {tensor.shape[0]} rows"
                self._refuse_shape(name, self._queries, found, f"{query_rows} for {heads}")

    def check_config(self, config: Config, *, names_layers: bool) -> None:
        """Refuse weights of which transformers, by the config, would leave some out or make up.

        Parameters
        ----------
        config : mapping
            The part that describes the decoder, with what it leaves out filled in.
        names_layers : bool
            Whether the number of layers was in it before.

        Raises
        ------
        CheckpointError
            If biases, key norms or layers are not those that the config says.
        """
        names = self._architecture.modules
        promised = self._architecture.has_kv_bias(config)
        if promised != self.has_bias:
            raise CheckpointError(
                f"the K and V projections of {self._source} have "
                f"{'biases' if self.has_bias else 'no biases'}",
                expected=f"{'biases' if promised else 'none'}, by its config",
                remedy=_OTHER_CONFIG,
            )
        if names.key_norm is not None:
            norms = [
                self._prefix + names.key_norm.format(layer=layer)
                for layer in range(self._num_layers)
            ]
            # Some families have one for all heads, some one for each.
            each = "norms.0.weight" if f"{norms[0]}.norms.0.weight" in self._shards else "weight"
            wanted = [f"{norm}.{each}" for norm in norms]
            self._refuse_missing([name for name in wanted if name not in self._shards])
        beyond = self._prefix + self._architecture.key_value_modules()[0].format(
            layer=self._num_layers
        )
        if not names_layers and f"{beyond}.weight" in self._shards:
            raise CheckpointError(
                f"{self._source} has a layer {self._num_layers}, and its config names no number "
                "of layers",
                expected=f"{self._num_layers} layers, as transformers then takes it to have",
                remedy=_OTHER_CONFIG,
            )

    @staticmethod
    def _refuse_shape(
        name: str, tensors: Mapping[str, StoredTensor], found: str, expected: str
    ) -> NoReturn:
        of_role = name.split(".")[-2:]
        for other, tensor in tensors.items():
            if other.split(".")[-2:] == of_role and tensor.shape != tensors[name].shape:
                raise UnsupportedModelError(
                    f"{found}, and {other} has shape {tensor.shape}: the geometry differs "
                    "between layers",
                    expected=expected,
                    remedy=UNEVEN_REMEDY,
                )
        raise CheckpointError(found, expected=expected, remedy=_OTHER_CONFIG)
