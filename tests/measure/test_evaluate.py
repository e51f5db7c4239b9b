"""Measuring plans beside their source: what is measured once, what is checked, what is refused."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qcqa.errors import EvaluationError
from qcqa.jobs.run import open_run
from qcqa.measure.benchmark import Benchmark, DecodeLoad
from qcqa.measure.evaluable import require_evaluable
from qcqa.measure.evaluate import evaluate_plans
from qcqa.measure.evaluation import Evaluation
from qcqa.measure.measured_folder import MeasuredFolder
from qcqa.measure.plan_models import PlanModels
from qcqa.measure.samples import paired_standard_error
from qcqa.packaged import demo_run_folder
from qcqa.pick.plan import plan_of_result
from qcqa.plan.plan import Plan
from qcqa.progress import Progress
from qcqa.search.result import SearchResult

#: Bits per token of one head of the demo model: 32 elements of 16 bits.
HEAD = 512

TEXT = Benchmark(text="demo", limit=2)


@pytest.fixture(scope="module")
def result() -> SearchResult:
    folder = demo_run_folder()
    assert folder is not None
    return open_run(folder).result()


@pytest.fixture
def half(result: SearchResult) -> Plan:
    return plan_of_result(result, 48 * HEAD, method="gqa")


def _values(row: Evaluation) -> dict[str, float]:
    return {figure.metric: figure.value for figure in row.measured}


class Watched:
    """Remembers every progress."""

    def __init__(self) -> None:
        self.seen: list[Progress] = []

    def __call__(self, progress: Progress) -> None:
        self.seen.append(progress)

    def models(self) -> list[str]:
        return list(dict.fromkeys(progress.stage.partition(":")[0] for progress in self.seen))


def test_progress_grows_over_the_whole(half: Plan) -> None:
    watched = Watched()
    benchmark = Benchmark("demo", ("demo_recall",), limit=2, speed=DecodeLoad(8, 1, 2))
    evaluate_plans("demo", [half], benchmark, on_progress=watched)
    fractions = [progress.fraction for progress in watched.seen]
    assert fractions == sorted(fractions)
    assert 0 < fractions[0] <= 0.25
    assert fractions[-1] == 1.0
    assert watched.models() == ["source, 1 of 2", "GQA at 50 %, 2 of 2"]
    assert watched.seen[-1].stage == "GQA at 50 %, 2 of 2: speed"


def test_the_same_plan_of_two_methods_is_measured_once(half: Plan, tmp_path: Path) -> None:
    watched = Watched()
    folder = MeasuredFolder(tmp_path / "measured")
    other = replace(half, method="optimal")
    rows = evaluate_plans("demo", [half, other], TEXT, folder=folder, on_progress=watched)
    assert [row.method for row in rows] == ["mha", "gqa", "optimal"]
    assert rows[1].measured == rows[2].measured
    assert watched.models() == ["source, 1 of 3", "GQA at 50 %, 2 of 3"]
    assert len(folder.rows()) == 3


def test_the_plan_that_changes_nothing_scores_as_the_source(result: SearchResult) -> None:
    whole = plan_of_result(result, result.spec.kv_bits, method="optimal")
    source, row = evaluate_plans("demo", [whole], TEXT)
    figures = _values(row)
    assert figures["heldout/nll_difference"] == 0
    assert figures["heldout/perplexity_ratio"] == 1
    assert _values(source).items() <= figures.items()


def test_two_plans_are_compared_by_what_their_rows_keep(
    result: SearchResult, half: Plan, tmp_path: Path
) -> None:
    benchmark = Benchmark("demo", ("demo_recall",), limit=12)
    folder = MeasuredFolder(tmp_path / "measured")
    optimal = plan_of_result(result, 48 * HEAD, method="optimal")
    source, gqa, other = evaluate_plans("demo", [half, optimal], benchmark, folder=folder)
    for metric in ("heldout/nll", "heldout/accuracy", "demo_recall/acc"):
        kept = gqa.figure(f"{metric}_difference")
        assert kept is not None
        of_source, of_gqa, of_other = (
            next(one for one in row.samples if one.metric == metric) for row in (source, gqa, other)
        )
        # The sums say of plan and source what their tokens said.
        assert paired_standard_error(of_gqa, of_source) == pytest.approx(
            kept.standard_error, rel=1e-3
        )
        error = paired_standard_error(of_other, of_gqa)
        assert error is not None
        assert error > 0
    assert {one.metric for one in gqa.samples} > {one.metric for one in source.samples}
    assert folder.rows() == (source, gqa, other)


def test_a_row_of_an_earlier_version_is_measured_again(half: Plan, tmp_path: Path) -> None:
    folder = MeasuredFolder(tmp_path / "measured")
    measured = evaluate_plans("demo", [half], TEXT, folder=folder)
    for path in folder.path.glob("*.json"):
        row = folder.row(path.stem)
        assert row is not None
        folder.save(path.stem, replace(row, samples=()))
    assert not any(row.samples for row in folder.rows())
    watched = Watched()
    again = evaluate_plans("demo", [half], TEXT, folder=folder, on_progress=watched)
    assert again == measured
    # What the source scored is kept token by token.
    assert watched.models() == ["GQA at 50 %, 2 of 2"]


@pytest.mark.parametrize("dtype", ["auto", "float32"])
def test_cache_bytes_are_counted_in_the_type_that_runs(half: Plan, dtype: str) -> None:
    source, row = evaluate_plans("demo", [half], TEXT, dtype=dtype)
    scale = 4 if dtype == "float32" else 2  # the checkpoint is bfloat16
    elements = half.model.num_stored_heads * half.model.head_dim
    assert _values(source)["cache_bytes_per_token"] == elements * scale
    assert _values(row)["cache_bytes_per_token"] == elements * scale / 2


def test_a_cache_that_breaks_its_promise_fails_the_evaluation(
    half: Plan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(PlanModels, "model_of", lambda self, *_: deepcopy(self.source))
    folder = MeasuredFolder(tmp_path / "measured")
    with pytest.raises(
        EvaluationError, match="49,152 bytes after 8 tokens in bfloat16; expected 24,576"
    ):
        evaluate_plans("demo", [half], TEXT, folder=folder)
    assert [row.method for row in folder.rows()] == ["mha"]


def test_speed_is_measured_beside_the_source(half: Plan) -> None:
    benchmark = Benchmark(speed=DecodeLoad(context_tokens=16, batch_size=2, new_tokens=2))
    source, row = evaluate_plans("demo", [half], benchmark)
    load = "decode, context 16, batch 2"
    of_source, of_plan = _values(source), _values(row)
    assert of_source[f"{load}/cache_bytes"] == 2 * of_plan[f"{load}/cache_bytes"]
    assert of_plan[f"{load}/cache_ratio"] == 0.5
    assert of_plan[f"{load}/decode_speedup"] > 0
    assert f"{load}/decode_speedup" not in of_source


def test_a_text_that_has_changed_is_measured_again(half: Plan, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    folder = MeasuredFolder(tmp_path / "measured")
    benchmark = Benchmark(text=str(text))

    def loss(words: str) -> list[float]:
        text.write_text(words)
        rows = evaluate_plans("demo", [half], benchmark, folder=folder)
        return [_values(row)["text/nll"] for row in rows]

    first = loss("The cat sat by the door and looked at the dog. " * 12)
    second = loss("The dog ran to the river with a red ball. " * 12)
    assert all(one != other for one, other in zip(first, second, strict=True))
    # What was measured on the text as it was is no longer told beside it.
    assert [_values(row)["text/nll"] for row in folder.rows()] == second


def test_a_tasks_data_that_has_changed_is_measured_again(
    half: Plan, tmp_path: Path, write_task: Callable[..., str]
) -> None:
    folder = MeasuredFolder(tmp_path / "measured")
    counts = []
    for questions in (2, 3):
        benchmark = Benchmark(tasks=(write_task(questions),))
        rows = evaluate_plans("demo", [half], benchmark, folder=folder)
        figures: Any = [row.figure("small/acc") for row in rows]
        counts.append([figure.sample_count for figure in figures])
    assert counts == [[2, 2], [3, 3]]
    assert len(folder.rows()) == 2


@pytest.fixture
def write_task(tmp_path: Path) -> Callable[..., str]:
    """Return a writer of a task with so many questions."""

    def write(questions: int) -> str:
        row = '{"query": "The cat", "choices": ["sat", "ran"], "gold": 0}\n'
        (tmp_path / "small.jsonl").write_text(row * questions)
        (tmp_path / "small.yaml").write_text(
            "task: small\ndataset_path: json\n"
            "dataset_kwargs: {data_files: {test: small.jsonl}}\n"
            "test_split: test\noutput_type: multiple_choice\n"
            "doc_to_text: '{{query}}'\ndoc_to_target: gold\ndoc_to_choice: choices\n"
            "metric_list: [{metric: acc}]\n"
        )
        return str(tmp_path / "small.yaml")

    return write


@pytest.mark.parametrize("words", ["Once upon a time.", "One day " * 20])
def test_a_text_of_a_few_tokens_is_refused_before_any_work(tmp_path: Path, words: str) -> None:
    text = tmp_path / "short.txt"
    text.write_text(words)
    folder = MeasuredFolder(tmp_path / "measured")
    for measure in (
        lambda how: require_evaluable("demo", [], how),
        lambda how: evaluate_plans("demo", [], how, folder=folder),
    ):
        with pytest.raises(EvaluationError, match=r"the text short has \d+ tokens") as caught:
            measure(Benchmark(text=str(text)))
        assert "at least 100" in caught.value.one_line()
    assert folder.rows() == ()


def test_a_limit_takes_windows_of_a_text_that_is_one_document(tmp_path: Path) -> None:
    text = tmp_path / "long.txt"
    text.write_text("Marco likes eggs. Grace likes lemons. " * 2000)
    whole = require_evaluable("demo", [], Benchmark(text=str(text)))
    two = require_evaluable("demo", [], Benchmark(text=str(text), limit=2))
    assert two < 2 * 512 < whole
    # What was asked before windows were counted goes on as it was meant.
    old = Benchmark(text=str(text), limit=2, limit_of="documents")
    assert require_evaluable("demo", [], old) == whole


def test_progress_names_and_counts_the_models(half: Plan, result: SearchResult) -> None:
    watched = Watched()
    plans = [half, plan_of_result(result, 12 * HEAD, method="mqa")]
    evaluate_plans("demo", plans, TEXT, on_progress=watched)
    assert watched.models() == ["source, 1 of 3", "GQA at 50 %, 2 of 3", "MQA at 12.5 %, 3 of 3"]
