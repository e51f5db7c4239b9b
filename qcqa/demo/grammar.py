"""Sentences that carry grammar and no fact: agreement, reflexives, determiners, negation, tense.

Each function takes a `Draw` and returns one sentence, its words and marks separated by blanks.
Between the facts of a story they are what the model has to look past; they are also where it learns
the grammar that the minimal pairs ask for.
"""

from dataclasses import dataclass

from qcqa.demo import lexicon as lx
from qcqa.demo.draws import Draw

SINGULAR_DETERMINERS = ("the", "the", "the", "this", "that", "a", "every", "each", "one")
PLURAL_DETERMINERS = ("the",) * 3 + (
    "these",
    "those",
    "some",
    "many",
    "several",
    "few",
    "both",
    "all",
    "two",
    "three",
    "four",
)


@dataclass(frozen=True, slots=True)
class Phrase:
    """A noun phrase in subject position.

    Attributes
    ----------
    text
        The whole phrase.
    head
        Dictionary form of the noun or the (first) name, for the rule on held-out pairs.
    is_plural
        Whether its verb is plural.
    reflexive
        The reflexive pronoun that agrees with it.
    """

    text: str
    head: str
    is_plural: bool
    reflexive: str


def capitalised(text: str) -> str:
    """Return the sentence with its first letter in upper case."""
    return text[0].upper() + text[1:]


def bare_noun(
    draw: Draw, pool: tuple[str, ...], *, is_plural: bool, adjective: float
) -> tuple[str, str]:
    """Return a noun with or without an adjective, and the noun's dictionary form."""
    noun = draw.one(pool)
    word = lx.plural(noun) if is_plural else noun
    if draw.chance(adjective):
        return f"{adjective_for(draw, noun)} {word}", noun
    return word, noun


def adjective_for(draw: Draw, noun: str) -> str:
    """Return an adjective that fits the kind of noun and may stand with it."""
    pool = lx.LIVING_ADJECTIVES if noun in _LIVING else lx.COLOURS + lx.THING_ADJECTIVES
    return draw.partner(pool, noun, first=True)


_LIVING = frozenset(lx.LIVING)
_PEOPLE = frozenset(lx.TRADES + lx.KIN)


def noun_phrase(draw: Draw, pool: tuple[str, ...], *, modified: bool = True) -> Phrase:
    """Return a determiner phrase, sometimes with a distractor of the other number behind it."""
    is_plural = draw.chance(0.5)
    words, noun = bare_noun(draw, pool, is_plural=is_plural, adjective=0.3)
    determiner = draw.one(PLURAL_DETERMINERS if is_plural else SINGULAR_DETERMINERS)
    if determiner == "a":
        determiner = lx.article(words)
    text = f"{determiner} {words}"
    if modified and draw.chance(0.4):
        text = f"{text} {modifier(draw, is_plural=is_plural, living=noun in _LIVING)}"
    return Phrase(text, noun, is_plural, "themselves" if is_plural else _reflexive_of(draw, noun))


def _reflexive_of(draw: Draw, noun: str) -> str:
    if noun in _PEOPLE:
        return lx.GENDERED.get(noun) or draw.one(("himself", "herself"))
    return "itself"


def modifier(draw: Draw, *, is_plural: bool, living: bool) -> str:
    """Return a prepositional phrase or a relative clause; its noun often differs in number."""
    other = draw.chance(0.65) != is_plural
    kind = draw.rng.random()
    noun_pool = lx.THINGS if draw.chance(0.6) else lx.LIVING
    words, noun = bare_noun(draw, noun_pool, is_plural=other, adjective=0.15)
    determiner = "the" if draw.chance(0.7) else ("those" if other else "that")
    if kind < 0.6:
        preposition = draw.one((*lx.NEAR, "near", "with") if living else lx.NEAR)
        return f"{preposition} {determiner} {words}"
    if living and kind < 0.85:
        verb = lx.VERBS[draw.one(lx.TRANSITIVE if noun not in _LIVING else lx.LIVING_OBJECT)]
        return f"that {verb.past} {determiner} {words}"
    agent, agent_noun = bare_noun(draw, lx.LIVING, is_plural=other, adjective=0)
    verb = lx.VERBS[draw.partner(lx.TRANSITIVE, agent_noun, first=False)]
    return f"that the {agent} {verb.past}"


def person_phrase(draw: Draw) -> Phrase:
    """Return a name, two names, or a noun phrase of somebody living."""
    kind = draw.rng.random()
    if kind < 0.45:
        if draw.chance(0.5):
            name = draw.one(lx.FEMALE)
            return Phrase(name, name, False, "herself")
        name = draw.one(lx.MALE)
        return Phrase(name, name, False, "himself")
    if kind < 0.55:
        first, second = draw.one(lx.NAMES), draw.one(lx.NAMES)
        if first != second:
            return Phrase(f"{first} and {second}", first, True, "themselves")
    return noun_phrase(draw, lx.LIVING)


def object_phrase(draw: Draw, *, living: bool) -> str:
    """Return a noun phrase in object position."""
    return noun_phrase(draw, lx.LIVING if living else lx.THINGS, modified=draw.chance(0.15)).text


