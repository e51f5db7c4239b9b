"""What every evaluation must know of a model that runs: its device, its limits, its mode."""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.cache_utils import Cache

#: Names under which configs keep the longest context; families without one have none of them.
_CONTEXT_LIMITS = ("max_position_embeddings", "max_seq_len", "seq_length", "n_positions")

#: Logits of one batch at most: 0.5 GiB in bfloat16, 1 GiB in float32.
_LOGITS_OF_A_BATCH = 2**28
_MOST_TOKENS_OF_A_BATCH = 8192


@contextmanager
def evaluating(model: PreTrainedModel) -> Iterator[None]:
    """Put a model in evaluation mode, without gradients; then back as it was."""
    was_training = model.training
    model.train(False)
    try:
        # Not inference mode: what a module keeps from it could not serve in training later.
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


def input_device(model: PreTrainedModel) -> torch.device:
    """Return the device that token ids belong on, for models spread over several as well."""
    return next(model.get_input_embeddings().parameters()).device


def context_limit(model: PreTrainedModel | PreTrainedConfig) -> int | None:
    """Return the longest context in tokens, or None where the model's config names none."""
    config = model if isinstance(model, PreTrainedConfig) else model.config
    text_config = config.get_text_config()
    for name in _CONTEXT_LIMITS:
        limit = getattr(text_config, name, None)
        if isinstance(limit, int) and limit > 0:
            return limit
    return None


def vocabulary_size(model: PreTrainedModel) -> int:
    """Return the number of tokens that the model can read."""
    return int(model.config.get_text_config().vocab_size)


def generating_options(model: PreTrainedModel) -> dict[str, bool | int]:
    """Return with what a model is called where only the next token is wanted."""
    options: dict[str, bool | int] = {"use_cache": True}
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        # Logits of a long prompt may need more memory than its cache.
        options["logits_to_keep"] = 1
    return options


def cache_of(output: Mapping[str, Any]) -> Cache:
    """Return the cache in a model's output; releases of transformers call it by several names."""
    return next(value for value in output.values() if isinstance(value, Cache))


def cache_argument() -> str:
    """Return the name by which models of this release take the cache that they are to go on with.

    It is the one that generation hands over, which every model has to know.
    """
    parameters = inspect.signature(GenerationMixin.prepare_inputs_for_generation).parameters
    return next(
        name
        for name, parameter in parameters.items()
        if Cache.__name__ in str(parameter.annotation)
    )


def read_in_pieces(
    model: PreTrainedModel, ids: Tensor, piece_tokens: int
) -> Iterator[Mapping[str, Any]]:
    """Yield a model's output of each piece of some texts; every piece finds the last one's cache.

    Parameters
    ----------
    model : PreTrainedModel
        A causal language model, where ids are.
    ids : Tensor, shape (B, T)
        The texts; what is shorter is padded on the right.
    piece_tokens : int
        Tokens of each text that are read at a time.
    """
    cache: Cache | None = None
    argument = cache_argument()
    for piece in torch.split(ids, piece_tokens, dim=1):
        output = model(input_ids=piece, use_cache=True, **{argument: cache})
        cache = cache_of(output)
        yield output


def default_batch_tokens(model: PreTrainedModel) -> int:
    """Return how many tokens a batch may have, so that its logits fit beside a large model."""
    return max(1, min(_MOST_TOKENS_OF_A_BATCH, _LOGITS_OF_A_BATCH // vocabulary_size(model)))
