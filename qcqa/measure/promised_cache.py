"""The bytes of a converted model's live KV cache, compared with those that its plan promises."""

from transformers import PreTrainedModel

from qcqa.errors import EvaluationError
from qcqa.measure.cache_bytes import cache_bytes_after, prompt_tokens
from qcqa.model.spec import ModelSpec
from qcqa.plan.plan import Plan


def promised_cache(model: PreTrainedModel, plan: Plan, label: str) -> float:
    """Return the bytes per token of a converted model's live cache.

    Of a cache that packs its tokens they are those of a prompt that is long enough to pack some in
    every way that the plan has.

    Parameters
    ----------
    model : PreTrainedModel
        Made by the plan; it is run once.
    plan : Plan
        What promises the size of its cache.
    label : str
        What to call the model.

    Raises
    ------
    EvaluationError
        If they are not those that the plan promises, in the type in which the model runs.
    """
    dtype = str(model.dtype).removeprefix("torch.")
    tokens = prompt_tokens(model, longest=plan.telling_tokens)
    promised = plan.cache_bytes(tokens, dtype=dtype)
    held = cache_bytes_after(model, tokens)
    if held != promised:
        raise EvaluationError(
            f"the live KV cache of {label} holds {held:,} bytes after {tokens} tokens in {dtype}",
            expected=f"{promised:,}, as the plan promises",
            remedy="report this, with the model's config",
        )
    return held / tokens


def promised_bytes_per_token(spec: ModelSpec, plan: Plan | None, dtype: str) -> float:
    """Return the bytes per token of a model's cache in the type in which it runs.

    Parameters
    ----------
    spec : ModelSpec
        The source.
    plan : Plan or None
        What is made of it; None for the source itself.
    dtype : str
        Type of what is kept at full precision.
    """
    if plan is None:
        return spec.kv_bytes_per_token(dtype)
    return plan.cache_bytes(1, dtype=dtype)
