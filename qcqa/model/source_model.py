"""A checkpoint as transformers opens it: config, tokenizer and model; no code of its own runs."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from qcqa.errors import CheckpointError, EvaluationError
from qcqa.model.checkpoint import Checkpoint
from qcqa.model.device import usable_device


def load_config(checkpoint: Checkpoint) -> PreTrainedConfig:
    """Return a checkpoint's config, with the defaults of its family.

    Raises
    ------
    CheckpointError
        If transformers does not take it.
    """
    location = _location(checkpoint)
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(
            location, revision=_revision(checkpoint), trust_remote_code=False
        )
    # Each family's class checks what it knows of, and raises what it comes across in the rest.
    except Exception as error:
        raise CheckpointError(
            f"transformers does not take the config of {location} ({error})",
            remedy="mend config.json, or download it again",
        ) from error
    return config


def load_tokenizer(checkpoint: Checkpoint) -> PreTrainedTokenizerBase:
    """Return a checkpoint's tokenizer; see :func:`tokenizer_of`."""
    return tokenizer_of(_location(checkpoint), revision=_revision(checkpoint))


def tokenizer_of(location: str, *, revision: str = "main") -> PreTrainedTokenizerBase:
    """Return the tokenizer of a model in a folder or on the Hub.

    Raises
    ------
    EvaluationError
        If there is none that can be loaded, or only by running code that comes with it.
    """
    with tokenizer_errors(location):
        # Not to be left unsaid: transformers would ask on standard input.
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            location, revision=revision, trust_remote_code=False
        )
        # Some of what is wrong with its files shows only now.
        tokenizer.decode(tokenizer("a word").input_ids)
    return tokenizer


@contextmanager
def tokenizer_errors(location: str) -> Iterator[None]:
    """Turn what a tokenizer raises on damaged files, loaded or at work, into one error.

    Its Rust code raises bare exceptions, and where it panics what is no :class:`Exception` at all.

    Raises
    ------
    EvaluationError
        Which says of which model it is.
    """
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        if isinstance(error, ValueError) and "trust_remote_code" in str(error):
            raise EvaluationError(
                f"the tokenizer of {location} is code of its own, which is not run here",
                expected="a tokenizer that transformers has",
                remedy="if you trust it, write it as tokenizer.json with save_pretrained, "
                "and take auto_map out of tokenizer_config.json",
            ) from error
        raise EvaluationError(
            f"{location} has no tokenizer that can be used ({error})",
            expected="the tokenizer's files beside the weights",
        ) from error


def load_model(checkpoint: Checkpoint, *, device: str, dtype: str) -> PreTrainedModel:
    """Return a checkpoint's model.

    Parameters
    ----------
    checkpoint : Checkpoint
        The source.
    device, dtype : str
        Where, and in which type, it is to run, see
        :func:`~qcqa.model.device.usable_device`.

    Raises
    ------
    UnsupportedModelError
        If it is no language model.
    """
    checkpoint.require_language_model()
    model = AutoModelForCausalLM.from_pretrained(
        _location(checkpoint),
        revision=_revision(checkpoint),
        dtype=dtype,
        use_safetensors=True,
        trust_remote_code=False,
    )
    torch.nn.Module.to(model, device)  # its own is hidden from type checkers
    return model


def load_float32(checkpoint: Checkpoint, device: str = "cpu") -> PreTrainedModel:
    """Return a checkpoint's model in float32, in which merged attention is fitted.

    Raises
    ------
    EvaluationError
        If torch does not have the device.
    """
    where = usable_device(device, "float32")
    return load_model(checkpoint, device=where, dtype="float32")


def _location(checkpoint: Checkpoint) -> str:
    """Return where transformers finds a checkpoint: its folder, or its id on the Hub."""
    return str(checkpoint.folder) if checkpoint.folder.is_dir() else checkpoint.spec.source


def _revision(checkpoint: Checkpoint) -> str:
    return checkpoint.spec.revision or "main"
