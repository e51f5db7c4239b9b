"""Rows of measured figures, and the folder that keeps them."""

import json
from dataclasses import asdict, replace
from math import inf
from pathlib import Path
from typing import Any

import pytest

from qcqa.errors import EvaluationError
from qcqa.measure.benchmark import Benchmark, DecodeLoad
from qcqa.measure.evaluation import Evaluation, figures_of_plan
from qcqa.measure.measured_folder import MeasuredFolder
from qcqa.measure.samples import Samples, Stratum
from qcqa.plan.plan import Measurement, Plan, Prediction
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.groups.gram import ModelGrams
from qcqa.reduce.groups.grouping import Grouping, LayerGrouping

BENCHMARK = Benchmark(text="demo", tasks=("a", "b"), limit=5, speed=DecodeLoad(64, 2, 8))
FIGURES = (Measurement("heldout/nll", 1.5, 0.25, 100), Measurement("heldout/perplexity", inf))
ON_CPU: dict[str, Any] = {"device": "cpu", "dtype": "auto"}


@pytest.fixture
def plan(random_grams: ModelGrams) -> Plan:
    pairs = LayerGrouping.shared(Grouping.contiguous(8, 4))
    return Plan(
        model=random_grams.spec,
        fingerprint=random_grams.fingerprint,
        method="gqa",
        merge="mean",
        layers=(pairs.choice,) * 3,
        predicted=Prediction(wse=2.0, relative_wse=0.5),
    )


@pytest.fixture
def row(plan: Plan) -> Evaluation:
    return Evaluation.of_plan(plan, BENCHMARK, FIGURES, **ON_CPU)


@pytest.fixture
def folder(tmp_path: Path) -> MeasuredFolder:
    made = MeasuredFolder(tmp_path / "measured", tmp_path / "included")
    made.make()
    return made


def test_a_row_comes_back_as_it_was(row: Evaluation, folder: MeasuredFolder) -> None:
    folder.save("key", row)
    assert folder.row("key") == row
    assert folder.row("other") is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: "{",
        lambda _: "[]",
        lambda content: json.dumps(content | {"format": "qcqa-measured-1"}),
        lambda content: json.dumps({k: v for k, v in content.items() if k != "merge"}),
        lambda content: json.dumps(content | {"benchmark": {}}),
        lambda content: json.dumps(content | {"measured": [{"metric": "a"}]}),
        lambda content: json.dumps(content | {"kv_ratio": "much"}),
    ],
)
def test_what_cannot_be_read_is_left_out(
    row: Evaluation, folder: MeasuredFolder, damage: Any
) -> None:
    folder.save("good", row)
    folder.save("bad", replace(row, plan_digest="another"))
    path = folder.path / "bad.json"
    path.write_text(damage(json.loads(path.read_text())))
    assert folder.row("bad") is None
    assert folder.rows() == (row,)


def test_rows_begin_with_the_source_and_go_on_from_the_largest_cache(
    row: Evaluation, folder: MeasuredFolder, random_grams: ModelGrams
) -> None:
    source = Evaluation.of_source(random_grams.spec, BENCHMARK, FIGURES, **ON_CPU)
    assert source.is_source
    assert not row.is_source
    small, other = replace(row, kv_ratio=0.1), replace(row, method="aaa")
    # As large as the source, and first by its name.
    whole = replace(row, kv_ratio=1.0, method="aaa")
    sizes = (small, row, whole, other, source)
    rows = [
        one if one.is_source else replace(one, plan_digest=str(number))
        for number, one in enumerate(sizes)
    ]
    for key, one in enumerate(rows):
        folder.save(str(key), one)
    small, row, whole, other, source = rows
    assert folder.rows() == (source, whole, other, row, small)


def test_included_rows_are_read_and_never_written(row: Evaluation, folder: MeasuredFolder) -> None:
    assert folder.included
    included = MeasuredFolder(folder.included)
    included.make()
    included.save("key", replace(row, method="included"))
    before = {path: path.read_text() for path in folder.included.iterdir()}
    assert folder.rows() == (replace(row, method="included"),)
    folder.save("key", row)
    assert folder.row("key") == row
    assert folder.rows() == (row,)
    assert {path: path.read_text() for path in folder.included.iterdir()} == before


