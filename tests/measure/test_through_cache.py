"""Figures of a cache that loses something come from what it stored, and say how they were read."""

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from qcqa.conversion.folder import convert_checkpoint
from qcqa.errors import EvaluationError
from qcqa.jobs.run import open_run
from qcqa.measure.benchmark import Benchmark, DecodeLoad
from qcqa.measure.evaluate import evaluate_plans
from qcqa.measure.evaluate_converted import evaluate_converted
from qcqa.measure.evaluation import Evaluation
from qcqa.measure.harness_model import HarnessModel
from qcqa.measure.measured_folder import MeasuredFolder
from qcqa.measure.plan_models import PlanModels
from qcqa.measure.text import evaluate_text
from qcqa.packaged import demo_run_folder
from qcqa.pick.plan import plan_of_result
from qcqa.plan.plan import Plan
from qcqa.text.running import cache_argument, cache_of
from qcqa.text.scoring import Query, answer_queries
from qcqa.text.through_cache import PIECE_TOKENS, piece_tokens_of, reads_through_cache

#: Bits per token of one head of the demo model: 32 elements of 16 bits.
HEAD = 512

RoundCache = Callable[[PreTrainedModel], PreTrainedModel]


@pytest.fixture
def queries() -> list[Query]:
    drawn = torch.randint(4, 30, (3, 40), generator=torch.Generator().manual_seed(0)).tolist()
    return [
        Query(tuple(ids[:length]), tuple(ids[-length:]))
        for ids, length in zip(drawn, (40, 40, 25), strict=True)
    ]


@torch.no_grad()
def _losses_by_hand(model: PreTrainedModel, query: Query, piece_tokens: int) -> list[float]:
    cache: Any = None
    losses: list[float] = []
    for start in range(0, len(query.token_ids), piece_tokens):
        ids = torch.tensor([query.token_ids[start : start + piece_tokens]])
        output = model(input_ids=ids, use_cache=True, **{cache_argument(): cache})
        cache = cache_of(output)
        for place, logits in enumerate(output["logits"][0], start):
            losses.append(-float(logits.log_softmax(-1)[query.targets[place]]))
    return losses


def test_what_a_cache_loses_shows_in_pieces_and_in_no_figure_of_one_call(
    model: PreTrainedModel, round_cache: RoundCache, queries: list[Query]
) -> None:
    lossy = round_cache(deepcopy(model))
    of_source = answer_queries(model, queries)
    in_one_call = answer_queries(lossy, queries, source=model)
    in_pieces = answer_queries(lossy, queries, source=model, piece_tokens=16)
    for query, source, blind, seen in zip(queries, of_source, in_one_call, in_pieces, strict=True):
        np.testing.assert_array_equal(blind.nll, source.nll)
        assert not blind.kl.any()
        # Of the first piece all tokens are seen as they came.
        np.testing.assert_allclose(seen.nll[:16], source.nll[:16], atol=1e-5)
        assert (np.abs(seen.nll[16:] - source.nll[16:]) > 1e-3).mean() > 0.9
        assert (seen.kl[16:] > 1e-5).mean() > 0.9
        np.testing.assert_allclose(seen.nll, _losses_by_hand(lossy, query, 16), atol=1e-5)


def test_a_model_never_reads_more_than_a_piece(model: PreTrainedModel) -> None:
    shapes: list[tuple[int, ...]] = []
    model.register_forward_pre_hook(
        lambda _model, _args, kwargs: shapes.append(tuple(kwargs["input_ids"].shape)),
        with_kwargs=True,
    )
    ids = tuple(range(4, 24))
    answer_queries(model, [Query(ids, ids[:3]), Query(ids[::-1], ids[:3])], piece_tokens=16)
    assert shapes == [(2, 16), (2, 4)]


def test_likelihoods_of_continuations_go_through_the_cache(
    model: PreTrainedModel, plain_tokenizer: PreTrainedTokenizerBase, round_cache: RoundCache
) -> None:
    context = " ".join("abcdefghijklmnopqrstuvwxyz")

    def likelihood(asked: PreTrainedModel, piece_tokens: int | None) -> float:
        harness_model = HarnessModel(
            asked,
            plain_tokenizer,
            batch_tokens=None,
            piece_tokens=piece_tokens,
            on_progress=lambda _: None,
        )
        ((found, _),) = harness_model.loglikelihood([SimpleNamespace(args=(context, " d e"))])
        return found

    lossy = round_cache(deepcopy(model))
    assert likelihood(lossy, None) == likelihood(model, None)
    assert likelihood(model, 16) == pytest.approx(likelihood(model, None), abs=1e-5)
    assert abs(likelihood(lossy, 16) - likelihood(model, None)) > 1e-3


