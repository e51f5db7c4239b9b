"""Writes the demo's held-out text, calibration text, minimal pairs and recall questions."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from qcqa.demo.minimal_pairs import make_pairs
from qcqa.demo.recall import make_questions
from qcqa.demo.stories import held_out_pairs, stream, write_document
from qcqa.demo.tokenizer import readable

# The data does not depend on the training's seed: models of different seeds are compared on it.
EVALUATION_SEED = 2406
SHORTEST, LONGEST = 60, 250


def make_documents(purpose: str, *, characters: int, held_out: bool) -> Iterator[str]:
    """Stories until there are this many characters.

    Parameters
    ----------
    purpose
        Part of the seed, so that no two files share a story.
    characters
        Total length wanted.
    held_out
        Every story then holds an (adjective, noun) pair that training never shows, which is what
        proves that it is in no training stream.
    """
    written = index = 0
    while written < characters:
        draw = stream(purpose, EVALUATION_SEED, index, held_out=held_out)
        budget = SHORTEST + int(draw.rng.random() * (LONGEST - SHORTEST))
        story = write_document(draw, budget)
        index += 1
        if held_out and not any(held_out_pairs(story.words)):
            continue
        text = readable(story.words)
        written += len(text) + 2
        yield text


def _write_jsonl(path: Path, rows: Iterable[Any]) -> None:
    lines = (json.dumps(asdict(row), ensure_ascii=False) for row in rows)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_evaluation_data(directory: Path) -> None:
    """Write ``heldout.txt``, ``calibration.txt``, ``minimal_pairs.jsonl`` and ``recall.jsonl``."""
    for name, characters, held_out in (("heldout", 150_000, True), ("calibration", 150_000, False)):
        documents = make_documents(name, characters=characters, held_out=held_out)
        (directory / f"{name}.txt").write_text("\n\n".join(documents) + "\n", encoding="utf-8")
    _write_jsonl(directory / "minimal_pairs.jsonl", make_pairs(EVALUATION_SEED))
    _write_jsonl(directory / "recall.jsonl", make_questions(EVALUATION_SEED))
