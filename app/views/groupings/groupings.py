"""Groupings: which heads share in a plan, beside other plans, and what each merge costs."""

import streamlit as st
from ui import workers
from ui.budget import budget_controls
from ui.cards import headline
from ui.chart import legible
from ui.errors import show_error, shown_in_place
from ui.heading import page_heading
from ui.live import tell_problem
from ui.plan_choice import chosen_plan, plan_choice
from ui.results import measured_of, result_of
from ui.state import redrawn_alone
from ui.unfinished import tell_unfinished
from views.groupings.layer_effects import effects_of, effects_panel
from views.groupings.layer_panel import layer_panel
from views.groupings.plans_side_by_side import plans_side_by_side

from qcqa.charts.common.palette import method_style
from qcqa.charts.common.wording import kept_words, merge_text
from qcqa.charts.fronts.comparison import points_at_budget
from qcqa.charts.layers.groups import grouping_caption, grouping_figure
from qcqa.charts.layers.layer_bars import layer_bars_caption, layer_bars_figure, layer_errors
from qcqa.charts.layers.layer_effects import effects_caption, effects_figure
from qcqa.jobs.run import Run
from qcqa.jobs.store import DamagedRun
from qcqa.search.result import SearchResult


@st.fragment
@redrawn_alone
def groupings(run: Run, result: SearchResult) -> None:
    """Draw all that follows the budget and the chosen method."""
    with shown_in_place():
        tell_unfinished(run)
        result, axis, max_kv_bits = budget_controls(result)
        rows = measured_of(run)
        points = points_at_budget(result, max_kv_bits)
        method = plan_choice(points, result, max_kv_bits, rows, heading="The plan, layer by layer")
        if method is None:
            headline(points, result, axis, max_kv_bits, rows)
            return
        plan = chosen_plan(run, result, points, max_kv_bits, rows)
        errors = layer_errors(result.front(method), plan)
        st.markdown(
            f"**{method_style(method).label}** keeps {kept_words(plan)} "
            f"({axis.text(result.front(method).size_of(plan.kv_bits))}). "
            f"Merge: {merge_text(plan)}. "
            f"{errors.sentence}"
        )
        effects = effects_of(run, plan)
        left, middle, *more = st.columns([7, 3] if effects is None else [11, 5, 4], gap="small")
        left.plotly_chart(
            legible(grouping_figure(plan)),
            key="grouping_chart",
            config={"displayModeBar": False},
            alt=f"Groups of heads in every layer of the plan of {method_style(method).label}",
        )
        middle.plotly_chart(
            legible(layer_bars_figure(plan, errors)),
            key="layer_bars",
            config={"displayModeBar": False},
            alt="KV cache that each layer keeps, and error that it adds",
        )
        captions = [grouping_caption(plan), layer_bars_caption(errors)]
        if effects is not None:
            more[0].plotly_chart(
                legible(effects_figure(plan, effects)),
                key="layer_effects",
                config={"displayModeBar": False},
                alt="How far each layer alone moves the predictions",
            )
            captions.append(effects_caption())
        st.caption(" ".join(captions))
        effects_panel(run, result, plan, effects)
        plans_side_by_side(result, points, axis, max_kv_bits, method)
        layer_panel(result, plan)


workers.reap()
with shown_in_place():
    run = page_heading("Groupings", "Which heads share, and what does each merge cost?")
    tell_problem()
    if run is None:
        st.info("There is no search yet. Start one with **New search**.", icon=":material/info:")
    elif isinstance(run, DamagedRun):
        show_error(run.error)
    elif (result := result_of(run)) is None:
        st.info("This search has no fronts yet: there are no plans to look at.")
    else:
        groupings(run, result)
