"""Stories: facts, filler, changes, repeated sentences and many questions, in a random order.

A story is a list of words and marks. It grows until its budget of tokens is used up, so the same
code makes the short stories that training starts with and the long ones that it ends with.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

from qcqa.demo import lexicon as lx
from qcqa.demo.draws import Draw, is_held_out
from qcqa.demo.facts import KINDS, MAKERS, changed
from qcqa.demo.grammar import capitalised, sentence
from qcqa.demo.world import Fact, Question, World, make_people

_OPENERS = ("Once upon a time ,", "One day ,", "That day ,", "Today ,", "It is true that",
            "Everyone knows that", "We know that")  # fmt: skip
_RECALLS = ("Remember :", "As we know ,", "It is still true :", "Again :")
# There are only so many days, colours and numbers, and no two facts of a story share one.
_MOST = {"comes": 5, "colour": 6, "age": 6, "count": 6, "price": 6}
_SINGULAR = {lx.plural(noun): noun for noun in lx.THINGS + lx.LIVING}
_SINGULAR.update({noun: noun for noun in lx.THINGS + lx.LIVING})
_ADJECTIVES = frozenset(lx.ADJECTIVES)


@dataclass(slots=True)
class Story:
    """Words of a story in the making.

    Attributes
    ----------
    words
        The text so far.
    answers
        Positions in ``words`` of answers to questions: what only a look back can predict.
    """

    words: list[str] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    def add(self, text: str) -> None:
        """Append one sentence whose words are separated by blanks."""
        self.words += text.split()

    def ask(self, question: Question) -> None:
        """Append a question and its answering sentence."""
        self.add(question.text)
        self.words += f"{question.prefix} {question.answer} {question.rest}".split()
        self.answers.append(len(self.words) - len(question.rest.split()) - 1)


def statement(draw: Draw, fact: Fact) -> str:
    """Return one way to state a fact."""
    if fact.other and draw.chance(0.45):
        return fact.other[int(draw.rng.random() * len(fact.other))]
    plain = f"{fact.subject} {fact.predicate}"
    if draw.chance(0.08):
        plain = f"{draw.one(_OPENERS)} {plain}"
    return capitalised(plain if plain.endswith("”") else f"{plain} .")


def plan(draw: Draw, world: World, count: int, kinds: tuple[str, ...]) -> list[Fact]:
    """Draw the facts of a story: few kinds, so that each question has rivals in the same story."""
    chosen = [draw.one(kinds) for _ in range(1 + int(draw.rng.random() * max(1, count // 2)))]
    taken: set[tuple[str, str]] = set()
    facts: list[Fact] = []
    for _ in range(count * 3):
        if len(facts) == count:
            break
        kind = draw.one(chosen)
        person = world.people[int(draw.rng.random() * len(world.people))]
        # Two facts of one kind about one person would leave a question with two answers.
        if (kind, person.name) in taken:
            continue
        if sum(fact.kind == kind for fact in facts) >= _MOST.get(kind, count):
            continue
        taken.add((kind, person.name))
        facts.append(MAKERS[kind](draw, world, person))
    return facts


def _state_next(draw: Draw, story: Story, waiting: list[Fact]) -> list[Fact]:
    """State the next fact, or the next two in one sentence; returns those that were stated."""
    fact = waiting.pop()
    plain = "“" not in fact.predicate
    if waiting and plain and draw.chance(0.2):
        second = waiting[-1]
        if "“" not in second.predicate:
            waiting.pop()
            subject = second.pronoun if second.subject == fact.subject else second.subject
            joint = draw.one(("and", "but", "and"))
            story.add(capitalised(f"{fact.subject} {fact.predicate} , {joint} {subject} "
                                  f"{second.predicate} ."))  # fmt: skip
            return [fact, second]
    story.add(statement(draw, fact))
    return [fact]


def write_story(draw: Draw, budget: int, *, kinds: tuple[str, ...] = KINDS) -> Story:
    """Write a story of about ``budget`` tokens: as many, and at most one sentence more."""
    story = Story()
    used: set[str] = set()
    count = 2 + int(draw.rng.random() * max(2.0, budget / 14))
    world = World(make_people(draw, 2 + int(draw.rng.random() * count), used), used)
    waiting = plan(draw, world, count, kinds)
    filler = 0.05 + draw.rng.random() * 0.35
    stated: list[Fact] = []
    while len(story.words) < budget:
        kind = draw.rng.random()
        if kind < filler:
            story.add(sentence(draw))
        elif waiting and (not stated or draw.chance(0.55)):
            stated += _state_next(draw, story, waiting)
        elif not stated:
            story.add(sentence(draw))
        else:
            _return_to(draw, story, world, stated)
    return story


def _return_to(draw: Draw, story: Story, world: World, stated: list[Fact]) -> None:
    """Come back to a fact of the story: change it, repeat it or ask about it."""
    index = int(draw.rng.random() * len(stated))
    fact = stated[index]
    kind = draw.rng.random()
    if kind < 0.35 and fact.person is not None:
        new = changed(draw, world, fact)
        if new is not None:
            stated[index] = new
            story.add(statement(draw, new))
            return
    if kind < 0.15 and fact.person is None:
        plain = statement(draw, fact)
        story.add(f"{draw.one(_RECALLS)} {plain}" if draw.chance(0.5) else plain)
        return
    question = fact.questions[int(draw.rng.random() * len(fact.questions))]
    story.ask(question)


def write_notes(draw: Draw, budget: int) -> Story:
    """Write sentences that have nothing to do with each other, for their grammar."""
    story = Story()
    while len(story.words) < budget:
        story.add(sentence(draw))
    return story


def write_document(draw: Draw, budget: int) -> Story:
    """Write a story, or now and then mere notes."""
    if draw.chance(0.12):
        return write_notes(draw, min(budget, 8 + int(draw.rng.random() * 40)))
    return write_story(draw, budget)


def held_out_pairs(words: list[str]) -> Iterator[tuple[str, str]]:
    """Yield neighbouring (adjective, noun) words of a text that training must never have shown."""
    for first, second in pairwise(words):
        noun = _SINGULAR.get(second)
        if noun is not None and first in _ADJECTIVES and is_held_out(first, noun):
            yield first, noun


def stream(*key: object, held_out: bool = False) -> Draw:
    """Return a draw whose every value is a function of ``key`` alone (seed, step, row …)."""
    return Draw(Random("/".join(map(str, key))), held_out)
