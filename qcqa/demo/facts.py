"""Makers of facts, one for each kind: the sentences that state a fact and its questions."""

from collections.abc import Callable, Mapping

from qcqa.demo import lexicon as lx
from qcqa.demo.draws import Draw
from qcqa.demo.grammar import adjective_for
from qcqa.demo.world import Fact, Person, Question, World, make_place, make_thing


def _lead(thing: str) -> tuple[str, str]:
    """First word of a thing and the rest of it with a leading blank."""
    first, _, rest = thing.partition(" ")
    return first, f" {rest}" if rest else ""


def _has(draw: Draw, world: World, person: Person) -> Fact:
    thing = make_thing(draw, world)
    first, rest = _lead(thing)
    name, a = person.name, lx.article(thing)
    return Fact(
        "has", name, f"has the {thing}", person.pronoun,
        (
            Question(f"Who has the {thing} ?", "", name, f"has the {thing} .", "person"),
            Question(f"What does {name} have ?", f"{name} has the", first, f"{rest} .", "thing"),
        ),
        other=(f"{name} owns {a} {thing} .", f"The {thing} belongs to {name} .",
               f"{name} has {a} {thing} ."),
    )  # fmt: skip


def _likes(draw: Draw, world: World, person: Person) -> Fact:
    food, name = draw.fresh(lx.FOODS, world.used), person.name
    return Fact(
        "likes", name, f"likes {food}", person.pronoun,
        (
            Question(f"What does {name} like ?", f"{name} likes", food, ".", "food"),
            Question(f"Who likes {food} ?", "", name, f"likes {food} .", "person"),
        ),
    )  # fmt: skip


def _lives(draw: Draw, world: World, person: Person) -> Fact:
    town, name = draw.fresh(lx.TOWNS, world.used), person.name
    return Fact(
        "lives", name, f"lives in {town}", person.pronoun,
        (
            Question(f"Where does {name} live ?", f"{name} lives in", town, ".", "town"),
            Question(f"Who lives in {town} ?", "", name, f"lives in {town} .", "person"),
        ),
    )  # fmt: skip


def _job(draw: Draw, world: World, person: Person) -> Fact:
    job, name = draw.fresh(lx.TRADES, world.used), person.name
    return Fact(
        "job", name, f"is the {job}", person.pronoun,
        (
            Question(f"What is the job of {name} ?", f"{name} is the", job, ".", "trade"),
            Question(f"Who is the {job} ?", "", name, f"is the {job} .", "person"),
        ),
        other=(f"{name} works as {lx.article(job)} {job} .", f"The {job} is called {name} ."),
    )  # fmt: skip


def _pet(draw: Draw, world: World, person: Person) -> Fact:
    animal, pet = draw.fresh(lx.ANIMALS, world.used), draw.fresh(lx.PETS, world.used)
    name = person.name
    return Fact(
        "pet", name, f"has {lx.article(animal)} {animal} called {pet}", person.pronoun,
        (
            Question(f"What is the {animal} of {name} called ?",
                     f"{name} has {lx.article(animal)} {animal} called", pet, ".", "pet"),
            Question(f"What animal is {pet} ?", f"{pet} is the", animal, f"of {name} .", "animal"),
            Question(f"Whose pet is {pet} ?", f"{pet} belongs to", name, ".", "person"),
        ),
        other=(f"{pet} is the {animal} of {name} .",),
    )  # fmt: skip


def _comes(draw: Draw, world: World, person: Person) -> Fact:
    day, name = draw.fresh(lx.DAYS, world.used), person.name
    return Fact(
        "comes", name, f"comes on {day}", person.pronoun,
        (
            Question(f"When does {name} come ?", f"{name} comes on", day, ".", "day"),
            Question(f"Who comes on {day} ?", "", name, f"comes on {day} .", "person"),
        ),
    )  # fmt: skip


def _age(draw: Draw, world: World, person: Person) -> Fact:
    number, name = draw.fresh(lx.NUMBERS, world.used), person.name
    return Fact(
        "age", name, f"is {number} years old", person.pronoun,
        (Question(f"How old is {name} ?", f"{name} is", number, "years old .", "number"),),
    )  # fmt: skip


_DEEDS = (
    ("find", "found"),
    ("lose", "lost"),
    ("hide", "hid"),
    ("leave", "left"),
    ("buy", "bought"),
    ("break", "broke"),
)


def _deed(draw: Draw, world: World, person: Person) -> Fact:
    base, past = _DEEDS[int(draw.rng.random() * len(_DEEDS))]
    thing, (preposition, place) = make_thing(draw, world), make_place(draw, world)
    first, rest = _lead(thing)
    name = person.name
    tail = f"{preposition} the {place}"
    return Fact(
        "deed", name, f"{past} the {thing} {tail}", person.pronoun,
        (
            Question(f"Where did {name} {base} the {thing} ?",
                     f"{name} {past} the {thing} {preposition} the", place, ".", "place"),
            Question(f"Who {past} the {thing} ?", "", name, f"{past} the {thing} .", "person"),
            Question(f"What did {name} {base} ?", f"{name} {past} the", first,
                     f"{rest} {tail} .", "thing"),
        ),
        other=(f"{name} {past} {lx.article(thing)} {thing} {tail} .",),
    )  # fmt: skip


