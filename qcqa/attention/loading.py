"""Opening a converted checkpoint with this library: nothing in its folder is executed."""

from pathlib import Path
from typing import Any

from transformers import AutoConfig, PreTrainedModel

from qcqa.attention.remote.modeling_qcqa import QCQAForCausalLM
from qcqa.attention.remote.section_qcqa import Section
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
        If there is no such model, or it has not been converted.
    """
    try:
        config = AutoConfig.from_pretrained(source)
    except OSError as error:
        raise CheckpointError(
            f"{source} cannot be opened ({error})", expected="a converted model"
        ) from error
    if getattr(config, "qcqa", None) is None:
        raise CheckpointError(
            f"{source} has not been converted",
            expected="a model that qcqa convert wrote",
            remedy="open it with transformers' AutoModelForCausalLM",
        )
    try:
        Section.from_config(config)
    except ValueError as error:
        raise CheckpointError(f"{source}: {error}") from error
    options = {"dtype": "auto", "use_safetensors": True, **options}
    return QCQAForCausalLM.from_pretrained(source, config=config, **options)