def test_a_plan_takes_the_figures_of_the_most_data(plan: Plan, row: Evaluation) -> None:
    assert plan.digest == replace(plan, method="optimal").digest

    def measured(value: float, count: int, **changes: Any) -> Evaluation:
        return replace(row, measured=(Measurement("heldout/nll", value, None, count),), **changes)

    of_windows, of_documents, whole = (
        Benchmark("demo", limit=50),
        Benchmark("demo", limit=5, window_tokens=16, limit_of="documents"),
        Benchmark("demo"),
    )
    rows = [
        # Fifty windows are less than five documents.
        measured(1.0, 800, benchmark=of_windows),
        measured(2.0, 2000, benchmark=of_documents, method="optimal"),
        measured(3.0, 9000, benchmark=whole, dtype="float16"),
        measured(4.0, 9000, benchmark=whole, plan_digest="another"),
        replace(row, measured=(Measurement("task/acc", 0.5),)),
    ]
    for order in (rows, rows[::-1]):
        figures = {figure.metric: figure.value for figure in figures_of_plan(plan, order)}
        assert figures == {"heldout/nll": 2.0, "task/acc": 0.5}


def test_the_digest_tells_models_apart(plan: Plan) -> None:
    alone = LayerChoice()
    only_values = LayerChoice(value=plan.layers[0].value)
    others = (
        replace(plan, fingerprint="1" * 16),
        replace(plan, layers=(alone, *plan.layers[1:])),
        replace(plan, layers=(only_values, *plan.layers[1:])),
        replace(plan, layers=(*plan.layers[1:], alone)),
    )
    assert len({one.digest for one in (plan, *others)}) == 5


def test_a_benchmark_measures_something() -> None:
    with pytest.raises(EvaluationError, match="nothing to measure"):
        Benchmark(limit=3)
    assert Benchmark(speed=DecodeLoad(8)).text is None


def test_a_row_keeps_the_sums_of_its_samples(row: Evaluation, folder: MeasuredFolder) -> None:
    sums = Stratum(1.0, tuple(range(1, 101)), tuple(number + 0.5 for number in range(100)))
    whole = replace(row, samples=(Samples("heldout/nll", "digest", (sums,)),))
    folder.save("key", whole)
    assert folder.row("key") == whole
    assert whole.is_comparable
    path = folder.path / "key.json"
    assert path.stat().st_size < 5_000
    # A line for each figure, and not for each sum.
    assert len(path.read_text().splitlines()) < 60


def test_a_row_of_an_earlier_version_loads_without_them(
    row: Evaluation, folder: MeasuredFolder
) -> None:
    folder.save("key", row)
    path = folder.path / "key.json"
    content = json.loads(path.read_text())
    del content["samples"]
    path.write_text(json.dumps(content))
    assert folder.row("key") == row
    assert not row.is_comparable
    speed = replace(row, benchmark=Benchmark(speed=DecodeLoad(64)))
    assert speed.is_comparable


@pytest.mark.parametrize(
    ("written", "limit_of"),
    [
        ({"text": "/a/wiki.txt", "limit": 200}, "documents"),
        ({"text": "/a/wiki.txt", "limit": None}, "windows"),
        ({"text": "/a/wiki.txt", "limit": 200, "limit_of": "windows"}, "windows"),
        # A story is a window, so nothing has changed.
        ({"text": "demo", "limit": 200}, "windows"),
        ({"text": "demo", "limit": 200, "window_tokens": 16}, "documents"),
        ({"tasks": ("piqa",), "limit": 200}, "windows"),
    ],
)
def test_limits_that_counted_documents_are_not_mixed_with_those_of_windows(
    row: Evaluation, folder: MeasuredFolder, written: dict[str, Any], limit_of: str
) -> None:
    content = {**asdict(row), "format": "qcqa-measured-2", "benchmark": written}
    (folder.path / "key.json").write_text(json.dumps(content))
    (read,) = folder.rows()
    assert read.benchmark.limit_of == limit_of
    assert read.benchmark.limit == written["limit"]


FULL = (
    Measurement("cache_bytes_per_token", 8.0),
    Measurement("heldout/nll", 1.5),
    Measurement("heldout/nll_difference", 0.5),
    Measurement("a/acc", 0.5),
    Measurement(f"{DecodeLoad(64, 2, 8).data}/decode_speedup", 1.5),
)


