"""Opening a model: everything that can be refused without reading its weights is refused here."""

from collections.abc import Mapping
from pathlib import Path

from qcqa.checkpoint.architecture import Architecture
from qcqa.checkpoint.checkpoint import Checkpoint, missing_shard, read_json
from qcqa.checkpoint.config_keys import Config
from qcqa.checkpoint.families import architecture_of, refuse_converted
from qcqa.checkpoint.geometry import geometry_of
from qcqa.checkpoint.heads import weight_rows
from qcqa.checkpoint.safetensors_file import FLOAT_NAMES, StoredTensor
from qcqa.checkpoint.storage import LocalFolder, Storage
from qcqa.errors import CheckpointError, UnsupportedModelError
from qcqa.model_spec import ModelSpec
from qcqa.packaged import demo_model_folder
from qcqa.user_path import is_folder, user_path

_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".bin.index.json")


def open_checkpoint(source: str, *, revision: str | None = None) -> Checkpoint:
    """Open a model for reading its K and V heads; reads its config and headers only.

    Parameters
    ----------
    source : str
        A local folder, the id of a model on the Hub, or ``demo``.
    revision : str, optional
        Branch, tag or commit on the Hub.

    Raises
    ------
    UnsupportedModelError
        If the model is of an unknown family, quantized or converted already, or its layers differ
        in shape.
    CheckpointError
        If files or tensors are missing, damaged or not what the config promises.
    """
    storage = _storage_of(source, revision)
    config_path = storage.find("config.json")
    if config_path is None:
        raise _no_config(source, storage.names())
    config = read_json(config_path)
    # Its K and V weights do not have the shapes any more that are expected of its family.
    refuse_converted(config, source)
    architecture, decoder_config = architecture_of(config, source=source)
    _refuse_quantized(config, decoder_config, source)
    geometry = geometry_of(architecture, decoder_config, source=source)
    shards = _shards(storage, source)
    prefix = _prefix(architecture, shards, source)
    found = _Tensors(architecture, prefix, shards, storage, source, geometry.num_layers)
    spec = ModelSpec(
        source=source,
        revision=storage.revision,
        model_type=str(config["model_type"]),
        **geometry.model_dump(),
        has_kv_bias=found.has_bias,
        dtype=found.dtype,
    )
    found.check_shapes(spec)
    return Checkpoint(
        spec=spec,
        architecture=architecture,
        config=decoder_config,
        prefix=prefix,
        shards=shards,
        tensors=found.tensors,
        num_weights=found.num_weights,
        num_layer_weights=found.num_layer_weights,
        storage=storage,
    )


def _storage_of(source: str, revision: str | None) -> Storage:
    """Return where a model's files come from."""
    if source == "demo":
        return LocalFolder(demo_model_folder())
    path = user_path(source, CheckpointError)
    found = is_folder(path, CheckpointError)
    if found:
        if revision is not None:
            raise CheckpointError(
                f"revision {revision!r} of the local folder {source}",
                expected="a revision only with the id of a model on the Hub",
            )
        return LocalFolder(path)
    if found is not None:
        raise CheckpointError(
            f"{source} is a file",
            expected="the folder of a transformers model, with config.json and safetensors",
        )
    # Here, because the Hub's client is slow to import and a local model does without.
    from qcqa.checkpoint.hub import HubRepository, is_repo_id

    if not is_repo_id(source):
        raise CheckpointError(
            f"there is no folder {source}",
            expected="a local folder, the id of a model on the Hub, or 'demo'",
        )
    return HubRepository(source, revision)


def _no_config(source: str, names: frozenset[str]) -> CheckpointError:
    if "adapter_config.json" in names:
        return CheckpointError(
            f"{source} is an adapter without its base model",
            expected="a whole model",
            remedy="merge it with peft's merge_and_unload and save the result",
        )
    if any(name.endswith(".gguf") for name in names):
        return CheckpointError(
            f"{source} holds GGUF files",
            expected="a transformers model: config.json and safetensors",
            remedy="use the checkpoint that the GGUF file was made from",
        )
    return CheckpointError(
        f"{source} has no config.json",
        expected="the folder of a transformers model, with config.json and safetensors",
    )


