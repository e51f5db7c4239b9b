"""The options that say how large the KV cache may be."""

from typing import Annotated

import typer

from qcqa.errors import BudgetError
from qcqa.plan.budget import CacheLoad, bits_within_gib, bits_within_ratio
from qcqa.plan.budget import parse_ratio as parse_ratio
from qcqa.reduce.stored import COST_CONTEXT
from qcqa.search.result import SearchResult

BudgetOption = Annotated[
    str | None, typer.Option("--budget", help="Share of the source's KV cache: 50% or 0.5.")
]
BudgetGibOption = Annotated[
    float | None, typer.Option("--budget-gib", help="Size of the KV cache in GiB; needs --context.")
]
ContextOption = Annotated[
    int | None, typer.Option("--context", help="Tokens of a sequence.", show_default=False)
]
BatchOption = Annotated[int, typer.Option("--batch", help="Sequences at a time.")]
DtypeOption = Annotated[
    str | None,
    typer.Option("--dtype", help="Type of the cache; that of the weights by default."),
]


def at_budget(
    result: SearchResult,
    *,
    budget: str | None,
    budget_gib: float | None,
    context: int | None,
    batch: int,
    dtype: str | None,
) -> tuple[SearchResult, int]:
    """Return the result at the load that was asked for, and the bits per token within the budget.

    Raises
    ------
    BudgetError
        If not exactly one budget is given, or it is out of range.
    """
    if (budget is None) == (budget_gib is None):
        found = "no budget" if budget is None else "two budgets"
        raise BudgetError(found, expected="either --budget 50% or --budget-gib 8 --context 32768")
    if budget is None and context is None:
        raise BudgetError("--budget-gib without --context", expected="the tokens of a sequence")
    spec = result.spec
    load = CacheLoad(context or COST_CONTEXT, batch, dtype or spec.dtype)
    if budget is not None:
        bits = bits_within_ratio(spec, parse_ratio(budget))
    else:
        bits = bits_within_gib(spec, budget_gib or 0.0, load)
    return result.at(load), bits
