"""The small world of a story: its people, its facts, and the questions that facts answer.

A fact binds things that nothing else in the language predicts (who has which kite, how many
nails are in the box), so its question can be answered only by looking back into the story.
"""

from dataclasses import dataclass, field

from qcqa.demo import lexicon as lx
from qcqa.demo.draws import Draw
from qcqa.demo.grammar import adjective_for


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in a story."""

    name: str
    is_female: bool

    @property
    def pronoun(self) -> str:
        """``she`` or ``he``."""
        return "she" if self.is_female else "he"


@dataclass(frozen=True, slots=True)
class Question:
    """One question about a fact and its answer.

    Attributes
    ----------
    text
        The question, with its mark.
    prefix
        Words of the answering sentence before the answer; may be empty.
    answer
        The one word that must be looked up.
    rest
        The answering sentence after the answer, with its full stop.
    slot
        What kind of thing the answer is; answers of one slot are each other's distractors.
    """

    text: str
    prefix: str
    answer: str
    rest: str
    slot: str


@dataclass(frozen=True, slots=True)
class Fact:
    """Something true in the story.

    Attributes
    ----------
    kind
        Name of its relation.
    subject, predicate
        Its plain statement in two parts, without the full stop.
    pronoun
        ``she``, ``he`` or ``it``: stands for the subject in a second clause.
    questions
        What can be asked about it.
    person
        Whose fact it is when it can change hands.
    other
        Further ways to state it.
    """

    kind: str
    subject: str
    predicate: str
    pronoun: str
    questions: tuple[Question, ...]
    person: Person | None = None
    thing: str = ""
    other: tuple[str, ...] = ()


@dataclass(slots=True)
class World:
    """Who is in the story, and which words it has used for something already."""

    people: list[Person]
    used: set[str] = field(default_factory=set)


def make_people(draw: Draw, count: int, used: set[str]) -> list[Person]:
    """Return a cast with distinct names."""
    people = []
    for _ in range(count):
        is_female = draw.chance(0.5)
        people.append(Person(draw.fresh(lx.FEMALE if is_female else lx.MALE, used), is_female))
    return people


def make_thing(draw: Draw, world: World) -> str:
    """Return a thing that the story has not mentioned yet, mostly with an adjective."""
    noun = draw.fresh(lx.THINGS, world.used)
    return f"{adjective_for(draw, noun)} {noun}" if draw.chance(0.7) else noun


def make_place(draw: Draw, world: World) -> tuple[str, str]:
    """Return a preposition and a place that no other fact uses."""
    while True:
        preposition, place = lx.PLACES[int(draw.rng.random() * len(lx.PLACES))]
        if place not in world.used:
            world.used.add(place)
            return preposition, place
