"""What people read: the source by its kind, and data by readable names."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from qcqa.charts.common.kv_axis import KvAxis
from qcqa.charts.common.palette import method_style, source_text
from qcqa.charts.fronts.comparison import comparison_table
from qcqa.charts.fronts.front_table import front_table
from qcqa.charts.fronts.pareto import pareto_figure
from qcqa.charts.quality.accuracy import accuracy_figure
from qcqa.charts.quality.accuracy_table import accuracy_table
from qcqa.charts.quality.series import metric_title, metrics_of
from qcqa.measure.comparable import conditions_of
from qcqa.measure.evaluation import Evaluation
from qcqa.measure.sensitivity import SensitivitySettings
from qcqa.plan.budget import CacheLoad
from qcqa.plan.metric import _DATA_LABELS, data_label, figure_label, text_label
from qcqa.search.result import SearchResult

METRIC = "heldout/accuracy"


@pytest.fixture
def grouped(result: SearchResult) -> SearchResult:
    """Return the result of a source with four query heads to every KV head."""
    spec = replace(result.spec, num_query_heads=4 * result.spec.num_kv_heads)
    return replace(result, grams=replace(result.grams, spec=spec))


@pytest.mark.parametrize(
    ("num_kv_heads", "attention", "label", "text"),
    [
        (8, "MHA", "MHA", "MHA, the source"),
        (2, "GQA", "source (GQA)", "the source (GQA)"),
        (1, "MQA", "source (MQA)", "the source (MQA)"),
    ],
)
def test_only_mha_is_called_mha(
    result: SearchResult, num_kv_heads: int, attention: str, label: str, text: str
) -> None:
    spec = replace(result.spec, num_query_heads=8, num_kv_heads=num_kv_heads)
    assert spec.attention == attention
    assert method_style("mha", spec).label == label
    assert source_text(spec) == text
    # Where the model is not known it is the source, of whatever kind.
    assert method_style("mha").label == "source"


def test_no_chart_and_no_table_calls_a_grouped_source_mha(
    grouped: SearchResult, load: CacheLoad, measure: Callable[..., Evaluation]
) -> None:
    rows = [measure(), measure("gqa", 24)]
    axis = KvAxis(grouped.spec, load, "percent")
    figures = [
        accuracy_figure(rows, METRIC, axis, fronts=grouped.fronts, budget=1.0),
        pareto_figure(grouped, axis, budget=1.0, rows=tuple(rows)),
    ]
    for figure in figures:
        assert "source (GQA)" in {trace.name for trace in figure.data}
        assert "MHA" not in figure.to_json()
    assert "the source (GQA): 60.0 %" in figures[0].to_json()
    for table in (
        comparison_table(grouped, 48, load),
        front_table(grouped, load),
        accuracy_table(rows, metrics_of(rows)),
    ):
        assert "MHA" not in table.to_csv()
        assert table["method"].str.startswith("source").any()


@pytest.mark.parametrize(
    ("metric", "label"),
    [
        ("heldout/perplexity", "held-out stories: perplexity"),
        ("heldout/accuracy_difference", "held-out stories: change in next-token accuracy"),
        ("demo_minimal_pairs/acc", "minimal pairs: accuracy"),
        ("demo_recall/acc", "recall: accuracy"),
        ("arc_easy/acc", "arc easy: accuracy"),
        # A file is called by its name.
        ("my_notes/accuracy", "my_notes: next-token accuracy"),
        ("cache_bytes_per_token", "KV cache per token of a short prompt"),
    ],
)
def test_figures_are_called_by_readable_names(metric: str, label: str) -> None:
    assert figure_label(metric) == label


def test_a_text_has_one_name_wherever_it_is_told(
    monkeypatch: pytest.MonkeyPatch, measure: Callable[..., Evaluation]
) -> None:
    for text in ("demo", "/data/texts/my_notes.txt"):
        assert SensitivitySettings(text).text_name == text_label(text)
    monkeypatch.setitem(_DATA_LABELS, "heldout", "unseen stories")
    assert SensitivitySettings("demo").text_name == "unseen stories"
    assert conditions_of([measure(limit=400)], METRIC)[0].label.endswith("unseen stories")


def test_axes_switches_and_conditions_have_no_raw_names(measure: Callable[..., Evaluation]) -> None:
    row = measure(limit=400)
    assert metric_title(METRIC) == "held-out stories: next-token accuracy, %"
    assert metric_title("demo_recall/acc") == "recall: accuracy, %"
    assert conditions_of([row], METRIC)[0].label == "at most 400 windows, held-out stories"
    assert text_label("/data/texts/my_notes.txt") == "my_notes.txt"
    assert data_label("lambada_openai") == "lambada openai"
