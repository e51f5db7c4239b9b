"""What comes along with a model's weights: its tokenizer's and processor's data, its licences.

Data come along by name. Code comes along only when it is asked for: without it, a converted folder
that is opened with ``trust_remote_code=True`` runs this project's code and no other.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from transformers.dynamic_module_utils import get_relative_imports

from qcqa.checkpoint.storage import Storage
from qcqa.errors import CheckpointError

#: Data that transformers' tokenizers and processors read, of any family.
NAMES = frozenset(
    {
        "added_tokens.json", "audio_tokenizer_config.json", "bpe.codes", "byte_maps.json",
        "chat_template.json", "dict.txt", "emoji.json", "entity_vocab.json",
        "generation_config.json", "merges.txt", "normalizer.json", "preprocessor_config.json",
        "processor_config.json", "prophetnet.tokenizer", "source.spm", "special_tokens_map.json",
        "target.spm", "target_vocab.json", "tekken.json", "tokenizer.json",
        "tokenizer_config.json", "video_preprocessor_config.json", "vocab-src.json",
        "vocab-tgt.json", "vocab.json", "vocab.txt", "word_pronunciation.json", "word_shape.json",
    }
)  # fmt: skip
#: Kinds of data that each model names as it likes: sentencepiece, tiktoken, chat templates;
#: and the tokenizers of later releases of transformers and of Mistral's own library.
_KINDS = re.compile(r".+\.(model|tiktoken|jinja)|tokenizer\.[\d.]+\.json|tokenizer\.model\.v\d+\w*")
#: Folders of chat templates.
TEMPLATE_FOLDERS = ("additional_chat_templates", "chat_templates")

_LEGAL_WORDS = {"copying", "copyright", "licence", "license", "notice", "notices", "policy"}
_LEGAL_ENDINGS = {"", ".md", ".pdf", ".rst", ".txt"}

#: What ``auto_map`` can name beside models and their configs.
_PROCESSORS = (
    "AutoTokenizer", "AutoProcessor", "AutoImageProcessor", "AutoVideoProcessor",
    "AutoFeatureExtractor",
)  # fmt: skip
#: Entries of a model's config that name code.
_NAMES_OF_CODE = ("auto_map", "custom_pipelines")


@dataclass(frozen=True)
class Companions:
    """What comes along from a source, and what does not.

    Parameters
    ----------
    files : dict of str to Path
        What is copied, by name in the folder.
    texts : dict of str to str
        Configs that are written anew, because they named code that stays behind.
    auto_map : dict
        The code of tokenizer and processor that ``config.json`` goes on naming.
    code : tuple of str
        Which of the files are code of the source's own.
    left_out : tuple of str
        What stays behind and why, a line each.
    """

    files: dict[str, Path] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    auto_map: dict[str, Any] = field(default_factory=dict)
    code: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def num_bytes(self) -> int:
        """Bytes of the files."""
        return sum(path.stat().st_size for path in self.files.values())


def companions_of(
    storage: Storage, config: Mapping[str, Any], *, with_source_code: bool = False
) -> Companions:
    """Return what comes along from a source; nothing is written.

    Parameters
    ----------
    storage : Storage
        The source's files.
    config : mapping
        Its ``config.json``.
    with_source_code : bool
        Whether the code of its tokenizer and processor is to come along.

    Raises
    ------
    CheckpointError
        If a file cannot be read, or code is to come along that the source's folder does not hold.
    """
    files: dict[str, Path] = {}
    texts: dict[str, str] = {}
    links: list[str] = []
    own_map = _processors_of(config.get("auto_map"))
    named = {"config.json": list(_strings(own_map))}
    for name in _names(storage):
        path = storage.find(name)
        if path is None or not _is_inside(path, storage.folder):
            # A folder of such a name is no companion; a link to nothing is one that is missing.
            if path is not None or (storage.folder / name).is_symlink():
                links.append(name)
            continue
        _require_readable(path)
        content = _json(path) if name.endswith("config.json") else None
        named[name] = [text for one in _auto_maps(content) for text in _strings(one)]
        kept = _pruned(content, with_source_code=with_source_code)
        if kept == content:
            files[name] = path
        else:
            texts[name] = json.dumps(kept, indent=2) + "\n"
    code: dict[str, Path] = {}
    left_out = []
    if with_source_code:
        for name, references in named.items():
            for reference in references:
                code |= _modules(storage, reference, name)
    elif any(named.values()):
        listed = (f"{reference} in {name}" for name in named for reference in named[name])
        left_out.append(
            "code of the source's tokenizer or processor "
            f"({' '.join(', '.join(listed).split())}); --with-source-code takes it along"
        )
    if links:
        left_out.append(f"{', '.join(links)}: links out of the model's folder, or to no file")
    return Companions(
        files=files | code,
        texts=texts,
        auto_map=own_map if with_source_code else {},
        code=tuple(sorted(code)),
        left_out=tuple(left_out),
    )


def is_companion(name: str) -> bool:
    """Return whether a file, by its path in the model's folder, comes along as data."""
    folder, _, name = name.rpartition("/")
    if folder:
        return folder in TEMPLATE_FOLDERS and name.endswith(".jinja")
    return name in NAMES or _KINDS.fullmatch(name) is not None or _is_legal(name)


