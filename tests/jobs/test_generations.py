"""Generations of a search: made, carried out, followed, cancelled, and the oldest forgotten."""

import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from qcqa.errors import BudgetError, CheckpointError, EvaluationError, RunError
from qcqa.jobs.generations import MOST_KEPT, create_generation, generations_of, texts_of_generation
from qcqa.jobs.jobs import jobs_of, search_of
from qcqa.jobs.launch import cancel, requeue, resume, start_worker
from qcqa.jobs.run import Run, open_run
from qcqa.jobs.status import RunStatus
from qcqa.jobs.worker import work
from qcqa.measure.generated import GenerationSettings

#: Bits per token of one head of the demo model: 32 elements of 16 bits.
HEAD = 512

POINTS = (("optimal", 48 * HEAD), ("gqa", 24 * HEAD))
SETTINGS = GenerationSettings("Marco likes eggs. Who likes eggs?", 8)


def _create(run: Run, **changes: Any) -> Run:
    return create_generation(run, **{"points": POINTS, "settings": SETTINGS, **changes})


def _wait(condition: Callable[[], bool], *, seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_a_generation_opens_again_with_its_config(search: Run) -> None:
    asked = GenerationSettings("x" * 100, 3, temperature=0.5, seed=7)
    made = _create(search, settings=asked, dtype="float32")
    again = open_run(made.folder)
    assert again.config == made.config
    assert again.config.name == "x" * 48 + "…"
    assert made.folder.parent == search.folder / "generations"
    assert search_of(again).folder == search.folder
    assert [one.folder for one in generations_of(search)] == [made.folder]
    assert _create(search, settings=GenerationSettings(" ")).config.name == "no prompt"


def test_the_worker_leaves_all_texts_in_the_order_of_the_points(search: Run) -> None:
    generation = _create(search)
    assert texts_of_generation(generation) == ()
    work(generation)
    texts = texts_of_generation(generation)
    assert [(text.method, text.kv_ratio) for text in texts] == [
        ("mha", 1.0),
        ("optimal", 0.5),
        ("gqa", 0.25),
    ]
    for text in texts:
        figures = text.figures
        assert figures is not None
        assert len(text.token_ids) == figures.new_tokens == 8
        assert figures.cache_bytes == text.promised_bytes_per_token * figures.cached_tokens
    assert texts[0].text.startswith(" Marco likes eggs.")
    assert generation.status().state == "finished"


def test_the_source_may_be_alone(search: Run) -> None:
    generation = _create(search, points=())
    work(generation)
    assert [text.method for text in texts_of_generation(generation)] == ["mha"]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"points": (("magic", 48 * HEAD),)}, BudgetError, "method 'magic'; expected one that was"),
        ({"points": (("optimal", 3 * HEAD),)}, BudgetError, "expected at least 12"),
        ({"points": (("gqa", 48 * HEAD),) * 4}, EvaluationError, "4 plans .* at most 3"),
    ],
)
def test_what_cannot_be_generated_is_refused_and_leaves_no_folder(
    search: Run, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        _create(search, **changes)
    assert generations_of(search) == []


def test_the_oldest_are_forgotten_but_none_that_is_at_work(search: Run) -> None:
    at_work = _create(search)
    for _ in range(MOST_KEPT):
        _create(search).write_status(RunStatus(state="finished"))
    kept = generations_of(search)
    assert len(kept) == MOST_KEPT + 1
    assert at_work.folder in [one.folder for one in kept]
    at_work.write_status(RunStatus(state="cancelled"))
    newest = _create(search)
    kept = generations_of(search)
    assert len(kept) == MOST_KEPT
    assert newest.folder in [one.folder for one in kept]
    # Jobs of other kinds are nobody's business here.
    assert len(jobs_of(search)) == MOST_KEPT


def test_cancel_keeps_what_was_said_and_another_worker_starts_over(search: Run) -> None:
    generation = _create(search, settings=GenerationSettings("Marco likes eggs.", 400))
    with start_worker(generation) as process:
        _wait(lambda: any(len(text.token_ids) > 5 for text in texts_of_generation(generation)))
        status = cancel(generation)
        assert process.wait(30) == 130
    assert status.state == "cancelled"
    said = texts_of_generation(generation)
    assert len(said[0].token_ids) > 5
    assert said[-1].figures is None
    with resume(generation) as process:
        assert process.wait(300) == 0
    texts = texts_of_generation(generation)
    assert len(texts) == 3
    assert texts[0].token_ids[: len(said[0].token_ids)] == said[0].token_ids
    assert len(texts[0].token_ids) == texts[0].figures.new_tokens <= 400  # type: ignore[union-attr]


def test_a_killed_worker_shows_as_dead(search: Run) -> None:
    generation = _create(search, settings=GenerationSettings("Marco likes eggs.", 400))
    with start_worker(generation) as process:
        _wait(lambda: bool(texts_of_generation(generation)))
        os.kill(process.pid, signal.SIGKILL)
    assert generation.status().state == "dead"
    assert texts_of_generation(generation)


def test_a_generation_whose_model_is_gone_fails_in_one_line(search: Run) -> None:
    config = json.loads((search.folder / "config.json").read_text())
    generation = _create(search)
    (search.folder / "config.json").write_text(json.dumps(config | {"model": "./gone"}))
    with pytest.raises(CheckpointError, match=r"no folder \./gone"):
        _create(open_run(search.folder))
    assert generations_of(search) == [generation]
    with pytest.raises(CheckpointError, match=r"no folder \./gone"):
        work(generation)
    assert generation.status().state == "failed"
    with pytest.raises(CheckpointError, match=r"no folder \./gone"):
        requeue(generation)
    assert generation.status().state == "failed"
    (search.folder / "config.json").write_text(json.dumps(config))
    requeue(generation)
    work(generation)
    assert len(texts_of_generation(generation)) == 3


def test_other_runs_and_damaged_events_are_one_line(search: Run) -> None:
    with pytest.raises(RunError, match="is of kind search; expected a generation"):
        texts_of_generation(search)
    generation = _create(search)
    with pytest.raises(RunError, match="is of kind generation; expected a search"):
        generation.result()
    event = {"time": "2026-01-01T00:00:00+00:00", "event": "progress", "generated": {"model": "no"}}
    (generation.folder / "events.jsonl").write_text(json.dumps(event) + "\n")
    with pytest.raises(RunError, match=r"is damaged: .*; generate again"):
        texts_of_generation(generation)
    # What is no event was half written.
    (generation.folder / "events.jsonl").write_text('1\n"text"\n')
    assert texts_of_generation(generation) == ()