def _said(draw: Draw, world: World, person: Person) -> Fact:
    noun, name = draw.fresh(lx.THINGS, world.used), person.name
    adjective = adjective_for(draw, noun)
    return Fact(
        "said", name, f"said : “ The {noun} is {adjective} . ”", person.pronoun,
        (
            Question(f"What did {name} say ?", f"{name} said : “ The", noun,
                     f"is {adjective} . ”", "thing"),
            Question(f"What did {name} say about the {noun} ?", f"{name} said : “ The {noun} is",
                     adjective, ". ”", "adjective"),
        ),
    )  # fmt: skip


def _where(draw: Draw, world: World, _: Person) -> Fact:
    thing, (preposition, place) = make_thing(draw, world), make_place(draw, world)
    first, rest = _lead(thing)
    return Fact(
        "where", f"the {thing}", f"is {preposition} the {place}", "it",
        (
            Question(f"Where is the {thing} ?", f"The {thing} is {preposition} the", place, ".",
                     "place"),
            Question(f"What is {preposition} the {place} ?", "The", first,
                     f"{rest} is {preposition} the {place} .", "thing"),
        ),
        other=(f"There is {lx.article(thing)} {thing} {preposition} the {place} .",),
    )  # fmt: skip


def _colour(draw: Draw, world: World, person: Person) -> Fact:
    noun = draw.fresh(lx.THINGS, world.used)
    colour = draw.partner(lx.COLOURS, noun, first=True)
    while colour in world.used:
        colour = draw.partner(lx.COLOURS, noun, first=True)
    world.used.add(colour)
    return Fact(
        "colour", f"the {noun} of {person.name}", f"is {colour}", "it",
        (
            Question(f"What colour is the {noun} ?", f"The {noun} is", colour, ".", "colour"),
            Question(f"Whose {noun} is {colour} ?", f"The {colour} {noun} belongs to", person.name,
                     ".", "person"),
        ),
        other=(f"{person.name} has a {colour} {noun} .".replace(" a orange ", " an orange "),),
    )  # fmt: skip


def _count(draw: Draw, world: World, _: Person) -> Fact:
    number, noun = draw.fresh(lx.NUMBERS, world.used), draw.fresh(lx.THINGS, world.used)
    preposition, place = make_place(draw, world)
    words, tail = lx.plural(noun), f"{preposition} the {place}"
    return Fact(
        "count", "there", f"are {number} {words} {tail}", "there",
        (
            Question(f"How many {words} are {tail} ?", "There are", number, f"{words} {tail} .",
                     "number"),
            Question(f"Where are the {words} ?", f"The {words} are {preposition} the", place, ".",
                     "place"),
        ),
    )  # fmt: skip


def _price(draw: Draw, world: World, _: Person) -> Fact:
    number, thing = draw.fresh(lx.NUMBERS, world.used), make_thing(draw, world)
    return Fact(
        "price", f"the {thing}", f"costs {number} coins", "it",
        (Question(f"How much does the {thing} cost ?", f"The {thing} costs", number, "coins .",
                  "number"),),
    )  # fmt: skip


def _holder(thing: str, person: Person, verb: str) -> Fact:
    return Fact(
        "holder", person.name, f"{verb} the {thing}", person.pronoun,
        (Question(f"Who has the {thing} now ?", "", person.name, f"has the {thing} now .",
                  "person"),),
        person=person, thing=thing,
    )  # fmt: skip


def _took(draw: Draw, world: World, person: Person) -> Fact:
    return _holder(make_thing(draw, world), person, draw.one(("took", "picked up", "bought")))


def _went(draw: Draw, world: World, person: Person) -> Fact:
    preposition, place = make_place(draw, world)
    name = person.name
    return Fact(
        "whereabouts", name, f"went to the {place}", person.pronoun,
        (Question(f"Where is {name} now ?", f"{name} is {preposition} the", place, "now .",
                  "place"),),
        person=person,
    )  # fmt: skip


def changed(draw: Draw, world: World, fact: Fact) -> Fact | None:
    """Return what the fact becomes when something happens; ``None`` where it cannot change."""
    if fact.person is None:
        return None
    if fact.kind == "whereabouts":
        return _went(draw, world, fact.person)
    others = [person for person in world.people if person != fact.person]
    if not others:
        return None
    heir = others[int(draw.rng.random() * len(others))]
    new = _holder(fact.thing, heir, "took")
    if draw.chance(0.5):
        return new
    return Fact(new.kind, fact.person.name, f"gave the {fact.thing} to {heir.name}",
                fact.person.pronoun, new.questions, person=heir, thing=fact.thing)  # fmt: skip


MAKERS: Mapping[str, Callable[[Draw, World, Person], Fact]] = {
    "has": _has, "likes": _likes, "lives": _lives, "job": _job, "pet": _pet, "comes": _comes,
    "age": _age, "deed": _deed, "said": _said, "where": _where, "colour": _colour, "count": _count,
    "price": _price, "holder": _took, "whereabouts": _went,
}  # fmt: skip
KINDS = tuple(MAKERS)
# Kinds whose facts never change, which is what a recall question may ask about.
STABLE_KINDS = tuple(kind for kind in KINDS if kind not in ("holder", "whereabouts"))
