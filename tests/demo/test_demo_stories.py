"""The corpus: deterministic, inside the vocabulary, and free of what evaluation holds out."""

from itertools import pairwise
from random import Random

import pytest

from qcqa.demo import lexicon as lx
from qcqa.demo.draws import Draw, is_held_out
from qcqa.demo.drills import write_drill, write_quiz, write_reflexives
from qcqa.demo.evaluation_data import make_documents
from qcqa.demo.facts import KINDS, MAKERS, changed
from qcqa.demo.stories import held_out_pairs, stream, write_document, write_story
from qcqa.demo.tokenizer import build_tokenizer, readable, word_ids
from qcqa.demo.world import World, make_people


def test_lexicon_has_no_word_with_two_roles_that_would_confuse_the_held_out_test() -> None:
    assert not set(lx.ADJECTIVES) & (set(lx.THINGS) | set(lx.LIVING))
    for group in (lx.FEMALE, lx.MALE, lx.PETS, lx.TOWNS, lx.THINGS, lx.LIVING, lx.ADJECTIVES):
        assert len(set(group)) == len(group)
    assert not set(lx.FEMALE) & set(lx.MALE)


@pytest.mark.parametrize(
    ("noun", "expected"),
    [("cat", "cats"), ("box", "boxes"), ("pony", "ponies"), ("key", "keys"), ("mouse", "mice"),
     ("torch", "torches"), ("child", "children")],
)  # fmt: skip
def test_plurals(noun: str, expected: str) -> None:
    assert lx.plural(noun) == expected


@pytest.mark.parametrize(
    ("base", "forms"),
    [("walk", ("walks", "walked", "walking")), ("cry", ("cries", "cried", "crying")),
     ("dance", ("dances", "danced", "dancing")), ("hop", ("hops", "hopped", "hopping")),
     ("wash", ("washes", "washed", "washing")), ("sing", ("sings", "sang", "singing"))],
)  # fmt: skip
def test_verb_forms(base: str, forms: tuple[str, str, str]) -> None:
    verb = lx.VERBS[base]
    assert (verb.third, verb.past, verb.ing) == forms


def test_every_plural_and_every_verb_form_differs_from_its_base() -> None:
    assert all(lx.plural(noun) != noun for noun in lx.THINGS + lx.LIVING)
    assert all(len({verb.base, verb.third, verb.ing}) == 3 for verb in lx.VERBS.values())


def test_the_same_key_gives_the_same_story_and_another_key_another() -> None:
    first = write_document(stream("train", 0, 5, 1), 120)
    assert first.words == write_document(stream("train", 0, 5, 1), 120).words
    assert first.words != write_document(stream("train", 0, 5, 2), 120).words
    assert first.words != write_document(stream("train", 1, 5, 1), 120).words


def test_training_text_stays_inside_the_vocabulary_and_shows_no_held_out_pair() -> None:
    known, pairs = word_ids(), 0
    writers = (write_document, write_document, write_drill, write_quiz, write_reflexives)
    for index in range(600):
        write = writers[index % len(writers)]
        words = write(stream("train", 0, index), (62, 126, 254)[index % 3]).words
        assert not [word for word in words if word not in known]
        assert not list(held_out_pairs(words))
        pairs += sum(first in lx.ADJECTIVES for first in words)
    assert pairs > 1000  # the assertion above looked at something


def test_training_names_never_stand_before_a_held_out_verb() -> None:
    bases = {form: verb.base for verb in lx.VERBS.values() for form in (verb.third, verb.past)}
    # "found", "works as" and their like also state facts, which any name may have
    checked = set(lx.INTRANSITIVE) | set(lx.REFLEXIVE)
    factual = {"say", "see", "leave", "find", "lose", "hide", "buy", "break", "take", "work"}
    met = 0
    for index in range(600):
        words = write_document(stream("train", 0, index), 126).words
        for before, (first, second) in zip(["", *words], pairwise(words), strict=False):
            base = bases.get(second)
            # "Anna and Tom laugh" is a subject of its own, which counts by its first name.
            if first in lx.NAMES and before != "and" and base in checked - factual:
                met += 1
                assert not is_held_out(first, base), (first, second)
    assert met > 200


def test_every_held_out_story_shows_a_pair_that_no_training_story_can_show() -> None:
    known = build_tokenizer()
    documents = list(make_documents("heldout", characters=20_000, held_out=True))
    assert len(documents) > 10
    for document in documents:
        words = known.convert_ids_to_tokens(known(document, add_special_tokens=False).input_ids)
        assert list(held_out_pairs(words)), document


def test_calibration_shares_no_story_with_the_held_out_text() -> None:
    calibration = set(make_documents("calibration", characters=20_000, held_out=False))
    held_out = set(make_documents("heldout", characters=20_000, held_out=True))
    assert not calibration & held_out


@pytest.mark.parametrize("kind", KINDS)
def test_each_question_is_answered_by_a_word_of_the_facts_statement(kind: str) -> None:
    for index in range(40):
        draw = Draw(Random(f"{kind}{index}"))
        used: set[str] = set()
        world = World(make_people(draw, 3, used), used)
        fact = MAKERS[kind](draw, world, world.people[0])
        stated = f"{fact.subject} {fact.predicate}".split()
        for question in fact.questions:
            assert question.answer in stated
            assert question.answer not in question.text.split()
            assert question.answer not in question.prefix.split()


def test_a_thing_that_changes_hands_is_asked_about_with_its_new_holder() -> None:
    draw = Draw(Random("hands"))
    used: set[str] = set()
    world = World(make_people(draw, 3, used), used)
    fact = MAKERS["holder"](draw, world, world.people[0])
    new = changed(draw, world, fact)
    assert new is not None
    assert new.person is not None
    assert new.questions[0].answer == new.person.name != world.people[0].name
    assert changed(draw, world, MAKERS["likes"](draw, world, world.people[0])) is None


def test_the_answers_of_a_story_are_where_it_says_they_are() -> None:
    story = write_story(stream("where"), 400)
    assert story.answers
    for position in story.answers:
        before = story.words[:position]
        assert story.words[position] in before[: _last_question(before)]


def _last_question(words: list[str]) -> int:
    return max(index for index, word in enumerate(words) if word == "?")


def test_long_stories_of_every_kind_end() -> None:
    for kind in KINDS:
        assert len(write_story(stream("long", kind), 500, kinds=(kind,)).words) >= 500


def test_text_survives_the_tokenizer() -> None:
    tokenizer = build_tokenizer()
    for index in range(50):
        words = write_document(stream("round trip", index), 120).words
        text = readable(words)
        ids = tokenizer(text).input_ids
        assert ids[1:] == [word_ids()[word] for word in words]
        assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_reflexives_agree_with_their_names() -> None:
    met = 0
    for index in range(100):
        words = write_reflexives(stream("reflexive", index), 100).words
        for name, _, pronoun in zip(words, words[1:], words[2:], strict=False):
            if name in lx.NAMES and pronoun in ("herself", "himself"):
                met += 1
                assert (name in lx.FEMALE) == (pronoun == "herself"), (name, pronoun)
    assert met > 300


def test_a_quiz_asks_only_about_facts_it_has_stated() -> None:
    for index in range(60):
        story = write_quiz(stream("quiz", index), 120)
        assert story.answers
        for position in story.answers:
            assert story.words[position] in story.words[: story.words.index("?")]
