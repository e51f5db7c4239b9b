"""The table of all runs, what each offers, and in which settings runs differ."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from qcqa.charts.fronts.best_plan import best_plan_within
from qcqa.charts.jobs.run_settings import compare_settings, setting_text, settings_of
from qcqa.charts.jobs.runs_table import age_text, runs_table
from qcqa.errors import RunError
from qcqa.jobs.run import Run, open_run
from qcqa.jobs.status import RunStatus
from qcqa.jobs.store import annotate_run, create_run, list_runs
from qcqa.measure.evaluation import Evaluation
from qcqa.plan.plan import Measurement
from qcqa.search.result import ResultFolder, SearchResult
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.options import TwoStageOptions

Measure = Callable[..., Evaluation]


def _run(result: SearchResult | None = None, **settings: object) -> Run:
    run = create_run(
        model="org/model",
        name="Some model",
        methods=("optimal", "qcqa-ac"),
        settings=SearchSettings(**settings),  # type: ignore[arg-type]  # any setting
    )
    if result:
        kept = ResultFolder(run.folder)
        kept.save_grams(result.grams)
        kept.save_bound(result.bound)
        for front in result.fronts.values():
            kept.save_front(front)
    run.write_status(RunStatus(state="finished", fraction=1.0))
    return run


def test_without_figures_the_offer_is_what_the_search_predicts(result: SearchResult) -> None:
    offer = best_plan_within(result, [], 0.5)
    assert offer is not None
    assert (offer.method, offer.is_measured) == ("optimal", False)
    assert offer.value == offer.relative_wse
    assert offer.text == f"Optimal: relative WSE {offer.relative_wse:.3f}"


def test_what_was_chosen_by_loss_says_its_loss(with_best: SearchResult) -> None:
    offer = best_plan_within(with_best, [], 0.5)
    assert offer is not None
    assert offer.method == "best"
    assert offer.text.startswith("Best heads: summed rise of the loss ")
    assert offer.text.endswith(" nats per token")
    assert offer.value != offer.relative_wse


def test_only_where_all_were_measured_the_figure_decides(
    result: SearchResult, measure: Measure
) -> None:
    rows = [
        measure(),
        measure("optimal", 24, accuracy=0.3),
        measure("mqa", 6, accuracy=0.1),
    ]
    offer = best_plan_within(result, rows, 0.5)
    assert offer is not None
    assert (offer.method, offer.is_measured) == ("optimal", True)
    assert offer.text == "Optimal: next-token accuracy 30.0 %"
    offer = best_plan_within(result, [*rows, measure("gqa", 24, accuracy=0.4)], 0.5)
    assert offer is not None
    assert (offer.method, offer.value) == ("gqa", 0.4)
    assert offer.metric == "heldout/accuracy"


def test_lower_perplexity_is_better(result: SearchResult, measure: Measure) -> None:
    rows = [
        measure("optimal", 24, perplexity=9.0),
        measure("gqa", 24, perplexity=8.0),
        measure("mqa", 6, perplexity=30.0),
    ]
    only = [
        replace(row, measured=tuple(one for one in row.measured if "perplexity" in one.metric))
        for row in rows
    ]
    offer = best_plan_within(result, only, 0.5)
    assert offer is not None
    assert (offer.method, offer.value) == ("gqa", 8.0)


def test_speed_is_no_quality(result: SearchResult, measure: Measure) -> None:
    speed = Measurement("decode, context 8, batch 1/tokens_per_second", 9.0)
    rows = [measure(method, heads) for method, heads in (("optimal", 24), ("gqa", 24), ("mqa", 6))]
    offer = best_plan_within(result, [replace(row, measured=(speed,)) for row in rows], 0.5)
    assert offer is not None
    assert (offer.method, offer.is_measured) == ("optimal", False)


def test_a_small_sample_is_marked_and_decides_nothing(
    result: SearchResult, measure: Measure
) -> None:
    rows = [measure("optimal", 24, accuracy=0.3), measure("gqa", 24, accuracy=0.4)]
    small = [
        replace(row, measured=tuple(replace(one, sample_count=4) for one in row.measured))
        for row in rows
    ]
    offer = best_plan_within(result, small, 0.5)
    assert offer is not None
    assert offer.text == "Optimal: next-token accuracy 30.0 % (small sample)"
    assert offer.ground.startswith("estimated by WSE alone: ")


def test_where_nothing_fits_nothing_is_offered(result: SearchResult) -> None:
    assert best_plan_within(result, [], 0.01) is None


def test_a_row_per_run_says_what_it_is(result: SearchResult) -> None:
    finished, empty = annotate_run(_run(result), "a note"), _run()
    broken, unreadable = _run(), _run()
    (broken.folder / "config.json").write_text("{")
    (unreadable.folder / "status.json").write_text("{")
    table = runs_table(list_runs())
    assert set(table.index) == {finished.id, empty.id, broken.folder.name, unreadable.id, "demo"}
    row = table.loc[finished.id]
    assert (row["name"], row["state"], row["progress"]) == ("Some model", "finished", 1.0)
    assert (row["model"], row["methods"], row["note"]) == (
        "org/model",
        "QCQA-AC by WSE, Optimal",
        "a note",
    )
    assert row["best"].method == "optimal"
    assert row["measured plans"] == 0
    assert table.loc[empty.id, "best"] is None
    for run in (broken, unreadable):
        assert table.loc[run.folder.name, "best"] is None
        assert table.loc[run.folder.name, "state"] == "damaged"
        assert "is damaged" in str(table.loc[run.folder.name, "problem"])
    assert table.loc["demo", "best"].method == "heads-bits"
    assert table.loc["demo", "measured plans"] == 34


def test_a_table_of_no_runs_has_its_columns() -> None:
    assert list(runs_table([]).columns) == list(runs_table(list_runs()).columns)


def test_a_damaged_result_is_the_problem_of_its_row(result: SearchResult) -> None:
    run = _run(result)
    (run.folder / "fronts" / "gqa.plans.parquet").write_bytes(b"no table")
    row = runs_table([run]).loc[run.id]
    assert row["state"] == "damaged"
    assert "gqa.plans.parquet" in row["problem"]


def test_only_what_differs_is_compared(result: SearchResult) -> None:
    first, second = _run(result), _run(seed=5, two_stage=TwoStageOptions(mutation_probability=0.1))
    table = compare_settings([first, second])
    assert list(table.columns) == [first.id, second.id]
    assert table.loc["seed"].tolist() == [0, 5]
    assert table.loc["two_stage.mutation_probability"].tolist() == [None, 0.1]
    # The second has not read its model yet.
    assert table.loc["weights.layers"].tolist() == [3, None]
    assert not {"two_stage.generations", "methods", "name", "created"} & set(table.index)
    assert compare_settings([first, _run(result)]).empty


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    folders = [tmp_path / "a" / "run", tmp_path / "b" / "run"]
    for folder, seed in zip(folders, (0, 1), strict=True):
        create_run(
            model="m", methods=("optimal",), settings=SearchSettings(seed=seed), folder=folder
        )
    table = compare_settings([open_run(folder) for folder in folders])
    assert list(table.columns) == [str(folder) for folder in folders]
    assert table.loc["seed"].tolist() == [0, 1]


def test_one_run_is_not_compared() -> None:
    run = _run()
    with pytest.raises(RunError, match="at least two"):
        compare_settings([run, run])


def test_versions_are_those_of_the_last_start() -> None:
    run = _run()
    time = {"time": "2026-01-01T00:00:00+00:00"}
    rows = [{**time, "event": "started", "versions": {"numpy": "1"}}, {**time, "event": "failed"}]
    (run.folder / "events.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    assert settings_of(open_run(run.folder))["versions.numpy"] == "1"


def test_settings_read_well() -> None:
    assert [setting_text(one) for one in (None, True, ["a", 1], 0.5)] == [
        "\N{EM DASH}",
        "yes",
        "a, 1",
        "0.5",
    ]


def test_ages_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    for seconds, said in (
        (3, "now"),
        (130, "2 min"),
        (7300, "2 h"),
        (200_000, "2 d"),
        (4e7, "1 y"),
    ):
        monkeypatch.setattr("qcqa.charts.jobs.runs_table.seconds_since", lambda _, s=seconds: s)
        assert age_text("") == said
    monkeypatch.undo()
    assert age_text("long ago") == "long ago"
