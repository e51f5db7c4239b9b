"""Which files of a model hold its weights: the same ones that transformers opens."""

from collections.abc import Mapping
from pathlib import Path

from qcqa.errors import CheckpointError
from qcqa.model.config_keys import Config
from qcqa.model.quantized import quantized, quantized_layout, quantizers_mark
from qcqa.model.storage import Storage
from qcqa.reading.file import FileKind
from qcqa.reading.json_file import read_object

#: It names every tensor, as the headers of the files do.
_INDEX_FILE = FileKind(
    "an index of weights", CheckpointError, "download the file again", most_bytes=100_000_000
)
_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".bin.index.json")


def refuse_adapter(names: frozenset[str], source: str) -> None:
    """Refuse a folder with an adapter: transformers would open more, or another model, than we.

    Raises
    ------
    CheckpointError
        If there is an adapter, beside weights or alone.
    """
    if "adapter_config.json" not in names:
        return
    if _SINGLE in names or _INDEX in names:
        raise CheckpointError(
            f"{source} has an adapter beside its weights (adapter_config.json), which "
            "transformers applies when it opens the model",
            expected="the weights of one model",
            remedy="merge it with peft's merge_and_unload and save the result, or remove the "
            "adapter's files to leave it out",
        )
    raise CheckpointError(
        f"{source} is an adapter without its base model",
        expected="a whole model",
        remedy="merge it with peft's merge_and_unload and save the result",
    )


def tensor_files(
    storage: Storage, names: frozenset[str], config: Config, source: str
) -> Mapping[str, str]:
    """Return the file of every tensor.

    As transformers does, ``model.safetensors`` is taken before an index and its shards, and a
    file that the config names before both.

    Parameters
    ----------
    storage : Storage
        The model's files.
    names : frozenset of str
        Their names, as far as they are known.
    config : mapping
        Content of ``config.json``.
    source : str
        What error messages call the model.

    Raises
    ------
    CheckpointError
        If there are no such files, or they are quantized.
    """
    named = config.get("transformers_weights")
    if named is not None:
        return _named_file(storage, str(named), source)
    if _SINGLE not in names:
        # Without a network not all names are known.
        index = storage.find(_INDEX)
        if index is not None:
            return _weight_map(index)
    tensors = storage.header(_SINGLE)
    if tensors is not None:
        return dict.fromkeys(tensors, _SINGLE)
    raise _no_weights(storage, names, source)


def _named_file(storage: Storage, name: str, source: str) -> Mapping[str, str]:
    if Path(name).name == name:
        if name.endswith(".safetensors.index.json"):
            index = storage.find(name)
            if index is not None:
                return _weight_map(index)
        elif name.endswith(".safetensors"):
            tensors = storage.header(name)
            if tensors is not None:
                return dict.fromkeys(tensors, name)
    raise CheckpointError(
        f"{source} has no safetensors file {name}, which transformers_weights in its config names",
        remedy="download the model again, all files of it",
    )


def _weight_map(index: Path) -> Mapping[str, str]:
    weight_map = read_object(index, _INDEX_FILE).get("weight_map")
    if not isinstance(weight_map, dict) or not all(
        # A name only: an index must not point out of the model's folder.
        isinstance(shard, str) and Path(shard).name == shard
        for shard in weight_map.values()
    ):
        raise _INDEX_FILE.damaged(
            index, "it has no weight_map", expected="names of tensors and of files beside it"
        )
    return weight_map


def _no_weights(storage: Storage, names: frozenset[str], source: str) -> CheckpointError:
    """Return what is wrong with a model that has no weights where transformers looks for them."""
    mark = quantizers_mark(names)
    if mark is not None:
        return quantized(source, f"it has {mark}")
    if any(name.startswith("model-") and name.endswith(".safetensors") for name in names):
        return CheckpointError(
            f"{source} has shards but no {_INDEX}", remedy="download the model again, all files"
        )
    others = sorted(name for name in names if name.endswith(".safetensors") and "/" not in name)
    for name in others:
        layout = quantized_layout(storage.header(name) or ())
        if layout is not None:
            return quantized(source, layout)
    pickles = sorted(name for name in names if name.endswith(_PICKLES))
    if pickles:
        return CheckpointError(
            f"{source} has pickled weights only ({pickles[0]}), which can run code when loaded",
            expected="safetensors",
            remedy="if you trust it, load it with transformers' from_pretrained and write it "
            "with save_pretrained",
        )
    if others:
        return CheckpointError(
            f"{source} has its weights under a name that transformers does not look for "
            f"({others[0]})",
            expected=f"{_SINGLE}, or {_INDEX} and its shards",
            remedy="rename the file; a variant such as fp16 can also be opened with "
            "from_pretrained(..., variant=...) and written with save_pretrained",
        )
    return CheckpointError(
        f"{source} has no weights", expected=f"{_SINGLE}, or {_INDEX} and its shards"
    )
