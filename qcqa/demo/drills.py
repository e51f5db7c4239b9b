"""Drills: roll calls, echoes and quizzes, which teach a small model to look back at all.

Stories alone leave a small model for many millions of tokens with guesses at an answer's kind.
What it lacks is the first step of every look-up: to find an earlier occurrence of a word and copy
what stood behind it. A roll call asks for nothing else, several times per line. The way back, from
what somebody has to who has it, is harder; a quiz asks for it again and again.
"""

from qcqa.demo import lexicon as lx
from qcqa.demo.draws import Draw
from qcqa.demo.facts import STABLE_KINDS
from qcqa.demo.grammar import adjective_for, capitalised, person_phrase, reflexive, sentence
from qcqa.demo.stories import Story, plan, statement
from qcqa.demo.world import Question, World, make_people

_ECHO = 0.25
_BACKWARD = 0.75


def _pair(draw: Draw, form: str, used: set[str]) -> tuple[str, str]:
    """Return the two parts of one entry: what calls, and what must follow."""
    if form == "thing":
        thing = draw.fresh(lx.THINGS, used)
        adjective = adjective_for(draw, thing)
        while adjective in used:
            adjective = adjective_for(draw, thing)
        used.add(adjective)
        return f"the {adjective}", thing
    if form == "trade":
        return f"the {draw.fresh(lx.TRADES, used)}", draw.fresh(lx.NAMES, used)
    name = draw.fresh(lx.NAMES, used)
    if form == "couple":
        return f"{name} and", draw.fresh(lx.NAMES, used)
    return f"{name} :", draw.fresh(lx.THINGS + lx.TOWNS, used)


def write_roll_call(draw: Draw, budget: int) -> Story:
    """Write entries, and then the same entries again and again in random order."""
    story = Story()
    used: set[str] = set()
    form = draw.one(("thing", "trade", "couple", "colon"))
    count = 3 + int(draw.rng.random() * min(14.0, budget / 12))
    entries = [_pair(draw, form, used) for _ in range(count)]
    turn = 0
    while len(story.words) < budget:
        known = turn >= count
        call, value = entries[int(draw.rng.random() * count)] if known else entries[turn]
        story.add(f"{capitalised(call) if turn == 0 else call} {value} ,")
        if known:
            story.answers.append(len(story.words) - 2)
        turn += 1
    story.words[-1] = "."
    return story


def write_echo(draw: Draw, budget: int) -> Story:
    """Write a few sentences and then the same ones once more."""
    story = Story()
    while len(story.words) < budget // 2 - 2:
        story.add(sentence(draw))
    story.words += ["Again", ":", *story.words]
    return story


def write_drill(draw: Draw, budget: int) -> Story:
    """Write a roll call or an echo."""
    return write_echo(draw, budget) if draw.chance(_ECHO) else write_roll_call(draw, budget)


def write_quiz(draw: Draw, budget: int) -> Story:
    """Write a few facts of one kind and then questions about them, most of them for a person."""
    story = Story()
    used: set[str] = set()
    count = 3 + int(draw.rng.random() * min(6.0, budget / 20))
    world = World(make_people(draw, count + 1, used), used)
    facts = plan(draw, world, count, (draw.one(STABLE_KINDS),))
    for fact in facts:
        story.add(statement(draw, fact))
    while len(story.words) < budget:
        questions = facts[int(draw.rng.random() * len(facts))].questions
        backward = [question for question in questions if question.slot == "person"]
        pool = backward if backward and draw.chance(_BACKWARD) else questions
        question = pool[int(draw.rng.random() * len(pool))]
        if not question.prefix and draw.chance(0.6):
            # The bare answer, so that more questions fit into one row.
            question = Question(question.text, "", question.answer, ".", question.slot)
        story.ask(question)
    return story


def write_reflexives(draw: Draw, budget: int) -> Story:
    """Write sentences about people who do something to themselves: which name is whose gender."""
    story = Story()
    while len(story.words) < budget:
        story.add(capitalised(f"{reflexive(draw, person_phrase(draw))} ."))
    return story
