"""The bytes of a converted model's live KV cache, compared with those that its plan promises."""

from transformers import PreTrainedModel

from qcqa.errors import EvaluationError
from qcqa.measure.cache_bytes import cache_bytes_per_token
from qcqa.plan.plan import GroupingPlan


def promised_cache(model: PreTrainedModel, plan: GroupingPlan, label: str) -> float:
    """Return the bytes per token of a converted model's live cache.

    Parameters
    ----------
    model : PreTrainedModel
        Made by the plan; it is run once.
    plan : GroupingPlan
        What promises the size of its cache.
    label : str
        What to call the model.

    Raises
    ------
    EvaluationError
        If they are not those that the plan promises, in the type in which the model runs.
    """
    dtype = str(model.dtype).removeprefix("torch.")
    promised = plan.model.kv_bytes_per_token(num_cached_heads=plan.num_cached_heads, dtype=dtype)
    held = cache_bytes_per_token(model)
    if held != promised:
        raise EvaluationError(
            f"the live KV cache of {label} holds {held:g} bytes per token in {dtype}",
            expected=f"{promised}, as the plan promises",
            remedy="report this, with the model's config",
        )
    return held
