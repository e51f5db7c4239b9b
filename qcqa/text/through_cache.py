"""Which models are measured through their cache, and in what pieces; nothing is loaded for it."""

from qcqa.plan.plan import Plan

#: Tokens that are read at a time where a cache loses something. Fewer would come closer to
#: generation, which stores every token before it reads the next, and take longer. These are fewer
#: than the newest tokens that caches of few bits keep whole (32 and more), so that a token finds
#: nearly the same ones rounded; and blocks of 32 or 64 tokens end where a piece does.
PIECE_TOKENS = 16


def reads_through_cache(plan: Plan) -> bool:
    """Return whether a plan's model is to be measured on what its cache gives back.

    In one call, tokens may attend to each other's keys and values as they were before they were
    stored: no figure of a cache that loses something.
    """
    return plan.has_codecs


def piece_tokens_of(plan: Plan) -> int | None:
    """Return how many tokens a plan's model reads at a time; None for all in one call."""
    return PIECE_TOKENS if reads_through_cache(plan) else None
