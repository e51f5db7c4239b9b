"""Plans of several methods at one budget beside each other, and where two of them differ."""

from collections.abc import Mapping

import streamlit as st
from ui.cards import Points
from ui.chart import legible
from ui.glyph import glyph
from ui.state import choices, choose, controlled, redrawn_alone

from qcqa.charts.common.kv_axis import KvAxis
from qcqa.charts.common.palette import in_order, method_style
from qcqa.charts.common.wording import error_text
from qcqa.charts.fronts.comparison import BudgetPoint
from qcqa.charts.layers.differences import difference_figure, plan_difference
from qcqa.charts.layers.groups import grouping_figure
from qcqa.pick.plan import plan_of_result
from qcqa.plan.plan import Plan
from qcqa.search.result import SearchResult

_MOST_PLANS = 4

#: What to begin with: beside the selected plan what it is usually compared with.
_FIRST = (
    "gqa",
    "qcqa-ec-wse",
    "qcqa-ac-wse",
    "qcqa-ec",
    "qcqa-ac",
    "best",
    "optimal",
    "mqa",
    "mha",
)

#: Narrower charts of this many heads, in pixels, would be no more than stripes.
_PIXELS_PER_HEAD, _LEAST_PIXELS = 6, 230


@st.fragment
@redrawn_alone
def plans_side_by_side(
    result: SearchResult, points: Points, axis: KvAxis, max_kv_bits: int, method: str
) -> None:
    """Draw up to four plans beside each other, and the cells in which two of them differ.

    Parameters
    ----------
    result : SearchResult
        Fronts of the methods.
    points : Points
        Their plans at the budget.
    axis : KvAxis
        In which unit sizes are shown.
    max_kv_bits : int
        The budget.
    method : str
        Whose plan is selected.
    """
    fitting = [name for name, point in points.items() if point is not None]
    st.subheader("The same budget by other methods", anchor=False)
    shown = _chosen_methods(fitting, method)
    if not shown:
        st.caption("Choose whose plans to see.")
        return
    plans = {name: plan_of_result(result, max_kv_bits, method=name) for name in shown}
    with st.grid(len(shown), min_column_width=_least_width(result), gap="small"):
        for name, plan in plans.items():
            with st.container(gap="xxsmall", key=f"beside_{name}"):
                _plan(plan, points[name], axis)
    if len(shown) > 1:
        _difference(plans, method)


def _chosen_methods(fitting: list[str], method: str) -> list[str]:
    chosen = choices().compare
    if chosen is None:
        chosen = (method, *(name for name in _FIRST if name != method))
    shown = in_order([name for name in dict.fromkeys(chosen) if name in fitting][:_MOST_PLANS])

    def choose_some(names: list[str]) -> None:
        added = [name for name in names if name not in shown]
        kept = [name for name in shown if name in names]
        # One more than there is room for takes the place of the first.
        choose(compare=tuple((kept + added)[-_MOST_PLANS:]))

    st.pills(
        "Plans side by side, up to four",
        fitting,
        selection_mode="multi",
        format_func=lambda name: method_style(name).label,
        wrap=True,
        **controlled("compare", shown, choose_some),
    )
    return shown


def _least_width(result: SearchResult) -> int:
    return max(_LEAST_PIXELS, _PIXELS_PER_HEAD * result.spec.num_kv_heads)


def _plan(plan: Plan, point: BudgetPoint | None, axis: KvAxis) -> None:
    style = method_style(plan.method, plan.model)
    st.markdown(f"![]({glyph(style)}) **{style.label}**")
    errors = []
    if point is not None and point.fitness != "wse":
        errors.append(error_text(point.fitness, point.error))
    # WSE is of heads that share, and of nothing else.
    if not plan.has_words:
        errors.append(f"relative WSE {plan.predicted.relative_wse:.3f}")
    # Two lines in every card keep the charts below level.
    size = plan.kv_bits if point is None else point.size
    st.caption(f"{axis.text(size)} of KV cache  \n{', '.join(errors)}")
    st.plotly_chart(
        legible(grouping_figure(plan, compact=True)),
        key=f"groups_of_{plan.method}",
        config={"displayModeBar": False},
        alt=f"Groups of heads in every layer of the plan of {style.label}",
    )


def _difference(plans: Mapping[str, Plan], method: str) -> None:
    first, second = _chosen_pair(list(plans), method)
    difference = plan_difference(plans[first], plans[second])
    st.markdown(difference.sentence)
    st.plotly_chart(
        legible(difference_figure(plans[first], plans[second])),
        key="difference_chart",
        config={"displayModeBar": False},
        alt=f"Cells in which the plans of {method_style(first).label} and "
        f"{method_style(second).label} differ",
    )
    st.caption(
        "A cell is marked where its head shares with other heads in one plan than in the other, "
        "whatever the groups' numbers and colours: a head that joins or leaves a group marks all "
        "of that group."
    )


def _chosen_pair(shown: list[str], method: str) -> tuple[str, str]:
    wanted = (*(choices().pair or ()), method, *shown)
    first, second = [name for name in dict.fromkeys(wanted) if name in shown][:2]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.selectbox(
            "Cells in which the plan of",
            shown,
            format_func=lambda name: method_style(name).label,
            **controlled(
                "pair_one",
                first,
                # Choosing the other one swaps them.
                lambda name: choose(pair=(name, first if name == second else second)),
            ),
        )
        st.selectbox(
            "differs from that of",
            [name for name in shown if name != first],
            format_func=lambda name: method_style(name).label,
            **controlled("pair_other", second, lambda name: choose(pair=(first, name))),
        )
    return first, second
