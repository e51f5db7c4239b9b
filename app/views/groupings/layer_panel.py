"""One layer of a plan: how alike its heads are, and what merging each group costs."""

from collections.abc import Sequence

import streamlit as st
from ui.chart import legible
from ui.state import choices, redrawn_alone, widget

from qcqa.charts.common.rounded import zeros_unsigned
from qcqa.charts.common.wording import wse_note
from qcqa.charts.layers.group_costs import (
    KIND_LABELS,
    group_cost_table,
    layer_cost_table,
)
from qcqa.charts.layers.similarity import similarity_figure, similarity_limit
from qcqa.plan.plan import Plan
from qcqa.reduce.groups.costs import LayerCost, layer_costs
from qcqa.reduce.groups.gram import HeadGram
from qcqa.search.result import SearchResult


@st.fragment
@redrawn_alone
def layer_panel(result: SearchResult, plan: Plan) -> None:
    """Draw similarities and costs of a layer of the reader's choice."""
    st.subheader("One layer", anchor=False)
    layer = _controls(plan)
    gram = result.grams.layers[layer]
    costs = layer_costs(gram, plan.layers[layer], choices().kind)
    left, right = st.columns([5, 6], gap="medium")
    with left:
        _similarity(gram, costs, layer)
    with right:
        _table(costs, plan)


def _controls(plan: Plan) -> int:
    last = plan.model.num_layers - 1
    layer = min(choices().layer, last)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        if last > 0:
            st.slider("Layer", 0, last, width="stretch", **widget("layer", layer))
        st.segmented_control(
            "Heads",
            list(KIND_LABELS),
            format_func=lambda kind: KIND_LABELS[kind],
            required=True,
            wrap=True,
            **widget("kind", choices().kind),
        )
        st.toggle(
            "Stretch colours",
            help="Full colour at the largest similarity of two heads, instead of at 1.",
            **widget("stretch", choices().stretch),
        )
    return layer


def _similarity(gram: HeadGram, costs: Sequence[LayerCost], layer: int) -> None:
    grams = [gram.of(cost.kind) for cost in costs]
    limit = similarity_limit(*grams) if choices().stretch else 1.0
    for cost, weights in zip(costs, grams, strict=True):
        groups = [group.heads for group in cost.groups]
        if len(costs) > 1:
            st.markdown(f"**{KIND_LABELS[cost.kind]}**")
        st.plotly_chart(
            legible(similarity_figure(weights, groups, limit=limit)),
            key=f"similarity_{cost.kind}",
            config={"displayModeBar": False},
            alt=f"Similarity of the heads of layer {layer}: {KIND_LABELS[cost.kind].lower()}",
        )
    st.caption(
        "Cosine similarity of the heads' weights: 1 for heads that are alike up to scale, 0 for "
        "heads that have nothing in common. Frames are the groups; heads that keep their own come "
        "last."
    )


def _table(costs: Sequence[LayerCost], plan: Plan) -> None:
    number = st.column_config.NumberColumn
    st.markdown("**What the layer loses**")
    losses = layer_cost_table(costs)
    for name in ("neighbours instead, %", "lower bound, %"):
        losses[name] = zeros_unsigned(losses[name], 1)
    st.dataframe(
        losses,
        hide_index=True,
        column_config={
            "WSE": number(format="%.4g"),
            "relative WSE": number(format="%.3f", help="Over the squared norm of these heads."),
            "neighbours instead, %": number(
                "neighbours instead",
                format="%+.1f %%",
                help="WSE of as many groups of neighbouring heads, as GQA forms them.",
            ),
            "lower bound, %": number(
                "lower bound",
                format="%+.1f %%",
                help="No grouping into as many groups has a smaller WSE than this.",
            ),
        },
        placeholder="\N{EM DASH}",
        key="layer_costs",
        alt="What the groups of this layer lose, beside neighbours and the lower bound",
    )
    st.markdown("**What merging a group costs**")
    table = group_cost_table(costs)
    table["similarity"] = zeros_unsigned(table["similarity"], 3)
    if len(costs) == 1:
        table = table.drop(columns="of")
    if len(table):
        st.dataframe(
            table,
            hide_index=True,
            column_config={
                "saved": number(help="K and V heads that the cache does not hold."),
                "WSE": number(format="%.4g"),
                "% of layer": number(format="%.1f", help="Of the layer's WSE."),
                "per saved head": number(format="%.4g", help="WSE over the saved heads."),
                "similarity": number(format="%.3f", help="Mean over the pairs of its heads."),
            },
            key="group_costs",
            alt="What merging each group of this layer costs",
        )
    else:
        st.markdown("Every head keeps its own: nothing is merged.")
    st.caption(wse_note(plan))
