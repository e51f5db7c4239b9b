"""Recall questions: the answer stands far back in the story and cannot be guessed."""

from collections.abc import Iterator
from dataclasses import dataclass

from qcqa.demo.draws import Draw
from qcqa.demo.facts import STABLE_KINDS
from qcqa.demo.grammar import sentence
from qcqa.demo.stories import Story, plan, statement, stream
from qcqa.demo.tokenizer import readable
from qcqa.demo.world import Fact, Question, World, make_people

MIN_CHOICES = 3
SHORTEST, LONGEST = 70, 225


@dataclass(frozen=True, slots=True)
class RecallQuestion:
    """One question and the story before it.

    Attributes
    ----------
    context
        Story, question and the answering sentence up to the answer.
    answer
        The word that comes next.
    choices
        Words of the same kind in the same story, the answer among them, in the order of the story.
    distance
        Tokens from the fact's statement of the answer to its place in the answering sentence.
    kind
        The relation asked about.
    fact
        The sentence that states it.
    """

    context: str
    answer: str
    choices: tuple[str, ...]
    distance: int
    kind: str
    fact: str


def _rivals(question: Question, facts: list[Fact]) -> tuple[str, ...]:
    """Answers to the same sort of question about the other facts of the story."""
    words = [q.answer for fact in facts for q in fact.questions if q.slot == question.slot]
    return tuple(dict.fromkeys(words))


def _make(draw: Draw) -> RecallQuestion | None:
    used: set[str] = set()
    length = SHORTEST + int(draw.rng.random() * (LONGEST - SHORTEST))
    count = 4 + int(draw.rng.random() * 4)
    world = World(make_people(draw, count, used), used)
    kinds = tuple(draw.one(STABLE_KINDS) for _ in range(1 + int(draw.rng.random() * 2)))
    facts = plan(draw, world, count, kinds)
    target = facts[int(draw.rng.random() * min(3, len(facts)))]
    question = target.questions[int(draw.rng.random() * len(target.questions))]
    choices = _rivals(question, facts)
    if len(choices) < MIN_CHOICES:
        return None
    story = Story()
    fact_text, answer_at = "", -1
    for fact in facts:
        if draw.chance(0.2):
            story.add(sentence(draw))
        text = statement(draw, fact)
        if fact is target:
            words = text.split()
            if question.answer not in words:
                return None
            fact_text, answer_at = text, len(story.words) + words.index(question.answer)
        story.add(text)
    others = [fact for fact in facts if fact is not target]
    while len(story.words) < length:
        if draw.chance(0.4):
            story.add(sentence(draw))
        else:
            fact = others[int(draw.rng.random() * len(others))]
            story.ask(fact.questions[int(draw.rng.random() * len(fact.questions))])
    story.add(question.text)
    story.add(question.prefix)
    return RecallQuestion(
        context=readable(story.words),
        answer=question.answer,
        choices=choices,
        distance=len(story.words) - answer_at,
        kind=target.kind,
        fact=readable(fact_text.split()),
    )


def make_questions(seed: int, *, count: int = 800) -> Iterator[RecallQuestion]:
    """Yield distinct recall questions of held-out stories.

    Parameters
    ----------
    seed
        Seed of the evaluation data.
    count
        How many.
    """
    made = index = 0
    while made < count:
        question = _make(stream("recall", seed, index, held_out=True))
        index += 1
        if question is not None:
            made += 1
            yield question
