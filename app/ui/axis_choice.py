"""Switches between measured metrics, and between them and the errors that a search predicts."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from qcqa.charts.common.markup import plain
from qcqa.charts.fronts.error_axis import scales_of
from qcqa.search.result import SearchResult
from ui.state import choices, widget

#: More options than this do not fit beside each other.
_MOST_BESIDE_EACH_OTHER = 4


def vertical_axis(result: SearchResult, metrics: Mapping[str, str]) -> str:
    """Draw the switch of the fronts' vertical axis; return an error scale or a metric."""
    options: dict[str, str] = dict(scales_of(result).items())
    options |= {name: f"{label}, measured" for name, label in metrics.items()}
    shown = shown_scale(result, metrics)
    _switch("Vertical axis", options, widget("scale", shown, key=_key("scale", options)))
    return shown


def shown_scale(result: SearchResult, metrics: Mapping[str, str]) -> str:
    """Return what the fronts' vertical axis shows: an error scale or a metric."""
    wanted = choices().scale
    if wanted in metrics or wanted in scales_of(result):
        return str(wanted)
    # What was measured says more than what the weights let expect.
    return shown_metric(metrics, None) if metrics else "relative"


def metric_choice(metrics: Mapping[str, str]) -> str:
    """Draw the switch between metrics, of which there is at least one; return the chosen one."""
    shown = shown_metric(metrics, choices().metric)
    _switch("Metric", metrics, widget("metric", shown, key=_key("metric", metrics)))
    return shown


def shown_metric(metrics: Mapping[str, str], wanted: str | None) -> str:
    """Return the wanted metric, or else the one to begin with: accuracy before perplexity."""
    if wanted is not None and wanted in metrics:
        return wanted
    return next((name for name in metrics if name.endswith("/accuracy")), next(iter(metrics)))


def _key(name: str, options: Mapping[str, str]) -> str:
    return name if len(options) <= _MOST_BESIDE_EACH_OTHER else f"{name}_list"


def _switch(label: str, options: Mapping[str, str], state: dict[str, Any]) -> None:
    """Draw few options beside each other and many as a list."""
    if len(options) <= _MOST_BESIDE_EACH_OTHER:
        # Each with a border of its own: joined ones lack theirs where they wrap.
        st.pills(
            label,
            list(options),
            format_func=lambda name: plain(options[name]),
            required=True,
            label_visibility="collapsed",
            wrap=True,
            **state,
        )
    else:
        st.selectbox(
            label,
            list(options),
            format_func=lambda name: options[name],
            label_visibility="collapsed",
            **state,
        )