def test_a_part_is_forgotten_and_all_else_is_kept(row: Evaluation, folder: MeasuredFolder) -> None:
    whole = replace(row, measured=FULL)
    folder.save("one", whole)
    folder.save("two", replace(whole, plan_digest="another"))
    done = folder.forget(lambda found: ("text",) if found.plan_digest == row.plan_digest else ())
    assert (done.deleted, done.hidden) == (1, 0)
    other, left = sorted(folder.rows(), key=lambda one: one.benchmark.text or "z")
    assert other == replace(whole, plan_digest="another")
    assert left.benchmark == replace(BENCHMARK, text=None)
    assert [one.metric for one in left.measured] == [FULL[0].metric, "a/acc", FULL[4].metric]
    # It does not pass for what measures the text as well.
    assert folder.row("one") is None
    folder.forget(lambda found: found.parts() if found.benchmark.text is None else ())
    assert folder.rows() == (other,)
    assert len(list(folder.path.glob("*.json"))) == 1


def test_one_of_several_tasks_is_forgotten_with_the_tasks_of_its_group(
    row: Evaluation, folder: MeasuredFolder
) -> None:
    named = ("mmlu/acc", "mmlu_law/acc", "piqa/acc", "my_own/acc")
    tasks = Benchmark(tasks=("mmlu", "piqa", "/some/file.yaml"), limit=5)
    whole = replace(row, benchmark=tasks, measured=tuple(Measurement(one, 0.5) for one in named))
    folder.save("key", whole)
    assert set(whole.parts()) == {"task mmlu", "task piqa", "tasks"}
    folder.forget(lambda _row: ("task mmlu",))
    (left,) = folder.rows()
    assert left.benchmark.tasks == ("piqa", "/some/file.yaml")
    assert [one.metric for one in left.measured] == ["piqa/acc", "my_own/acc"]
    folder.forget(lambda _row: ("tasks",))
    (left,) = folder.rows()
    assert [one.metric for one in left.measured] == ["piqa/acc"]


def test_what_came_with_the_package_is_hidden_and_shown_again(
    row: Evaluation, folder: MeasuredFolder
) -> None:
    assert folder.included is not None
    included = MeasuredFolder(folder.included)
    included.make()
    included.save("key", replace(row, measured=FULL))
    before = (folder.included / "key.json").read_bytes()
    assert folder.forget(lambda _row: ("text",)).hidden == 1
    (shown,) = folder.rows()
    assert shown.figure("heldout/nll") is None
    assert shown.figure("a/acc") is not None
    folder.forget(Evaluation.parts)
    assert folder.rows() == ()
    assert folder.row("key") is None
    # Measured anew it is the user's, and shows.
    folder.save("key", row)
    assert folder.rows() == (row,)
    (folder.path / "key.json").unlink()
    assert folder.num_hidden == 1
    assert folder.show_hidden() == 1
    assert folder.row("key") == replace(row, measured=FULL)
    assert (folder.included / "key.json").read_bytes() == before


@pytest.fixture
def included(row: Evaluation, folder: MeasuredFolder) -> Evaluation:
    """Return a row that came with the package."""
    assert folder.included is not None
    MeasuredFolder(folder.included).make()
    whole = replace(row, measured=FULL)
    MeasuredFolder(folder.included).save("key", whole)
    return whole


def _num_measured(folder: MeasuredFolder, part: str) -> int:
    return sum(part in row.parts() for row in folder.rows())


def test_what_replaces_an_included_row_leaves_none_of_it_beside(
    included: Evaluation, folder: MeasuredFolder
) -> None:
    folder.forget(lambda _row: ("text",))
    folder.save("key", included)
    assert folder.rows() == (included,)
    folder.forget(lambda _row: ("text",))
    assert _num_measured(folder, "text") == 0
    for part in ("speed", "task a", "tasks"):
        assert _num_measured(folder, part) == 1
    # Shown again, it adds what was not measured here.
    folder.show_hidden()
    assert _num_measured(folder, "text") == _num_measured(folder, "speed") == 1
    folder.forget(lambda _row: ("speed",))
    assert _num_measured(folder, "speed") == 0
    assert _num_measured(folder, "text") == 1


