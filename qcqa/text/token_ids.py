"""Token ids that the model has an embedding for: whatever reads tokens asks here first.

A tokenizer with added tokens whose model was never resized is common. On a CPU such an id ends in
an ``IndexError`` deep inside torch, on a GPU in a process that is lost.
"""

from collections.abc import Iterable
from itertools import chain

from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from qcqa.errors import EvaluationError


def embedding_rows(model: PreTrainedModel | PreTrainedConfig) -> int:
    """Return how many tokens a model can read: by its weights, or by its config alone."""
    if isinstance(model, PreTrainedConfig):
        return int(model.get_text_config().vocab_size)
    return len(next(model.get_input_embeddings().parameters()))


def require_embedded(
    texts: Iterable[Iterable[int]],
    tokenizer: PreTrainedTokenizerBase,
    model: PreTrainedModel | PreTrainedConfig,
    *,
    what: str,
) -> None:
    """Refuse tokens that the model's embedding has no row for.

    Parameters
    ----------
    texts : iterable of iterable of int
        Token ids that the model is to read or to predict.
    tokenizer : PreTrainedTokenizerBase
        Where they come from.
    model : PreTrainedModel or PreTrainedConfig
        What is to read them; its config before it is loaded.
    what : str
        What the texts are called.

    Raises
    ------
    EvaluationError
        Which names the first of them. Tokens that no text has are not looked for.
    """
    rows = embedding_rows(model)
    beyond = next((token_id for token_id in chain.from_iterable(texts) if token_id >= rows), None)
    if beyond is None:
        return
    token = tokenizer.convert_ids_to_tokens(int(beyond))
    raise EvaluationError(
        f"the token {token!r} of {what} has the id {beyond}, and the model's embedding has "
        f"{rows} rows",
        expected=f"token ids up to {rows - 1}",
        remedy="use the tokenizer that belongs to these weights, or give the model rows for the "
        "added tokens (resize_token_embeddings) and train them",
    )