def place_phrase(draw: Draw) -> str:
    """Return where something happens."""
    preposition, place = lx.PLACES[int(draw.rng.random() * len(lx.PLACES))]
    return f"{preposition} the {place}"


def _be(phrase: Phrase, *, past: bool = False) -> str:
    if past:
        return "were" if phrase.is_plural else "was"
    return "are" if phrase.is_plural else "is"


def intransitive(draw: Draw, subject: Phrase) -> str:
    """Return ``the cats near the box sleep`` and its tenses, without the final mark."""
    verb = lx.VERBS[draw.partner(lx.INTRANSITIVE, subject.head, first=False)]
    kind = draw.rng.random()
    if kind < 0.45:
        core = verb.base if subject.is_plural else verb.third
    elif kind < 0.65:
        core = verb.past
    elif kind < 0.8:
        core = f"{_be(subject, past=draw.chance(0.4))} {verb.ing}"
    elif kind < 0.9:
        auxiliary = draw.one(("did", "do" if subject.is_plural else "does"))
        core = f"{auxiliary} not {verb.base}"
    else:
        core = f"{draw.one(('will', 'can', 'could', 'should'))} {verb.base}"
    tail = draw.rng.random()
    if tail < 0.25:
        core = f"{core} {draw.one(lx.ADVERBS)}"
    elif tail < 0.45:
        core = f"{core} {place_phrase(draw)}"
    return f"{subject.text} {core}"


def transitive(draw: Draw, subject: Phrase) -> str:
    """Return ``the cat finds a box``, without the final mark."""
    living = draw.chance(0.4)
    verb = lx.VERBS[
        draw.partner(lx.LIVING_OBJECT if living else lx.TRANSITIVE, subject.head, first=False)
    ]
    kind = draw.rng.random()
    if kind < 0.4:
        core = verb.base if subject.is_plural else verb.third
    elif kind < 0.75:
        core = verb.past
    elif kind < 0.88:
        core = f"{draw.one(('did', 'do' if subject.is_plural else 'does'))} not {verb.base}"
    else:
        core = f"{draw.one(('will', 'can', 'could'))} {verb.base}"
    return f"{subject.text} {core} {object_phrase(draw, living=living)}"


def reflexive(draw: Draw, subject: Phrase) -> str:
    """Return ``Anna washed herself``, without the final mark."""
    verb = lx.VERBS[draw.partner(lx.REFLEXIVE, subject.head, first=False)]
    present = verb.base if subject.is_plural else verb.third
    core = verb.past if draw.chance(0.6) else present
    return f"{subject.text} {core} {subject.reflexive}"


def predicate(draw: Draw, *, living: bool) -> str:
    """Return ``the cats behind the box are not hungry``, without the final mark."""
    subject = noun_phrase(draw, lx.LIVING if living else lx.THINGS)
    words = _be(subject, past=draw.chance(0.35))
    if draw.chance(0.2):
        words += " not"
    if draw.chance(0.2):
        words += draw.one((" very", " quite", " really"))
    return f"{subject.text} {words} {adjective_for(draw, subject.head)}"


def existential(draw: Draw) -> str:
    """Return ``there are some old boxes in the barn``, without the final mark."""
    is_plural = draw.chance(0.5)
    pool = lx.THINGS if draw.chance(0.6) else lx.LIVING
    words, _ = bare_noun(draw, pool, is_plural=is_plural, adjective=0.5)
    determiner = draw.one(("some", "many", "several", "no", "two")) if is_plural else "a"
    verb = draw.one(("are", "were") if is_plural else ("is", "was"))
    determiner = lx.article(words) if determiner == "a" else determiner
    return f"there {verb} {determiner} {words} {place_phrase(draw)}"


def weather(draw: Draw) -> str:
    """Return ``it was a cold morning``, without the final mark."""
    adjective = draw.one(lx.WEATHER)
    time = draw.one(lx.TIMES)
    if draw.chance(0.5):
        return f"it was {lx.article(adjective)} {adjective} {time}"
    return f"the {time} was {adjective}"


def clause(draw: Draw) -> str:
    """Return one clause of any kind, without the final mark."""
    kind = draw.rng.random()
    if kind < 0.3:
        return intransitive(draw, person_phrase(draw))
    if kind < 0.52:
        return transitive(draw, person_phrase(draw))
    if kind < 0.68:
        return reflexive(draw, person_phrase(draw))
    if kind < 0.88:
        return predicate(draw, living=draw.chance(0.55))
    return existential(draw) if kind < 0.96 else weather(draw)


def sentence(draw: Draw) -> str:
    """Return one sentence: a clause, or two that a conjunction joins."""
    kind = draw.rng.random()
    if kind < 0.86:
        text = clause(draw)
    elif kind < 0.93:
        text = f"{clause(draw)} {draw.one(('because', 'while', 'and', 'but'))} {clause(draw)}"
    else:
        text = f"{draw.one(('when', 'after', 'before'))} {clause(draw)} , {clause(draw)}"
    return capitalised(f"{text} .")
