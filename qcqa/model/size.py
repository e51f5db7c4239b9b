"""How large a model is, from the headers of its files."""

from dataclasses import dataclass, replace
from pathlib import Path

from qcqa.errors import CheckpointError
from qcqa.files.user_path import is_folder, user_path
from qcqa.model.checkpoint import Checkpoint
from qcqa.model.opening import open_checkpoint
from qcqa.model.spec import ModelSpec

#: Where configs say how many positions a model was made for; the first counts, as in an evaluation.
_POSITIONS = ("max_position_embeddings", "max_seq_len", "seq_length", "n_positions")


@dataclass(frozen=True, slots=True)
class ModelSize:
    """Size of a model.

    Parameters
    ----------
    num_parameters : int
        Weights in its files; tied ones once.
    most_tokens : int or None
        Context that it was made for, where its config says so.
    """

    num_parameters: int
    most_tokens: int | None


def model_size(source: str, *, revision: str | None = None) -> ModelSize:
    """Read a model's config and the headers of its files.

    Parameters
    ----------
    source : str
        Local folder, Hub id, or ``demo``.
    revision : str, optional
        Branch, tag or commit on the Hub.

    Raises
    ------
    CheckpointError
        If the model is not there, or cannot be searched.
    """
    return _size(open_checkpoint(source, revision=revision))


def size_on_this_machine(spec: ModelSpec) -> ModelSize | None:
    """Return a model's size without asking the network, or None if it is not here any more.

    Parameters
    ----------
    spec : ModelSpec
        As a search kept it.
    """
    try:
        folder = _local_source(spec)
        if folder is None:
            return None
        checkpoint = open_checkpoint(folder)
        # Another model may lie there by now.
        is_same = replace(checkpoint.spec, source=spec.source, revision=spec.revision) == spec
        return _size(checkpoint) if is_same else None
    except CheckpointError:
        return None


def _size(checkpoint: Checkpoint) -> ModelSize:
    limits = (checkpoint.config.get(name) for name in _POSITIONS)
    return ModelSize(
        num_parameters=checkpoint.num_parameters(),
        most_tokens=next((most for most in limits if isinstance(most, int) and most > 0), None),
    )


def _local_source(spec: ModelSpec) -> str | None:
    if spec.source == "demo" or is_folder(user_path(spec.source, CheckpointError), CheckpointError):
        return spec.source
    if spec.revision is None:
        return None
    # Here, because the Hub's client is slow to import and a local model does without.
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(spec.source, "config.json", revision=spec.revision)
    return str(Path(config).parent) if isinstance(config, str) else None
