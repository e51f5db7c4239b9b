"""One prompt, a source and its plans: what is told, in which order, and what is refused."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from qcqa.errors import CheckpointError, EvaluationError, PlanError
from qcqa.jobs.run import open_run
from qcqa.measure.generate_by_plans import generate_side_by_side
from qcqa.measure.generated import (
    GenerationProgress,
    GenerationSettings,
    TextBegan,
    TextEnded,
    texts_of,
)
from qcqa.packaged import demo_run_folder
from qcqa.pick.plan import plan_of_result
from qcqa.plan.plan import Plan

#: Bits per token of one head of the demo model: 32 elements of 16 bits.
HEAD = 512

SETTINGS = GenerationSettings("Marco likes eggs. Who likes eggs?", 6)


@pytest.fixture(scope="module")
def plans() -> list[Plan]:
    folder = demo_run_folder()
    assert folder is not None
    result = open_run(folder).result()
    return [plan_of_result(result, heads * HEAD, method="gqa") for heads in (48, 24)]


def test_the_source_comes_first_and_one_model_ends_before_the_next_begins(
    plans: Sequence[Plan],
) -> None:
    seen: list[GenerationProgress] = []
    source, half, quarter = generate_side_by_side("demo", plans, SETTINGS, on_progress=seen.append)
    assert source.text.startswith(" Marco likes eggs.")
    assert [text.method for text in (source, half, quarter)] == ["mha", "gqa", "gqa"]
    assert [text.kv_ratio for text in (source, half, quarter)] == [1, 0.5, 0.25]
    events = [one.generated for one in seen if one.generated is not None]
    assert [type(one) for one in events if isinstance(one, TextBegan | TextEnded)] == [
        TextBegan,
        TextEnded,
    ] * 3
    assert texts_of(events) == (source, half, quarter)
    fractions = [one.fraction for one in seen]
    assert all(earlier <= later for earlier, later in pairwise(fractions))
    assert (fractions[0], fractions[-1]) == (0, 1)


def test_every_cache_holds_what_its_plan_promises(plans: Sequence[Plan]) -> None:
    texts = generate_side_by_side("demo", plans, SETTINGS, dtype="float32")
    for text, heads in zip(texts, (96, 48, 24), strict=True):
        figures = text.figures
        assert figures is not None
        # 32 numbers a head, 4 bytes each.
        assert text.promised_bytes_per_token == heads * 32 * 4
        assert figures.cache_bytes == text.promised_bytes_per_token * figures.cached_tokens


def test_a_plan_that_changes_nothing_says_what_the_source_says() -> None:
    folder = demo_run_folder()
    assert folder is not None
    whole = plan_of_result(open_run(folder).result(), 96 * HEAD, method="optimal")
    source, same = generate_side_by_side("demo", [whole], SETTINGS)
    assert same.token_ids == source.token_ids
    assert same.differs_at(source) is None


def test_what_cannot_be_generated_is_refused_before_weights_are_read(
    plans: Sequence[Plan], tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qcqa.model.source_model.AutoModelForCausalLM", None)
    with pytest.raises(EvaluationError, match="no tokenizer that can be used"):
        generate_side_by_side(str(tiny_llama), [], SETTINGS)
    with pytest.raises(PlanError, match="a plan for demo"):
        generate_side_by_side(str(tiny_llama), plans, SETTINGS)
    with pytest.raises(CheckpointError, match="no folder"):
        generate_side_by_side("./gone", [], SETTINGS)
    with pytest.raises(EvaluationError, match="dtype 'int8'"):
        generate_side_by_side("demo", [], SETTINGS, dtype="int8")


def test_a_prompt_longer_than_the_context_is_one_line() -> None:
    with pytest.raises(EvaluationError, match="a prompt of 601 tokens; expected at most 511"):
        generate_side_by_side("demo", [], GenerationSettings("eggs " * 600, 1))


def test_no_prompt_is_the_beginning_of_a_story() -> None:
    (source,) = generate_side_by_side("demo", [], GenerationSettings("", 5))
    assert source.figures is not None
    assert source.figures.prompt_tokens == 1
    assert source.text[:1].isupper()