def without_foreign_code(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model's config without the code that it names: none of it fits shared heads."""
    return {name: _pruned(part) for name, part in config.items() if name not in _NAMES_OF_CODE}


def _is_legal(name: str) -> bool:
    path = PurePosixPath(name.lower())
    words = set(re.split(r"[^a-z]+", path.stem))
    return path.suffix in _LEGAL_ENDINGS and not words.isdisjoint(_LEGAL_WORDS)


def _names(storage: Storage) -> list[str]:
    """Return the names of all companions, links to nothing among them."""
    here = {
        path.relative_to(storage.folder).as_posix()
        for folder in ("", *TEMPLATE_FOLDERS)
        for path in (storage.folder / folder).glob("*")
    }
    return sorted(filter(is_companion, here | storage.names()))


def _is_inside(path: Path, folder: Path) -> bool:
    """Return whether a file lies in the model's folder, links followed.

    The Hub's cache keeps ``models--org--name/blobs`` and ``.../snapshots/<commit>``; the files of
    a snapshot are links to blobs.
    """
    inside = [folder.resolve()]
    repository = inside[0].parent.parent
    if inside[0].parent.name == "snapshots" and repository.name.startswith("models--"):
        inside.append(repository / "blobs")
    return any(path.resolve().is_relative_to(one) for one in inside)


def _require_readable(path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror})") from error


def _json(path: Path) -> Any:
    """Return the content of a JSON file, or None where it is none: transformers reads none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None


def _auto_maps(content: Any) -> Iterator[Mapping[str, Any]]:
    """Yield what each ``auto_map`` in a JSON value names: processors nest."""
    if isinstance(content, dict):
        yield _processors_of(content.get("auto_map"))
    parts = content.values() if isinstance(content, dict) else content
    for part in parts if isinstance(content, dict | list) else ():
        yield from _auto_maps(part)


def _pruned(content: Any, *, with_source_code: bool = False) -> Any:
    """Return a JSON value whose every ``auto_map`` names at most tokenizers and processors."""
    if isinstance(content, list):
        return [_pruned(part, with_source_code=with_source_code) for part in content]
    if not isinstance(content, dict):
        return content
    pruned = {
        name: _pruned(part, with_source_code=with_source_code)
        for name, part in content.items()
        if name != "auto_map"
    }
    entries = _processors_of(content.get("auto_map")) if with_source_code else {}
    return pruned | ({"auto_map": entries} if entries else {})


def _processors_of(auto_map: Any) -> dict[str, Any]:
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


def _modules(storage: Storage, reference: str, config: str) -> dict[str, Path]:
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
        path = storage.find(name) if is_plain else None
        if path is None or not _is_inside(path, storage.folder):
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
