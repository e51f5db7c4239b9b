"""Opening a model: everything that can be refused without reading its weights is refused here."""

from collections.abc import Mapping

from qcqa.errors import CheckpointError
from qcqa.files.user_path import is_folder, user_path
from qcqa.model.architecture import Architecture
from qcqa.model.checkpoint import Checkpoint
from qcqa.model.config_keys import CONFIG_FILE, Config, first_of, nested
from qcqa.model.families import architecture_of, refuse_converted
from qcqa.model.geometry import geometry_of
from qcqa.model.kv_tensors import KVTensors
from qcqa.model.language_head import missing_head
from qcqa.model.quantized import quantized, quantized_layout, refuse_quantized_config
from qcqa.model.spec import ModelSpec
from qcqa.model.storage import LocalFolder, Storage
from qcqa.model.weight_files import refuse_adapter, tensor_files
from qcqa.model.wrapped import refuse_wrapped
from qcqa.packaged import demo_model_folder
from qcqa.reading.json_file import read_object


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
        in shape. A model without a language-model head can be opened; see
        :meth:`~qcqa.model.Checkpoint.require_language_model`.
    CheckpointError
        If files or tensors are missing, damaged or not what the config promises.
    """
    storage = _storage_of(source, revision)
    config_path = storage.find("config.json")
    names = storage.names()
    refuse_adapter(names, source)
    if config_path is None:
        raise _no_config(source, names)
    config = read_object(config_path, CONFIG_FILE)
    # Its K and V weights do not have the shapes any more that are expected of its family.
    refuse_converted(config, source)
    architecture, decoder_config = architecture_of(config, source=source)
    refuse_quantized_config(config, decoder_config, source)
    geometry = geometry_of(architecture, decoder_config, source=source)
    shards = tensor_files(storage, names, config, source)
    layout = quantized_layout(shards)
    if layout is not None:
        raise quantized(source, layout)
    prefix = _prefix(architecture, shards, source)
    found = KVTensors(architecture, prefix, shards, storage, source, geometry.num_layers)
    spec = ModelSpec(
        source=source,
        revision=storage.revision,
        model_type=str(config["model_type"]),
        **geometry.model_dump(),
        has_kv_bias=found.has_bias,
        dtype=found.dtype,
    )
    found.check_shapes(spec)
    _refuse_positions(architecture, decoder_config, spec)
    stated = first_of({**config, **nested(config, "text_config")}, architecture.geometry.num_layers)
    found.check_config(decoder_config, names_layers=stated is not None)
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
        missing_head=missing_head(config, decoder_config, shards),
    )


def _refuse_positions(architecture: Architecture, config: Config, spec: ModelSpec) -> None:
    """Refuse a config that says of positions what no model can do."""
    try:
        architecture.rotary_dim(config, spec.head_dim)
        for layer in range(spec.num_layers):
            architecture.rotates(config, layer)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise CheckpointError(
            f"the config of {spec.source} tells how positions enter, but not in a way that can be "
            f"({error})",
            remedy="mend config.json",
        ) from error


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
    from qcqa.model.hub import HubRepository, is_repo_id

    if not is_repo_id(source):
        raise CheckpointError(
            f"there is no folder {source}",
            expected="a local folder, the id of a model on the Hub, or 'demo'",
        )
    return HubRepository(source, revision)


def _no_config(source: str, names: frozenset[str]) -> CheckpointError:
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


def _prefix(architecture: Architecture, shards: Mapping[str, str], source: str) -> str:
    """Return what module names begin with, from the first layer's key module."""
    first = architecture.key_value_modules()[0].format(layer=0) + ".weight"
    for prefix in architecture.prefixes:
        if prefix + first in shards:
            return prefix
    refuse_wrapped(shards, [prefix + first for prefix in architecture.prefixes], source)
    raise CheckpointError(
        f"{source} has no tensor {architecture.prefixes[0]}{first}",
        expected=f"the names of the {architecture.family} family",
        remedy="save the model again with transformers' save_pretrained",
    )
