"""What is particular to the attention of some families, by their configs."""

from collections.abc import Mapping
from typing import Any

#: Models whose code views keys and values with ``-1`` heads and norms them by head, if at all: it
#: goes on with as many heads as the projections make, and repeats those of GQA itself. With any
#: other model or grouping every head gets its copy, which is right for all code.
_TAKES_FEWER_HEADS = frozenset(
    {
        "arcee", "gemma", "gemma2", "gemma3_text", "glm", "glm4", "gpt_oss", "granite",
        "granitemoe", "llama", "ministral", "ministral3", "mistral", "mixtral", "olmo", "phi",
        "phimoe", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "seed_oss", "smollm3", "starcoder2",
    }
)  # fmt: skip


def takes_fewer_heads(config: Mapping[str, Any]) -> bool:
    """Return whether a family's code goes on with as many KV heads as the projections make.

    Parameters
    ----------
    config : mapping
        The part of a config that describes the decoder.
    """
    if config.get("model_type") == "cohere":
        return not config.get("use_qk_norm")
    return config.get("model_type") in _TAKES_FEWER_HEADS


def heads_per_cached_head(
    config: Mapping[str, Any], num_query_heads: int, num_kv_heads: int
) -> int:
    """Return how many copies of a KV head a family's own code hands to the cache.

    Parameters
    ----------
    config : mapping
        The part of a config that describes the decoder.
    num_query_heads, num_kv_heads : int
        Of a layer of the source.
    """
    # The newer Falcons copy each KV head for its query heads and cache the copies.
    if config.get("model_type") == "falcon" and config.get("new_decoder_architecture"):
        return num_query_heads // num_kv_heads
    return 1
