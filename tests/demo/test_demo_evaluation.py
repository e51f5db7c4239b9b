"""The evaluation data: well-formed pairs, answerable questions, scores that tell good from bad."""

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoTokenizer

from qcqa.demo import lexicon as lx
from qcqa.demo.minimal_pairs import PARADIGMS, MinimalPair, make_pairs
from qcqa.demo.model import DemoShape, build_model
from qcqa.demo.pooled import mean_pooled
from qcqa.demo.recall import RecallQuestion, make_questions
from qcqa.demo.score import answer_questions, distance_range, score_pairs, score_text
from qcqa.demo.tokenizer import UNK, build_tokenizer, save_tokenizer
from qcqa.errors import GroupingError

TINY = DemoShape(hidden_size=32, num_layers=2, num_heads=4, intermediate_size=32)


@pytest.fixture(scope="module")
def pairs() -> list[MinimalPair]:
    return list(make_pairs(1, per_paradigm=60))


@pytest.fixture(scope="module")
def questions() -> list[RecallQuestion]:
    return list(make_questions(1, count=150))


def test_pairs_differ_in_one_word_and_are_made_anew_the_same(pairs: list[MinimalPair]) -> None:
    assert pairs == list(make_pairs(1, per_paradigm=60))
    assert Counter(pair.paradigm for pair in pairs) == dict.fromkeys(PARADIGMS, 60)
    tokenizer = build_tokenizer()
    for pair in pairs:
        good, bad = tokenizer(pair.good).input_ids, tokenizer(pair.bad).input_ids
        assert len(good) == len(bad)
        assert sum(a != b for a, b in zip(good, bad, strict=True)) == 1, pair
        assert UNK not in good + bad
    assert len({pair.good for pair in pairs}) == len(pairs)


def test_good_sentences_agree_and_bad_ones_do_not(pairs: list[MinimalPair]) -> None:
    for pair in pairs:
        if pair.paradigm == "anaphor_gender_agreement":
            name, female = pair.good.split()[0], "herself" in pair.good
            assert (name in lx.FEMALE) == female
            assert ("herself" in pair.bad) != female
        if pair.paradigm.startswith("determiner_noun"):
            good, bad = pair.good.rstrip(".").split(), pair.bad.rstrip(".").split()
            is_plural = bool({"these", "those", "many", "several"} & set(good))
            singular = bad[-1] if is_plural else good[-1]
            assert lx.plural(singular) == (good[-1] if is_plural else bad[-1])


def test_bad_sentences_occur_nowhere_among_the_good_ones(pairs: list[MinimalPair]) -> None:
    assert not {pair.good for pair in pairs} & {pair.bad for pair in pairs}


def test_recall_questions_can_be_answered_from_the_story_alone(
    questions: list[RecallQuestion],
) -> None:
    tokenizer = build_tokenizer()
    for question in questions:
        assert question.fact in question.context
        assert question.answer in question.choices
        assert len(set(question.choices)) == len(question.choices) >= 3
        words = tokenizer.convert_ids_to_tokens(
            tokenizer(question.context, add_special_tokens=False).input_ids
        )
        assert set(question.choices) <= set(words)
        # The distance leads back to the answer, which stands in the fact's statement.
        at = len(words) - question.distance
        assert words[at] == question.answer
        stated = tokenizer.convert_ids_to_tokens(
            tokenizer(question.fact, add_special_tokens=False).input_ids
        )
        offset = stated.index(question.answer)
        assert words[at - offset : at - offset + len(stated)] == stated


def test_the_fact_asked_about_is_stated_once(questions: list[RecallQuestion]) -> None:
    for question in questions:
        asked = question.context[: -1].rpartition("?")[0] if question.context[-1] != "?" else (
            question.context[:-1])  # fmt: skip
        own = max(asked.rpartition("?")[2], asked.rpartition(".")[2], key=len).strip()
        assert question.context.count(f"{own}?") <= 1
        assert question.context.count(question.fact) == 1


def test_most_answers_stand_far_back(questions: list[RecallQuestion]) -> None:
    assert sum(question.distance >= 60 for question in questions) > 0.9 * len(questions)
    assert [distance_range(value) for value in (10, 60, 139, 200)] == [
        "under 60", "60-99", "100-139", "180 and more"]  # fmt: skip


