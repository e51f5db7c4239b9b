"""What fits on a GPU, source and plan side by side: a sentence and a table."""

import pandas as pd

from qcqa.plan.budget import GIB, CacheLoad
from qcqa.plan.capacity import Capacity
from qcqa.sizes import bytes_text


def capacity_sentence(
    gpu: str, load: CacheLoad, source: Capacity, plan: Capacity, *, most_tokens: int | None = None
) -> str:
    """Return the longest contexts before and after, in a sentence.

    Parameters
    ----------
    gpu : str
        What to call the GPU.
    load : CacheLoad
        Its batch was asked for.
    source, plan : Capacity
        Of the source model and of the plan's.
    most_tokens : int, optional
        Context that the model was made for.
    """
    where = f"On {gpu}, batch {load.batch_size:,}"
    before, after = source.longest_context_tokens, plan.longest_context_tokens
    if not after:
        need = bytes_text(plan.weight_bytes)
        return f"{where}: no room for a KV cache, the weights alone need {need}"
    sentence = f"{where}: {tokens_text(before)} \N{RIGHTWARDS ARROW} {tokens_text(after)} tokens"
    if most_tokens is not None and before >= most_tokens:
        sentence += f" (the model was made for {most_tokens:,})"
    return sentence


def capacity_table(source: Capacity, plan: Capacity, load: CacheLoad) -> pd.DataFrame:
    """Return a row for the source and one for the plan.

    Parameters
    ----------
    source, plan : Capacity
        Of the source model and of the plan's.
    load : CacheLoad
        For which batch and which context they are.
    """
    return pd.DataFrame(
        {
            "weights, GiB": [capacity.weight_bytes / GIB for capacity in (source, plan)],
            "room for KV cache, GiB": [capacity.cache_bytes / GIB for capacity in (source, plan)],
            f"longest context at batch {load.batch_size:,}": [
                capacity.longest_context_tokens for capacity in (source, plan)
            ],
            f"largest batch at {load.context_tokens:,} tokens": [
                capacity.largest_batch for capacity in (source, plan)
            ],
        },
        index=pd.Index(["source", "plan"], name="model"),
    )


def tokens_text(tokens: int) -> str:
    """Return a number of tokens in as few digits as a decision needs."""
    if tokens < 10_000:
        return f"{tokens:,}"
    if tokens < 1_000_000:
        return f"{tokens // 1000}k"
    return f"{tokens / 1e6:.1f}M" if tokens < 10_000_000 else f"{tokens / 1e6:,.0f}M"
