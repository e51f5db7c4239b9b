"""The form that starts an evaluation: which plans, and what to measure on them."""

from collections.abc import Callable, Iterable
from math import isfinite

import streamlit as st
from ui import workers
from ui.budget import budget_field
from ui.cards import best_points
from ui.device import choose_device, choose_dtype, probable_device, probable_dtype
from ui.duration import evaluation_estimate, tell_estimate
from ui.errors import show_error, shown_in_place
from ui.looks import require_model
from ui.state import choices, redrawn_alone, widget
from views.evaluate.benchmark_form import FORM_COLUMNS

from qcqa.charts.common.palette import method_style
from qcqa.charts.common.wording import counted
from qcqa.charts.fronts.comparison import points_at_budget
from qcqa.jobs.evaluations import create_evaluation
from qcqa.jobs.run import Run
from qcqa.measure.benchmark import Benchmark
from qcqa.measure.evaluation import Evaluation
from qcqa.model.dtype import kept_dtype
from qcqa.pick.points import Points, plans_of_points, points_along, points_at
from qcqa.plan.plan import Plan
from qcqa.search.result import SearchResult
from qcqa.text.texts_there import require_text_there

ONE_PLAN, ALL_METHODS, WHOLE_FRONT = "One plan", "All methods", "Whole front"

#: Budgets along the front, as KV ratios; the smallest cache that any method can have joins them.
_RATIOS = (0.75, 0.5, 0.375, 0.25)

#: Asks what to measure on each model; returns None where that is nothing, or is not there.
AskBenchmark = Callable[[Run], Benchmark | None]


@st.fragment
@redrawn_alone
def measure_form(
    run: Run, result: SearchResult, rows: tuple[Evaluation, ...], ask: AskBenchmark
) -> None:
    """Ask which plans to measure and how, and start it in a process of its own.

    Parameters
    ----------
    run : Run
        A search.
    result : SearchResult
        Its fronts.
    rows : tuple of Evaluation
        What is measured already.
    ask : callable
        Draws what can be measured; see :mod:`views.evaluate.benchmark_form`.
    """
    with shown_in_place(), st.container(key="measure"):
        points = _points(result, rows)
        benchmark = ask(run)
        with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
            device = choose_device("measure_device")
            dtype = choose_dtype(result.spec.dtype, "measure_dtype", device=device)
        if points is not None and benchmark is not None:
            _start(run, result, rows, points, benchmark, device, dtype)


def _points(result: SearchResult, rows: tuple[Evaluation, ...]) -> Points | None:
    """Ask which plans; return None where there is none."""
    left, middle, right = st.columns(FORM_COLUMNS, gap="medium")
    with left:
        which = st.segmented_control(
            "Plans to measure",
            [ONE_PLAN, ALL_METHODS, WHOLE_FRONT],
            default=ALL_METHODS,
            required=True,
            wrap=True,
            key="measure_which",
        )
    if which == WHOLE_FRONT:
        with middle:
            ratios = _ratios(result)
        if not ratios:
            return None
        points = points_along(result, ratios)
    else:
        with middle:
            result, kv_bits = budget_field(result, key="measure_budget")
        points = points_at(result, kv_bits)
        if which == ONE_PLAN and points:
            with right:
                method = _method(result, points, kv_bits, rows)
                points = (result.front(method).point(kv_bits),)
    if not points:
        st.warning("No plan fits this budget: choose a larger one.", icon=":material/info:")
        return None
    return points


def _is_possible(run: Run, plans: Iterable[Plan]) -> bool:
    """Return whether the model is there, and the texts that plans rest on; say so where not."""
    with shown_in_place():
        require_model(run)
        for plan in plans:
            require_text_there(plan, run.fitted_folder)
        return True
    return False


def _method(
    result: SearchResult, points: Points, max_kv_bits: int, rows: tuple[Evaluation, ...]
) -> str:
    """Ask for the method whose plan is measured: the one that Explore shows, to begin with."""
    fitting = [method for method, _ in points]
    best = best_points(points_at_budget(result, max_kv_bits), result, max_kv_bits, rows)
    chosen = choices().method
    shown = chosen if chosen in fitting else best[0].method
    st.selectbox(
        "Method",
        fitting,
        format_func=lambda name: method_style(name).label,
        **widget("method", shown, key="measure_method"),
    )
    return shown


def _ratios(result: SearchResult) -> list[float]:
    """Ask for the budgets along the front; return KV ratios."""
    least = min(int(front.cost[0]) for front in result.fronts.values())
    offered = [*_RATIOS, least / result.spec.kv_bits]
    offered = sorted({ratio for ratio in offered if ratio >= offered[-1]}, reverse=True)
    chosen = st.multiselect(
        "KV budgets, % of the source's",
        offered,
        default=offered,
        format_func=lambda budget: budget if isinstance(budget, str) else f"{100 * budget:.4g}",
        accept_new_options=True,
        placeholder="type a number",
        key="measure_ratios",
    )
    ratios = []
    for budget in chosen:
        ratio = _share(budget) if isinstance(budget, str) else budget
        if ratio is None:
            show_error(f"{budget!r} is no percentage above 0 and up to 100")
            return []
        ratios.append(ratio)
    return ratios


def _share(text: str) -> float | None:
    try:
        percent = float(text.strip().removesuffix("%"))
    except ValueError:
        return None
    return percent / 100 if isfinite(percent) and 0 < percent <= 100 else None


def _start(
    run: Run,
    result: SearchResult,
    rows: tuple[Evaluation, ...],
    points: Points,
    benchmark: Benchmark,
    device: str,
    dtype: str,
) -> None:
    """Say what is going to happen, and start it on a click."""
    checkpoint_dtype = result.spec.dtype
    runs_in = probable_dtype(dtype, checkpoint_dtype, device=device).name
    how = (benchmark, probable_device(device), kept_dtype(runs_in, checkpoint_dtype))
    there = {
        (row.method, row.plan_digest)
        for row in rows
        if (row.benchmark, row.device, row.dtype) == how
    }
    asked = {(plan.method, plan.digest): plan for plan in plans_of_points(result, points)}
    wanted = asked.keys()
    missing = wanted - there
    # Two methods may have found the same plan: it makes one model.
    plans = {digest for _, digest in missing} - {digest for _, digest in wanted & there}
    has_source = any(not digest for _, digest in there)
    if not missing:
        said = ["All of this is measured already."]
    else:
        number = counted(len(plans), "plan")
        said = [f"Measures {number}." if has_source else f"Measures the source and {number}."]
        estimate = evaluation_estimate(
            run,
            [asked[key] for key in missing if key[1] in plans],
            benchmark,
            has_source=not has_source,
            device=device,
            dtype=dtype,
        )
        if estimate is not None:
            said.append(tell_estimate(estimate))
        if wanted & there:
            said.append("What is measured already is kept.")
    is_possible = _is_possible(run, (asked[key] for key in missing))
    if workers.asked(
        "Measure", " ".join(said), key="start_evaluation", can_start=bool(missing) and is_possible
    ):
        workers.start(
            create_evaluation(run, points=points, benchmark=benchmark, device=device, dtype=dtype)
        )
        st.rerun()
