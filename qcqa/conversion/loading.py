"""Opening a converted checkpoint with this library: nothing in its folder is executed."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel

from qcqa.conversion.travelling.modeling_qcqa import QCQAForCausalLM
from qcqa.conversion.travelling.section_qcqa import SECTION_VERSION, Section
from qcqa.errors import CheckpointError


def load(source: str | Path, **options: Any) -> PreTrainedModel:
    """Open a model that ``convert_checkpoint`` or a converted model's ``save_pretrained`` wrote.

    Parameters
    ----------
    source : str or Path
        A folder, or the id of a converted model on the Hub.
    **options
        As ``from_pretrained`` takes them: ``dtype``, ``device_map``, ``attn_implementation`` …

    Returns
    -------
    PreTrainedModel
        In evaluation mode, in the type of the stored weights unless ``dtype`` says otherwise.

    Raises
    ------
    CheckpointError
        If there is no such model, it has not been converted, or its files do not fit together.
    """
    config, _ = converted_config(source)
    # Nothing in the folder is to run, whatever else is asked for.
    options = {"dtype": "auto", "use_safetensors": True, **options, "trust_remote_code": False}
    model: PreTrainedModel
    with _refused_in_one_line(source):
        # With what it tells of the loading it returns a pair.
        opened: Any = QCQAForCausalLM.from_pretrained(
            source, config=config, **options, output_loading_info=True
        )
        model, about = opened
    if missing := sorted(about["missing_keys"]):
        # Transformers would go on with random numbers.
        raise CheckpointError(
            f"{source} has no weights for {missing[0]}, and {len(missing)} such in all",
            expected="what config.json describes",
        )
    return model


@contextmanager
def _refused_in_one_line(source: str | Path) -> Iterator[None]:
    """Turn whatever transformers comes across in a damaged folder into the project's own error."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise CheckpointError(
            f"{source} cannot be opened ({error})", expected="a converted model"
        ) from error


def converted_config(source: str | Path) -> tuple[PreTrainedConfig, Section]:
    """Return the config of a converted model, and its section ``qcqa``.

    Raises
    ------
    CheckpointError
        If there is no such model, it has not been converted, or by a later release.
    """
    with _refused_in_one_line(source):
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    content = getattr(config, "qcqa", None)
    if content is None:
        raise CheckpointError(
            f"{source} has not been converted",
            expected="a model that qcqa convert wrote",
            remedy="open it with transformers' AutoModelForCausalLM",
        )
    version = content.get("version") if isinstance(content, Mapping) else None
    if isinstance(version, int) and version > SECTION_VERSION:
        raise CheckpointError(
            f"{source} was converted by a later release (section 'qcqa' of version {version})",
            expected=f"version {SECTION_VERSION}",
            remedy="update QCQA Explorer",
        )
    try:
        # Before a model of as many layers is made.
        return config, Section.from_config(config)
    except ValueError as error:
        raise CheckpointError(f"{source} has a damaged section 'qcqa' ({error})") from error
