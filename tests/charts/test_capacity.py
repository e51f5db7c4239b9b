"""The sentence and the table of what fits on a GPU."""

import pytest

from qcqa.charts.quality.capacity import capacity_sentence, capacity_table, tokens_text
from qcqa.plan.budget import CacheLoad
from qcqa.plan.capacity import Server, capacity_of
from qcqa.search.result import SearchResult


@pytest.mark.parametrize(
    ("tokens", "text"),
    [(0, "0"), (9_999, "9,999"), (31_999, "31k"), (1_449_999, "1.4M"), (23_400_000, "23M")],
)
def test_tokens_have_few_digits(tokens: int, text: str) -> None:
    assert tokens_text(tokens) == text


def test_source_and_plan_are_side_by_side(result: SearchResult, load: CacheLoad) -> None:
    server = Server(1, 10**6, "bfloat16")
    source = capacity_of(result.spec, server, load)
    plan = capacity_of(result.spec, server, load, kv_bits=24)
    before, after = (tokens_text(one.longest_context_tokens) for one in (source, plan))
    sentence = capacity_sentence("GPU X", load, source, plan, most_tokens=2048)
    assert sentence == (
        f"On GPU X, batch 2: {before} \N{RIGHTWARDS ARROW} {after} tokens"
        " (the model was made for 2,048)"
    )
    assert "made for" not in capacity_sentence("X", load, source, plan, most_tokens=10**9)
    table = capacity_table(source, plan, load)
    assert list(table.index) == ["source", "plan"]
    assert table.loc["plan", "largest batch at 4,096 tokens"] == plan.largest_batch
    assert table.loc["source", "longest context at batch 2"] == source.longest_context_tokens


def test_model_that_does_not_fit_is_said_plainly(result: SearchResult, load: CacheLoad) -> None:
    found = capacity_of(result.spec, Server(1, 10**10, "bfloat16"), load)
    sentence = capacity_sentence("GPU X", load, found, found)
    assert sentence.endswith("no room for a KV cache, the weights alone need 18.6 GiB")
