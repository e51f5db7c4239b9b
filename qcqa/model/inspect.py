"""Say what a model is before anything is searched."""

from dataclasses import dataclass

from qcqa.model.opening import open_checkpoint
from qcqa.model.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class ModelReport:
    """A model that can be searched.

    Parameters
    ----------
    spec : ModelSpec
        Its geometry.
    family : str
        Name of its architecture file.
    bytes_to_read : int
        Bytes of K/V projections that a search reads.
    num_weights, num_layer_weights : int
        Weights in the files that hold K/V projections, nearly always all of the model; and those
        of its layers.
    vocab_size : int or None
        Tokens that it tells apart, where its config says so.
    svd_limits : str or None
        Why the merge ``svd`` cannot do all that it does elsewhere, in a sentence.
    missing_head : str or None
        Why it is no language model, so that plans cannot be carried out on it, if it is none.
    """

    spec: ModelSpec
    family: str
    bytes_to_read: int
    num_weights: int
    num_layer_weights: int
    vocab_size: int | None
    svd_limits: str | None
    missing_head: str | None


def inspect_model(source: str, *, revision: str | None = None) -> ModelReport:
    """Open a model's config and file headers, and refuse it now rather than later.

    Parameters
    ----------
    source : str
        Local folder, Hub id, or ``demo``.
    revision : str, optional
        Branch, tag or commit on the Hub.

    Raises
    ------
    CheckpointError
        If the model cannot be searched, with the reason.
    """
    checkpoint = open_checkpoint(source, revision=revision)
    vocab_size = checkpoint.config.get("vocab_size")
    return ModelReport(
        spec=checkpoint.spec,
        family=checkpoint.architecture.family,
        bytes_to_read=checkpoint.kv_tensor_bytes,
        num_weights=checkpoint.num_weights,
        num_layer_weights=checkpoint.num_layer_weights,
        vocab_size=vocab_size if isinstance(vocab_size, int) else None,
        svd_limits=checkpoint.architecture.svd_limits(checkpoint.config),
        missing_head=checkpoint.missing_head,
    )
