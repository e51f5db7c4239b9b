"""Does WSE stand for quality on this model? What was measured beside what was predicted."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import hypot, isfinite

import numpy as np
import plotly.graph_objects as go

from qcqa.charts.common.kv_axis import size_text
from qcqa.charts.common.markup import in_chart
from qcqa.charts.common.rounded import fixed
from qcqa.charts.common.wording import counted
from qcqa.charts.quality.series import bar_of, data_title, series_of
from qcqa.measure.comparable import CLEAR_STANDARD_ERRORS, is_small, paired_difference, rows_under
from qcqa.measure.evaluation import Evaluation
from qcqa.plan.metric import DIFFERENCE, metric_of
from qcqa.plan.plan import Measurement

#: Plans whose KV ratios differ by no more than this are of the same size.
_SAME_SIZE = 0.02

#: From this share of pairs in order on, WSE is said to order plans.
_ORDERS = 0.8
_ORDERS_IN_PART = 0.65

#: Fewer pairs than this are no ground for a sentence.
FEWEST_PAIRS = 3

#: Of the figure, in pixels.
_HEIGHT = 400


@dataclass(frozen=True, slots=True)
class ProxyCheck:
    """How well relative WSE orders the measured loss of plans.

    Parameters
    ----------
    metric : str
        The measured loss: a difference from the source.
    num_plans : int
        Different plans that were measured.
    rank_correlation : float or None
        Spearman's, over all plans; None where it is not defined. Larger merges raise both, so it
        is high even where WSE says nothing about plans of one size.
    within_size : float or None
        Mean over sizes of Spearman's correlation among plans of that size; sizes of three or more
        plans count.
    num_pairs, num_ordered : int
        Pairs of plans of the same size whose losses differ by more than chance, and those in which
        the plan of lower WSE lost less. Plans that were chosen by a loss are in none: of them it is
        low by choice.
    """

    metric: str
    num_plans: int
    rank_correlation: float | None
    within_size: float | None
    num_pairs: int
    num_ordered: int

    @property
    def sentence(self) -> str:
        """What the figures say, for people."""
        if not self.is_telling:
            return (
                "Whether WSE stands for quality on this model is not known: too few plans of the "
                "same size were measured that differ by more than chance and were not chosen by it."
            )
        return (
            f"{verdict(self.num_ordered, self.num_pairs)}: of {self.num_pairs} pairs of plans of "
            "the same size that differ by more than chance, the one with the lower WSE lost less "
            f"in {self.num_ordered}."
        )

    @property
    def is_telling(self) -> bool:
        """Whether there are enough pairs to say so."""
        return self.num_pairs >= FEWEST_PAIRS

    @property
    def figures(self) -> str:
        """The correlations, as lines below the chart."""
        parts = [counted(self.num_plans, "plan")]
        if self.rank_correlation is not None:
            parts.append(f"Spearman's rank correlation {_signed(self.rank_correlation)}")
        if self.within_size is not None:
            parts.append(f"among plans of the same size {_signed(self.within_size)}")
        text = f"{', '.join(parts)}."
        if self.rank_correlation is None:
            return text
        return f"{text} Over all sizes it is raised in any case: smaller caches lose more."


def proxy_metric(rows: Iterable[Evaluation]) -> str | None:
    """Return the measured loss to compare WSE with.

    The rise of the log-likelihood of a text where it was measured, else the first difference of
    an accuracy; None where neither was. What was measured on few samples comes last.
    """
    figures = {f.metric: f for row in rows for f in row.measured if f.metric.endswith(DIFFERENCE)}
    return min(figures, key=lambda name: _rank(figures[name]), default=None)


def _rank(figure: Measurement) -> tuple[bool, bool]:
    return is_small(figure), metric_of(figure.metric).name != f"nll{DIFFERENCE}"


def verdict(num_ordered: int, num_pairs: int) -> str:
    """Begin the sentence, by in how many pairs the lower WSE lost less."""
    share = num_ordered / num_pairs
    verb = "does not stand"
    if share >= _ORDERS_IN_PART:
        verb = "stands" if share >= _ORDERS else "stands only in part"
    return f"WSE {verb} for quality on this model"


def check_proxy(
    rows: Iterable[Evaluation], metric: str, by_loss: Collection[str] = ()
) -> ProxyCheck:
    """Return how well relative WSE orders a measured loss.

    Parameters
    ----------
    rows : iterable of Evaluation
        Of one source model.
    metric : str
        As from :func:`proxy_metric`.
    by_loss : collection of str
        Methods that chose their plans by a loss.
    """
    # A plan that two methods found counts once.
    plans = list({row.plan_digest: row for row in _plans(rows, metric)}.values())
    wse = [row.relative_wse for row in plans]
    loss = [_loss(row, metric) for row in plans]
    sizes = _by_size(plans)
    within = [
        correlation
        for size in sizes
        if len(size) >= 3
        and (
            correlation := _spearman(
                [row.relative_wse for row in size], [_loss(row, metric) for row in size]
            )
        )
        is not None
    ]
    # Equal figures have no order to agree with, nor have those that chance alone may have parted.
    pairs = [
        (first, second)
        for size in sizes
        for first, second in combinations([row for row in size if row.method not in by_loss], 2)
        if not np.isclose(first.relative_wse, second.relative_wse, rtol=1e-9)
        and _differ(first, second, metric)
    ]
    ordered = [
        (first.relative_wse < second.relative_wse) == (_loss(first, metric) < _loss(second, metric))
        for first, second in pairs
    ]
    return ProxyCheck(
        metric=metric,
        num_plans=len(plans),
        rank_correlation=_spearman(wse, loss),
        within_size=float(np.mean(within)) if within else None,
        num_pairs=len(pairs),
        num_ordered=sum(ordered),
    )


def proxy_figure(rows: Iterable[Evaluation], metric: str) -> go.Figure:
    """Return a marker per plan: its relative WSE against what merging was measured to cost.

    Parameters
    ----------
    rows : iterable of Evaluation
        Of one source model.
    metric : str
        As from :func:`proxy_metric`.
    """
    figure = go.Figure()
    for series in series_of(_plans(rows, metric)):
        style = series.style
        figure.add_trace(
            go.Scatter(
                x=[row.relative_wse for row in series.rows],
                y=[_loss(row, metric) for row in series.rows],
                name=style.label,
                mode="markers",
                # Plans that lose next to nothing are on the edge: their markers are whole there.
                cliponaxis=False,
                marker={"color": style.colour, "symbol": style.symbol, "size": 10},
                error_y={
                    "type": "data",
                    "array": [_bar(row, metric) for row in series.rows],
                    "thickness": 1.2,
                    "width": 4,
                },
                text=[size_text(100 * row.kv_ratio, "percent") for row in series.rows],
                hovertemplate=f"<b>{style.label}</b>, KV cache %{{text}}"
                "<br>relative WSE %{x:.3f}<br>" + _loss_name(metric) + " %{y:.4~g}<extra></extra>",
            )
        )
    figure.update_layout(
        height=_HEIGHT,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        hovermode="closest",
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "title": {"text": ""}},
        xaxis={"title": {"text": "relative WSE (predicted)"}, "rangemode": "tozero"},
        yaxis={
            "title": {"text": f"{_loss_name(metric)} (measured)"},
            "rangemode": "tozero",
            "automargin": True,
        },
    )
    return figure


def _loss_name(metric: str) -> str:
    of, data = metric_of(metric), in_chart(data_title(metric))
    if of.name == f"nll{DIFFERENCE}":
        return "rise of the loss, nats per token"
    label = in_chart(of.label.removeprefix("change in "))
    if of.higher_is_better:
        return f"loss of {data} {label}, points" if of.is_share else f"loss of {data} {label}"
    return f"rise of {data} {label}"


def _differ(first: Evaluation, second: Evaluation, metric: str) -> bool:
    """Return whether two losses differ by more than chance, as far as that is known."""
    difference = paired_difference(first, second, metric.removesuffix(DIFFERENCE))
    if difference is not None and difference.standard_error is not None:
        return abs(difference.value) > CLEAR_STANDARD_ERRORS * difference.standard_error
    figures = [row.figure(metric) for row in (first, second)]
    errors = [figure.standard_error for figure in figures if figure is not None]
    if len(errors) < 2 or None in errors:
        return False
    behind = abs(_loss(first, metric) - _loss(second, metric))
    return behind > CLEAR_STANDARD_ERRORS * _scale(metric) * hypot(*(each or 0 for each in errors))


def _loss(row: Evaluation, metric: str) -> float:
    """Return what merging cost: more is worse."""
    figure, kind = row.figure(metric), metric_of(metric)
    value = figure.value if figure else float("nan")
    return value * (-1 if kind.higher_is_better else 1) * _scale(metric)


def _bar(row: Evaluation, metric: str) -> float:
    figure = row.figure(metric)
    return bar_of(figure) * _scale(metric) if figure else 0.0


def _scale(metric: str) -> int:
    return 100 if metric_of(metric).is_share else 1


def _plans(rows: Iterable[Evaluation], metric: str) -> list[Evaluation]:
    compared = rows_under(rows, metric)
    return [
        row
        for row in compared
        if not row.is_source and row.is_of_weights_alone and isfinite(_loss(row, metric))
    ]


def _by_size(rows: Sequence[Evaluation]) -> list[list[Evaluation]]:
    """Return the rows in groups of about one size and one merge."""
    groups: list[list[Evaluation]] = []
    for row in sorted(rows, key=lambda evaluation: (evaluation.merge, evaluation.kv_ratio)):
        first = groups[-1][0] if groups else None
        if first and row.merge == first.merge and row.kv_ratio - first.kv_ratio <= _SAME_SIZE:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return the rank correlation, None where it is not defined."""
    if len(set(first)) < 2 or len(set(second)) < 2 or len(first) < 3:
        return None
    # Slow to import, and no page but that of measured figures needs it.
    from scipy.stats import spearmanr

    return float(spearmanr(first, second).statistic)


def _signed(number: float) -> str:
    return fixed(number, 2, sign=True)
