"""What was measured on each plan, as a table."""

from collections.abc import Iterable, Mapping
from math import nan

import pandas as pd

from qcqa.charts.common.wording import merge_label
from qcqa.charts.quality.series import change_of, series_of, source_of
from qcqa.measure.comparable import Conditions, is_of_text, rows_under
from qcqa.measure.evaluation import Evaluation
from qcqa.plan.metric import AGAINST_SOURCE, metric_of


def accuracy_table(
    rows: Iterable[Evaluation],
    metrics: Mapping[str, str],
    *,
    conditions: Conditions | None = None,
) -> pd.DataFrame:
    """Return a row per measured model: the source, then plans from the largest cache down.

    For each metric there is its value, its standard error, the difference from the source with
    the standard error of that (paired, sample by sample), and where higher is better the share of
    the source's value that was kept. Shares are in percent, their differences in points. What
    itself compares with the source, as the KL divergence does, has its value and its error alone.

    Parameters
    ----------
    rows : iterable of Evaluation
        Of one source model.
    metrics : mapping from str to str
        Names of metrics, and what to call them; see :func:`~qcqa.charts.quality.series.metrics_of`.
    conditions : Conditions, optional
        Those of the most rows by default, metric by metric.
    """
    every = list(rows)
    models: dict[tuple[str, str, int], dict[str, object]] = {}
    columns: list[str] = []
    for metric, label in metrics.items():
        compared = rows_under(every, metric, conditions)
        source = source_of(compared)
        for series in series_of(compared):
            for row in series.rows:
                cells = models.setdefault(
                    (row.method, row.merge, row.kv_bits),
                    {
                        "method": series.style.label,
                        "merge": merge_label(row.merge),
                        "KV ratio": row.kv_ratio,
                        "relative WSE": row.relative_wse if row.is_of_weights_alone else nan,
                    },
                )
                figures = _figures(row, source, metric, label)
                cells |= figures
                columns += [name for name in figures if name not in columns]
    # Sorting is stable: plans of one size stay in the order in which methods are shown.
    ordered = sorted(models.values(), key=lambda cells: -float(str(cells["KV ratio"])))
    table = pd.DataFrame(ordered, columns=["method", "merge", "KV ratio", "relative WSE", *columns])
    return table.astype(dict.fromkeys(["KV ratio", "relative WSE", *columns], "float64"))


def _figures(
    row: Evaluation, source: Evaluation | None, metric: str, label: str
) -> dict[str, float]:
    figure = row.figure(metric)
    kind = metric_of(metric)
    scale, unit = (100, ", %") if kind.is_share else (1, "")
    value = figure.value if figure else nan
    cells = {
        f"{label}{unit}": scale * value,
        f"{label}, standard error": _scaled(figure.standard_error if figure else None, scale),
    }
    if kind.name in AGAINST_SOURCE:
        return cells
    change = change_of(row, metric, source)
    cells |= {
        f"{label}, change": _scaled(change.value if change else None, scale),
        f"{label}, standard error of change": _scaled(
            change.standard_error if change else None, scale
        ),
    }
    of_source = source.figure(metric) if source else None
    # Of an accuracy on questions a part is chance, and no quality that was kept.
    if kind.higher_is_better and is_of_text(metric):
        kept = 100 * value / of_source.value if of_source and of_source.value > 0 else nan
        cells[f"{label}, % kept"] = kept
    return cells


def _scaled(value: float | None, scale: float) -> float:
    return nan if value is None else scale * value