def test_pieces_of_no_token_are_refused(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    with pytest.raises(EvaluationError, match="piece_tokens = 0; expected at least 1"):
        evaluate_text(model, tokenizer, ["a b c"], data="text", piece_tokens=0)


@pytest.fixture
def half() -> Plan:
    folder = demo_run_folder()
    assert folder is not None
    return plan_of_result(open_run(folder).result(), 48 * HEAD, method="gqa")


@pytest.fixture
def lossy(monkeypatch: pytest.MonkeyPatch, round_cache: RoundCache) -> None:
    """Let plans of one method keep a cache that loses something."""
    made = PlanModels.model_of

    def model_of(models: PlanModels, plan: Plan, *args: Any) -> PreTrainedModel:
        model = made(models, plan, *args)
        return round_cache(model) if plan.method == "lossy" else model

    monkeypatch.setattr(PlanModels, "model_of", model_of)
    has_codecs = property(lambda plan: plan.method == "lossy")
    monkeypatch.setattr(Plan, "has_codecs", has_codecs, raising=False)


@pytest.mark.usefixtures("lossy")
def test_only_plans_whose_cache_loses_something_are_read_through_it(half: Plan) -> None:
    rounded = replace(half, method="lossy")
    assert reads_through_cache(rounded)
    assert not reads_through_cache(half)
    assert (piece_tokens_of(rounded), piece_tokens_of(half)) == (PIECE_TOKENS, None)


@pytest.mark.usefixtures("lossy")
def test_an_evaluation_measures_what_is_stored_and_its_rows_say_so(
    half: Plan, tmp_path: Path
) -> None:
    benchmark = Benchmark("demo", ("demo_recall",), limit=12)
    before = evaluate_plans("demo", [half], benchmark)
    folder = MeasuredFolder(tmp_path / "measured")
    # The digest says nothing of a test's cache: each is measured by itself.
    (source, rounded), (_, whole) = (
        evaluate_plans("demo", [replace(half, method=method)], benchmark, folder=folder)
        for method in ("lossy", "gqa")
    )
    assert [source, whole] == before
    assert (source.piece_tokens, whole.piece_tokens, rounded.piece_tokens) == (None, None, 16)
    worse, better = (
        {figure.metric: figure.value for figure in row.measured} for row in (rounded, whole)
    )
    assert all(worse[name] > better[name] + 0.01 for name in ("heldout/nll", "heldout/kl"))
    assert set(folder.rows()) == {source, whole, rounded}


@pytest.mark.usefixtures("lossy")
def test_speed_alone_is_read_as_always(half: Plan) -> None:
    benchmark = Benchmark(speed=DecodeLoad(16, 1, 2))
    _, row = evaluate_plans("demo", [replace(half, method="lossy")], benchmark)
    assert row.piece_tokens is None


def test_a_converted_folder_is_measured_through_its_cache_too(
    half: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert_checkpoint("demo", half, tmp_path / "converted")
    answer, asked = answer_queries, []

    def answered(*args: Any, piece_tokens: int | None, **options: Any) -> Any:
        asked.append(piece_tokens)
        return answer(*args, piece_tokens=piece_tokens, **options)

    monkeypatch.setattr("qcqa.measure.text.answer_queries", answered)
    for is_lossy in (False, True):
        monkeypatch.setattr(Plan, "has_codecs", is_lossy, raising=False)
        row = evaluate_converted(tmp_path / "converted", Benchmark("demo", limit=2))
        assert asked.pop() == row.piece_tokens == (PIECE_TOKENS if is_lossy else None)


def test_rows_of_earlier_versions_were_read_in_one_call(half: Plan, tmp_path: Path) -> None:
    folder = MeasuredFolder(tmp_path)
    row = Evaluation.of_plan(
        half, Benchmark("demo"), (), device="cpu", dtype="auto", piece_tokens=16
    )
    folder.save("key", row)
    assert folder.row("key") == row
    path = tmp_path / "key.json"
    content = json.loads(path.read_text())
    del content["piece_tokens"]
    path.write_text(json.dumps(content))
    assert folder.row("key") == replace(row, piece_tokens=None)