def test_what_is_measured_anew_stands_in_for_an_included_row_of_another_name(
    included: Evaluation, folder: MeasuredFolder
) -> None:
    again = replace(included, measured=(Measurement("heldout/nll", 1.25), *FULL[2:]))
    folder.save("key of another version", again)
    assert folder.rows() == (again,)
    folder.forget(Evaluation.parts)
    assert folder.rows() == ()
    folder.show_hidden()
    assert folder.rows() == (included,)


def test_a_part_that_is_measured_alone_stands_in_for_the_included_one(
    included: Evaluation, folder: MeasuredFolder
) -> None:
    speed = replace(included, benchmark=Benchmark(speed=BENCHMARK.speed), measured=FULL[-1:])
    folder.save("speed", speed)
    assert _num_measured(folder, "speed") == _num_measured(folder, "text") == 1
    elsewhere = replace(speed, device="cuda")
    folder.save("elsewhere", elsewhere)
    assert _num_measured(folder, "speed") == 2


def test_a_row_takes_the_place_of_one_that_says_the_same_under_another_key(
    row: Evaluation, folder: MeasuredFolder
) -> None:
    others = (
        replace(row, method="optimal"),
        replace(row, plan_digest="another"),
        replace(row, device="cuda"),
        replace(row, dtype="float32"),
        replace(row, benchmark=replace(BENCHMARK, limit=6)),
        # It holds nothing else, but is found by its own benchmark.
        replace(row, benchmark=Benchmark(speed=BENCHMARK.speed)),
    )
    for number, one in enumerate((row, *others)):
        folder.save(f"old {number}", one)
    again = replace(row, measured=(Measurement("heldout/nll", 2.5, 0.5, 100),))
    folder.save("new", again)
    rows = folder.rows()
    assert len(rows) == len(others) + 1
    assert again in rows
    assert row not in rows
    assert folder.row("old 0") is None


def test_what_was_left_of_a_row_goes_when_the_whole_is_measured_again(
    row: Evaluation, folder: MeasuredFolder
) -> None:
    whole = replace(row, measured=FULL)
    folder.save("key", whole)
    folder.forget(lambda _row: ("text",))
    folder.save("key", whole)
    assert folder.rows() == (whole,)


def test_what_is_left_of_a_row_is_not_kept_beside_the_same(
    row: Evaluation, folder: MeasuredFolder
) -> None:
    both = replace(row, benchmark=Benchmark("demo", speed=BENCHMARK.speed), measured=FULL)
    speed = replace(row, benchmark=Benchmark(speed=BENCHMARK.speed), measured=FULL[-1:])
    folder.save("speed", speed)
    folder.save("both", both)
    folder.forget(lambda _row: ("text",))
    assert folder.rows() == (speed,)


def test_a_text_may_bear_the_name_of_a_task(row: Evaluation) -> None:
    names = ("accuracy", "accuracy_difference", "nll", "nll_difference", "perplexity")
    of_text = [f"piqa/{name}" for name in (*names, "perplexity_ratio", "kl", "same_top")]
    of_task = ["piqa/acc", "piqa/acc_norm", "piqa/acc_difference"]
    whole = replace(
        row,
        benchmark=Benchmark("/texts/piqa.txt", ("piqa",), speed=None),
        measured=tuple(Measurement(name, 0.5) for name in (*of_text, *of_task)),
        samples=tuple(
            Samples(name, "digest", (Stratum(1.0, (1,), (0.5,)),))
            for name in ("piqa/nll", "piqa/acc")
        ),
    )
    task, text = whole.without(("text",)), whole.without(("task piqa",))
    assert task
    assert text
    assert [figure.metric for figure in task.measured] == of_task
    assert [one.metric for one in task.samples] == ["piqa/acc"]
    assert task.benchmark == Benchmark(tasks=("piqa",))
    assert [figure.metric for figure in text.measured] == of_text
    assert [one.metric for one in text.samples] == ["piqa/nll"]
    # A group of which the harness tells its tasks alone.
    group = replace(whole, measured=tuple(Measurement(name, 0.5) for name in of_text))
    assert set(group.parts()) == {"text", "tasks"}
