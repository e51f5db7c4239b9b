"""What comes along with a model's weights: its tokenizer's and processor's data, its licences.

Data come along by name. Code comes along only when it is asked for: without it, a converted folder
that is opened with ``trust_remote_code=True`` runs this project's code and no other.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from qcqa.conversion.source_code import modules_of, processors_of, pruned, references
from qcqa.errors import CheckpointError
from qcqa.files.user_path import why_unreadable
from qcqa.model.config_keys import CONFIG_FILE
from qcqa.model.storage import Storage, own_file
from qcqa.reading.json_file import read_json

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
    processors = processors_of(config.get("auto_map"))
    named = {"config.json": references({"auto_map": processors})}
    for name in _names(storage):
        path = own_file(storage, name)
        if path is None:
            links += [name] if _is_missed(storage, name) else []
            continue
        if why := why_unreadable(path):
            raise CONFIG_FILE.unreadable(path, why)
        content = _json(path) if name.endswith("config.json") else None
        named[name] = references(content)
        kept = pruned(content, with_source_code=with_source_code)
        if kept == content:
            files[name] = path
        else:
            texts[name] = json.dumps(kept, indent=2) + "\n"
    code: dict[str, Path] = {}
    left_out = []
    if with_source_code:
        for name, classes in named.items():
            for reference in classes:
                code |= modules_of(storage, reference, name)
    elif any(named.values()):
        listed = (f"{reference} in {name}" for name in named for reference in named[name])
        left_out.append(
            "code of the source's tokenizer or processor "
            f"({', '.join(listed)}); --with-source-code takes it along"
        )
    if links:
        left_out.append(f"{', '.join(links)}: links out of the model's folder, or to no file")
    return Companions(
        files=files | code,
        texts=texts,
        auto_map=processors if with_source_code else {},
        code=tuple(sorted(code)),
        left_out=tuple(" ".join(line.split()) for line in left_out),
    )


def is_companion(name: str) -> bool:
    """Return whether a file, by its path in the model's folder, comes along as data."""
    folder, _, name = name.rpartition("/")
    if folder:
        return folder in TEMPLATE_FOLDERS and name.endswith(".jinja")
    return name in NAMES or _KINDS.fullmatch(name) is not None or _is_legal(name)


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


def _is_missed(storage: Storage, name: str) -> bool:
    """Return whether what is no file of the model would be one but for a link."""
    path = storage.folder / name
    return path.is_file() or path.is_symlink()


def _json(path: Path) -> Any:
    """Return the content of a JSON file, or None where it is none: transformers reads none."""
    try:
        return read_json(path, CONFIG_FILE)
    except CheckpointError:
        return None