def _refuse_quantized(config: Config, decoder_config: Config, source: str) -> None:
    quantization = config.get("quantization_config") or decoder_config.get("quantization_config")
    if quantization:
        method = quantization.get("quant_method") if isinstance(quantization, Mapping) else None
        raise UnsupportedModelError(
            f"{source} is quantized ({method or 'quantization_config in its config'})",
            expected="weights in float64, float32, float16 or bfloat16",
            remedy="use the model that it was quantized from",
        )


def _shards(storage: Storage, source: str) -> Mapping[str, str]:
    """Return the file of every tensor."""
    index_path = storage.find(_INDEX)
    if index_path is not None:
        weight_map = read_json(index_path).get("weight_map")
        if not isinstance(weight_map, dict) or not all(
            # A name only: an index must not point out of the model's folder.
            isinstance(shard, str) and Path(shard).name == shard
            for shard in weight_map.values()
        ):
            raise CheckpointError(
                f"{index_path} has no weight_map of tensor and file names",
                remedy="download the file again",
            )
        return weight_map
    tensors = storage.header(_SINGLE)
    if tensors is not None:
        return dict.fromkeys(tensors, _SINGLE)
    names = storage.names()
    if any(name.startswith("model-") and name.endswith(".safetensors") for name in names):
        raise CheckpointError(
            f"{source} has shards but no {_INDEX}", remedy="download the model again, all files"
        )
    pickles = sorted(name for name in names if name.endswith(_PICKLES))
    if pickles:
        raise CheckpointError(
            f"{source} has pickled weights only ({pickles[0]}), which can run code when loaded",
            expected="safetensors",
            remedy="if you trust it, load it with transformers' from_pretrained and write it "
            "with save_pretrained",
        )
    raise CheckpointError(
        f"{source} has no weights", expected=f"{_SINGLE}, or {_INDEX} and its shards"
    )


def _prefix(architecture: Architecture, shards: Mapping[str, str], source: str) -> str:
    """Return what module names begin with, from the first layer's key module."""
    first = architecture.key_value_modules()[0].format(layer=0) + ".weight"
    for prefix in architecture.prefixes:
        if prefix + first in shards:
            return prefix
    raise CheckpointError(
        f"{source} has no tensor {architecture.prefixes[0]}{first}",
        expected=f"the names of the {architecture.family} family",
        remedy="save the model again with transformers' save_pretrained",
    )


class _Tensors:
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
        self._source = source
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
        self._query_rows: int | None = None
        if architecture.modules.query is not None:
            query = prefix + architecture.modules.query.format(layer=0) + ".weight"
            stored = headers.get(shards.get(query, ""), {}).get(query)
            if stored is not None and len(stored.shape) == 2:
                self._query_rows = stored.shape[architecture.transposed]
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
            others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise CheckpointError(
                f"{self._source} has no tensor {missing[0]}{others}",
                expected="keys and values of every layer that the config names",
                remedy="download the model again, all files of it",
            )

    def check_shapes(self, spec: ModelSpec) -> None:
        """Refuse tensors whose shapes are not what the config promises."""
        rows = weight_rows(self._architecture, spec)
        weight = (rows, spec.hidden_size)
        if self._architecture.transposed:
            weight = weight[::-1]
        heads = (
            f"{spec.num_query_heads} query heads, {spec.num_kv_heads} key/value heads of "
            f"{spec.head_dim} and hidden size {spec.hidden_size} in the config"
        )
        for name, tensor in self.tensors.items():
            expected = (rows,) if name.endswith(".bias") else weight
            if tensor.shape != expected:
                raise CheckpointError(
                    f"{name} of {spec.source} has shape {tensor.shape}",
                    expected=f"{expected} for {heads}",
                    remedy="use the config.json that belongs to these weights",
                )
        query_rows = spec.num_query_heads * spec.head_dim
        if self._query_rows not in (None, query_rows):
            raise CheckpointError(
                f"the query weights of {spec.source} have {self._query_rows} rows",
                expected=f"{query_rows} for {heads}",
                remedy="use the config.json that belongs to these weights",
            )