class Oracle(torch.nn.Module):
    """Knows a few sequences by heart: the next token of each is certain, all else is even."""

    def __init__(self, sequences: list[list[int]], size: int) -> None:
        super().__init__()
        self.anchor = torch.nn.Parameter(torch.zeros(1))
        self.sequences, self.size = sequences, size

    def forward(self, input_ids: torch.Tensor, **_: object) -> SimpleNamespace:
        logits = torch.zeros(*input_ids.shape, self.size)
        for row, ids in enumerate(input_ids.tolist()):
            for known in self.sequences:
                for place in range(len(known) - 1):
                    if ids[: place + 1] == known[: place + 1]:
                        logits[row, place, known[place + 1]] += 20.0
        return SimpleNamespace(logits=logits)


def test_a_model_that_knows_the_good_sentences_scores_full_marks() -> None:
    tokenizer = build_tokenizer()
    pair = {"paradigm": "x", "good": "The cat sleeps.", "bad": "The cat sleep."}
    longer = {"paradigm": "y", "good": "The cats near the box sleep.",
              "bad": "The cats near the box sleeps."}  # fmt: skip
    good = [tokenizer(p["good"]).input_ids for p in (pair, longer)]
    bad = [tokenizer(p["bad"]).input_ids for p in (pair, longer)]
    assert score_pairs(Oracle(good, len(tokenizer)), tokenizer, [pair, longer]) == {"x": 1, "y": 1}
    assert score_pairs(Oracle(bad, len(tokenizer)), tokenizer, [pair, longer]) == {"x": 0, "y": 0}


def test_recall_and_text_scores_follow_the_models_answers() -> None:
    tokenizer = build_tokenizer()
    context = "Anna has the kite. Tom has the drum. Who has the kite?"
    question = {"context": context, "answer": "Anna", "choices": ["Tom", "Anna"], "distance": 12}
    right = Oracle([tokenizer(f"{context} Anna").input_ids], len(tokenizer))
    wrong = Oracle([tokenizer(f"{context} Tom").input_ids], len(tokenizer))
    other = Oracle([tokenizer(f"{context} The").input_ids], len(tokenizer))
    assert [(h.among_choices, h.exact) for h in answer_questions(right, tokenizer, [question])] == [
        (True, True)]  # fmt: skip
    assert [(h.among_choices, h.exact) for h in answer_questions(wrong, tokenizer, [question])] == [
        (False, False)]  # fmt: skip
    assert not answer_questions(other, tokenizer, [question])[0].exact
    loss, accuracy = score_text(right, tokenizer, [context])
    assert loss < 0.1
    assert accuracy == 1


def test_padding_does_not_change_scores() -> None:
    tokenizer, model = build_tokenizer(), build_model(TINY, seed=1).eval()
    documents = ["The cat sleeps.", "Anna has the kite. Who has the kite? Anna has the kite."]
    lengths = [len(tokenizer(document).input_ids) - 1 for document in documents]
    alone = [score_text(model, tokenizer, [document])[0] for document in documents]
    together = score_text(model, tokenizer, documents)[0]
    expected = sum(a * n for a, n in zip(alone, lengths, strict=True)) / sum(lengths)
    assert together == pytest.approx(expected, abs=1e-5)


def test_pooling_into_as_many_groups_as_heads_changes_nothing_and_into_one_makes_heads_equal() -> (
    None
):
    model = build_model(TINY, seed=1)
    ids = torch.arange(5, 25)[None]
    same = mean_pooled(model, 4)(input_ids=ids).logits
    assert torch.equal(same, model(input_ids=ids).logits)
    pooled = mean_pooled(model, 1)
    heads = pooled.model.layers[0].self_attn.k_proj.weight.unflatten(0, (4, -1))
    source = model.model.layers[0].self_attn.k_proj.weight.unflatten(0, (4, -1))
    assert torch.allclose(heads, source.mean(0, keepdim=True).expand_as(heads))
    with pytest.raises(GroupingError, match="3 equal groups"):
        mean_pooled(model, 3)


def test_the_saved_tokenizer_opens_offline(tmp_path: Path) -> None:
    save_tokenizer(tmp_path)
    opened = AutoTokenizer.from_pretrained(tmp_path)
    text = "Anna said: “The red kite is old.” Who has Tom's box?"
    assert opened(text).input_ids == build_tokenizer()(text).input_ids
    assert opened.decode(opened(text).input_ids, skip_special_tokens=True) == text
