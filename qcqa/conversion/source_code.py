"""Code that a source names by ``auto_map`` in its configs: finding it, and taking its name out.

It runs when a folder is opened with ``trust_remote_code=True``.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from transformers.dynamic_module_utils import get_relative_imports

from qcqa.errors import CheckpointError
from qcqa.model.storage import Storage, own_file

#: What ``auto_map`` can name beside models and their configs.
_PROCESSORS = (
    "AutoTokenizer", "AutoProcessor", "AutoImageProcessor", "AutoVideoProcessor",
    "AutoFeatureExtractor",
)  # fmt: skip
#: Entries of a model's config that name code.
_NAMES_OF_CODE = ("auto_map", "custom_pipelines")


def without_foreign_code(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model's config without the code that it names: none of it fits shared heads."""
    return {name: pruned(part) for name, part in config.items() if name not in _NAMES_OF_CODE}


def references(content: Any) -> list[str]:
    """Return the classes of tokenizers and processors that a config names, as ``module.Class``.

    Processors nest, and so do their configs.
    """
    parts = content.values() if isinstance(content, dict) else content
    nested = parts if isinstance(content, dict | list) else ()
    processors = processors_of(content.get("auto_map")) if isinstance(content, dict) else {}
    return [*_strings(processors), *(name for part in nested for name in references(part))]


def pruned(content: Any, *, with_source_code: bool = False) -> Any:
    """Return a config without any ``auto_map``, or with those of tokenizers and processors."""
    if isinstance(content, list):
        return [pruned(part, with_source_code=with_source_code) for part in content]
    if not isinstance(content, dict):
        return content
    kept = {
        name: pruned(part, with_source_code=with_source_code)
        for name, part in content.items()
        if name != "auto_map"
    }
    entries = processors_of(content.get("auto_map")) if with_source_code else {}
    return kept | ({"auto_map": entries} if entries else {})


def processors_of(auto_map: Any) -> dict[str, Any]:
    """Return the entries of an ``auto_map`` that are no models and no configs."""
    if isinstance(auto_map, list):  # of a tokenizer, as early releases wrote it
        return {"AutoTokenizer": auto_map}
    entries = auto_map if isinstance(auto_map, dict) else {}
    return {name: entries[name] for name in _PROCESSORS if entries.get(name)}


def _strings(value: Any) -> Iterator[str]:
    """Yield the texts in a JSON value: an entry is a name, a pair of them, or one per backend."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


def modules_of(storage: Storage, reference: str, config: str) -> dict[str, Path]:
    """Return the file that a reference as ``module.Class`` names, and those that it imports.

    Raises
    ------
    CheckpointError
        If one of them is not in the source's folder.
    """
    found: dict[str, Path] = {}
    wanted = [reference.rpartition(".")[0] + ".py"]
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        place = PurePosixPath(name)
        is_plain = not place.is_absolute() and ".." not in place.parts and "--" not in name
        path = own_file(storage, name) if is_plain else None
        if path is None:
            raise CheckpointError(
                f"{config} names the code {reference}, of which {name} is no file of the model",
                expected="all of it inside the model's folder",
                remedy="convert without the source's code, or put it there and name it so",
            )
        found[name] = path
        try:
            imports = get_relative_imports(path)
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path} cannot be read ({error})") from error
        wanted += [(place.parent / f"{module}.py").as_posix() for module in imports]
    return found
