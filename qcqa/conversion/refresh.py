"""Bringing a folder that an earlier release converted up to this one."""

import json
from pathlib import Path

from qcqa.conversion.folder import code_texts
from qcqa.conversion.loading import converted_config
from qcqa.conversion.section import config_entry
from qcqa.conversion.travelling.modeling_qcqa import auto_map
from qcqa.errors import CheckpointError, ConversionError
from qcqa.files.places import require_writable
from qcqa.files.writing import write_text_atomically
from qcqa.model.config_keys import CONFIG_FILE
from qcqa.reading.json_file import read_object


def refresh_converted(folder: str | Path) -> tuple[str, ...]:
    """Replace the code beside a converted model's weights by that of this release.

    The section ``qcqa`` of ``config.json`` is written anew where its form has changed. Weights,
    plan, card and all else stay as they are. Each file is replaced whole or not at all, the config
    last; one that is a link is replaced, not what it leads to.

    Parameters
    ----------
    folder : str or Path
        A folder that ``convert_checkpoint``, or a converted model's ``save_pretrained``, wrote.

    Returns
    -------
    tuple of str
        Names of the files that changed.

    Raises
    ------
    CheckpointError
        If there is no such folder, or it holds no converted model, or one of a later release.
    ConversionError
        If it cannot be written to.
    """
    folder = Path(folder)
    path = folder / "config.json"
    if not path.is_file():
        raise CheckpointError(f"{folder} has no config.json", expected="a converted folder")
    config = read_object(path, CONFIG_FILE)
    _, section = converted_config(folder)
    require_writable(folder)
    named = config.get("auto_map")
    now = config | {
        "auto_map": (named if isinstance(named, dict) else {}) | auto_map(),
        "qcqa": json.loads(json.dumps(config_entry(section))),
    }
    texts = {name: text for name, text in code_texts().items() if _text(folder / name) != text} | (
        {path.name: json.dumps(now, indent=2) + "\n"} if now != config else {}
    )
    try:
        for name, text in texts.items():
            write_text_atomically(folder / name, text)
    except OSError as error:
        raise ConversionError(
            f"{error.filename} cannot be written ({error.strerror})",
            remedy="make room or see to it that you may write there, and refresh again",
        ) from error
    return tuple(texts)


def _text(path: Path) -> str | None:
    """Return what a file holds, or None where it is missing or no text."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
