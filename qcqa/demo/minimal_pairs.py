"""Minimal pairs after BLiMP (arXiv 1912.00582): a grammatical sentence and its spoilt twin.

The words that must agree form a held-out pair (`qcqa.demo.draws`), so the model has to know the
rule: it has not met the combination.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from qcqa.demo import lexicon as lx
from qcqa.demo.draws import Draw, is_held_out
from qcqa.demo.grammar import capitalised, place_phrase
from qcqa.demo.stories import stream
from qcqa.demo.tokenizer import readable


@dataclass(frozen=True, slots=True)
class MinimalPair:
    """Two whole sentences; a good model finds the first more probable."""

    paradigm: str
    good: str
    bad: str


_SINGULAR_THIS = ("this", "that", "every", "each")
_PLURAL_THIS = ("these", "those", "many", "several")
_LIVING = frozenset(lx.LIVING)


def _verb_for(draw: Draw, pool: tuple[str, ...], subject: str) -> lx.Verb:
    """Return a verb that training never showed with the subject."""
    return lx.VERBS[draw.one([verb for verb in pool if is_held_out(subject, verb)])]


def _adjective(draw: Draw, noun: str) -> str:
    """Return an adjective that training never showed with the noun."""
    pool = lx.LIVING_ADJECTIVES if noun in _LIVING else lx.COLOURS + lx.THING_ADJECTIVES
    return draw.one([adjective for adjective in pool if is_held_out(adjective, noun)])


def _form(noun: str, *, is_plural: bool) -> str:
    return lx.plural(noun) if is_plural else noun


def _be(draw: Draw) -> tuple[str, str]:
    return ("is", "are") if draw.chance(0.6) else ("was", "were")


def _agreement_be(draw: Draw) -> tuple[str, str]:
    noun, many = draw.one(lx.LIVING + lx.THINGS), draw.chance(0.5)
    verbs, adjective = _be(draw), _adjective(draw, noun)
    start = f"the {_form(noun, is_plural=many)}"
    return f"{start} {verbs[many]} {adjective} .", f"{start} {verbs[not many]} {adjective} ."


def _agreement_verb(draw: Draw) -> tuple[str, str]:
    noun, many = draw.one(lx.LIVING), draw.chance(0.5)
    verb, start = _verb_for(draw, lx.INTRANSITIVE, noun), f"the {_form(noun, is_plural=many)}"
    forms = (verb.third, verb.base)
    return f"{start} {forms[many]} .", f"{start} {forms[not many]} ."


def _agreement_behind_preposition(draw: Draw) -> tuple[str, str]:
    noun, many = draw.one(lx.LIVING), draw.chance(0.5)
    other = _form(draw.one(lx.THINGS), is_plural=not many)
    start = f"the {_form(noun, is_plural=many)} {draw.one(lx.NEAR)} the {other}"
    if draw.chance(0.5):
        forms, tail = _be(draw), f" {_adjective(draw, noun)}"
    else:
        verb = _verb_for(draw, lx.INTRANSITIVE, noun)
        forms, tail = (verb.third, verb.base), ""
    return f"{start} {forms[many]}{tail} .", f"{start} {forms[not many]}{tail} ."


def _agreement_behind_clause(draw: Draw) -> tuple[str, str]:
    noun, many = draw.one(lx.LIVING), draw.chance(0.5)
    other = _form(draw.one(lx.LIVING), is_plural=not many)
    start = (
        f"the {_form(noun, is_plural=many)} that {lx.VERBS[draw.one(lx.LIVING_OBJECT)].past} "
        f"the {other}"
    )
    verbs, adjective = _be(draw), _adjective(draw, noun)
    return f"{start} {verbs[many]} {adjective} .", f"{start} {verbs[not many]} {adjective} ."


def _anaphor_gender(draw: Draw) -> tuple[str, str]:
    female = draw.chance(0.5)
    name = draw.one(lx.FEMALE if female else lx.MALE)
    start = f"{name} {_verb_for(draw, lx.REFLEXIVE, name).past}"
    forms = ("himself", "herself")
    return f"{start} {forms[female]} .", f"{start} {forms[not female]} ."


def _anaphor_number(draw: Draw) -> tuple[str, str]:
    animal, many = draw.one(lx.ANIMALS), draw.chance(0.5)
    verb = _verb_for(draw, lx.REFLEXIVE, animal)
    start = f"the {_form(animal, is_plural=many)} {verb.past}"
    forms = ("itself", "themselves")
    return f"{start} {forms[many]} .", f"{start} {forms[not many]} ."


def _subject_and_verb(draw: Draw) -> str:
    name = draw.one(lx.NAMES)
    return f"{name} {_verb_for(draw, lx.TRANSITIVE, name).past}"


def _determiner_noun(draw: Draw) -> tuple[str, str]:
    noun, many = draw.one(lx.THINGS), draw.chance(0.5)
    start = f"{_subject_and_verb(draw)} {draw.one(_PLURAL_THIS if many else _SINGULAR_THIS)}"
    return (
        f"{start} {_form(noun, is_plural=many)} .",
        f"{start} {_form(noun, is_plural=not many)} .",
    )


def _determiner_irregular(draw: Draw) -> tuple[str, str]:
    noun, many = draw.one(lx.IRREGULAR_NOUNS), draw.chance(0.5)
    start = f"{_subject_and_verb(draw)} {draw.one(_PLURAL_THIS if many else _SINGULAR_THIS)}"
    return (
        f"{start} {_form(noun, is_plural=many)} .",
        f"{start} {_form(noun, is_plural=not many)} .",
    )


def _determiner_behind_adjective(draw: Draw) -> tuple[str, str]:
    noun, many = draw.one(lx.THINGS), draw.chance(0.5)
    determiner = draw.one(_PLURAL_THIS if many else _SINGULAR_THIS)
    start = f"{_subject_and_verb(draw)} {determiner} {_adjective(draw, noun)}"
    return (
        f"{start} {_form(noun, is_plural=many)} .",
        f"{start} {_form(noun, is_plural=not many)} .",
    )


def _quantifier(draw: Draw) -> tuple[str, str]:
    noun, many = draw.one(lx.THINGS), draw.chance(0.5)
    adjective, place = _adjective(draw, noun), place_phrase(draw)
    words = (_form(noun, is_plural=False), _form(noun, is_plural=True))
    start = f"there are {draw.one(('some', 'many', 'several', 'two'))}" if many else (
        f"there is {lx.article(adjective)}")  # fmt: skip
    return (f"{start} {adjective} {words[many]} {place} .",
            f"{start} {adjective} {words[not many]} {place} .")  # fmt: skip


def _existential_agreement(draw: Draw) -> tuple[str, str]:
    noun, many, verbs = draw.one(lx.THINGS), draw.chance(0.5), _be(draw)
    adjective, place = _adjective(draw, noun), place_phrase(draw)
    determiner = draw.one(("some", "many", "several")) if many else lx.article(adjective)
    tail = f"{determiner} {adjective} {_form(noun, is_plural=many)} {place} ."
    return f"there {verbs[many]} {tail}", f"there {verbs[not many]} {tail}"


def _auxiliary(draw: Draw) -> tuple[str, str]:
    name = draw.one(lx.NAMES)
    verb = _verb_for(draw, lx.INTRANSITIVE, name)
    if draw.chance(0.3):
        start, good, bad = f"{name} {draw.one(('is', 'was'))}", verb.ing, verb.base
    else:
        auxiliary = draw.one(("did not", "will", "can", "could", "does not"))
        start, good = f"{name} {auxiliary}", verb.base
        bad = draw.one((verb.past, verb.third))
    place = place_phrase(draw)
    return f"{start} {good} {place} .", f"{start} {bad} {place} ."


def _article(draw: Draw) -> tuple[str, str]:
    noun, place = draw.one(lx.THINGS), place_phrase(draw)
    adjective = _adjective(draw, noun)
    right = lx.article(adjective)
    wrong = "a" if right == "an" else "an"
    return f"there is {right} {adjective} {noun} {place} .", (
        f"there is {wrong} {adjective} {noun} {place} .")  # fmt: skip


PARADIGMS: Mapping[str, Callable[[Draw], tuple[str, str]]] = {
    "subject_verb_agreement_be": _agreement_be,
    "subject_verb_agreement": _agreement_verb,
    "agreement_behind_preposition": _agreement_behind_preposition,
    "agreement_behind_relative_clause": _agreement_behind_clause,
    "existential_agreement": _existential_agreement,
    "anaphor_gender_agreement": _anaphor_gender,
    "anaphor_number_agreement": _anaphor_number,
    "determiner_noun_agreement": _determiner_noun,
    "determiner_noun_agreement_irregular": _determiner_irregular,
    "determiner_noun_agreement_with_adjective": _determiner_behind_adjective,
    "quantifier_noun_agreement": _quantifier,
    "auxiliary_verb_form": _auxiliary,
    "article_choice": _article,
}


def make_pairs(seed: int, *, per_paradigm: int = 150) -> Iterator[MinimalPair]:
    """Yield distinct minimal pairs of every paradigm.

    Parameters
    ----------
    seed
        Seed of the evaluation data.
    per_paradigm
        Number of pairs of each paradigm.
    """
    for paradigm, make in PARADIGMS.items():
        draw = stream("pairs", seed, paradigm, held_out=True)
        seen: set[str] = set()
        while len(seen) < per_paradigm:
            try:
                good, bad = (capitalised(text) for text in make(draw))
            except IndexError:  # a word with no held-out partner in the pool: draw another
                continue
            if good not in seen and good != bad:
                seen.add(good)
                yield MinimalPair(paradigm, readable(good.split()), readable(bad.split()))
