"""The form that starts an evaluation: which plans, and what to measure on them."""

import shutil
from importlib.util import find_spec
from math import isfinite
from pathlib import Path

import streamlit as st

from qcqa.budget import heads_within_ratio
from qcqa.evaluated import Benchmark, Evaluated
from qcqa.packaged import demo_model_folder
from qcqa.report.comparison import points_at_budget
from qcqa.report.duration import about
from qcqa.report.palette import method_style
from qcqa.runs.evaluations import create_evaluation
from qcqa.runs.run import Run
from qcqa.search_result import SearchResult
from qcqa.use_cases.points import Points, plans_of_points, points_along, points_at
from ui import workers
from ui.cards import best_points
from ui.duration import seconds_per_model
from ui.errors import shown_in_place
from ui.state import choices, widget

ONE, ALL, FRONT = "One plan", "All methods", "Whole front"
STORIES, FILE, NO_TEXT = "Held-out stories", "Text file", "No text"

#: Budgets along the front, as KV ratios; the smallest cache that any method can have joins them.
_RATIOS = (0.75, 0.5, 0.375, 0.25)

#: Tasks that people know, for models other than the demo.
_KNOWN_TASKS = (
    "arc_challenge",
    "arc_easy",
    "boolq",
    "hellaswag",
    "lambada_openai",
    "mmlu",
    "openbookqa",
    "piqa",
    "winogrande",
)

#: Of the demo's own: the others ask the same questions in another way.
_DEMO_TASKS = ("demo_minimal_pairs", "demo_recall")

_SAMPLES = 200

#: Both rows of the form stand on the same columns.
_COLUMNS = (4, 4, 2)


@st.fragment
def measure_form(run: Run, result: SearchResult, rows: tuple[Evaluated, ...]) -> None:
    """Ask which plans to measure and how, and start it in a process of its own.

    Parameters
    ----------
    run : Run
        A search.
    result : SearchResult
        Its fronts.
    rows : tuple of Evaluated
        What is measured already.
    """
    with shown_in_place(), st.container(key="measure"):
        points = _points(result)
        benchmark = _benchmark(run)
        device = _device()
        if points is not None and benchmark is not None:
            _start(run, result, rows, points, benchmark, device)


def _points(result: SearchResult) -> Points | None:
    """Ask which plans; return None where there is none."""
    left, middle, right = st.columns(_COLUMNS, gap="medium")
    with left:
        which = st.segmented_control(
            "Plans to measure",
            [ONE, ALL, FRONT],
            default=ALL,
            required=True,
            wrap=True,
            key="measure_which",
        )
    if which == FRONT:
        with middle:
            ratios = _ratios(result)
        if not ratios:
            return None
        points = points_along(result, ratios)
    else:
        with middle:
            st.number_input(
                "KV budget, % of the source's",
                min_value=0.1,
                max_value=100.0,
                step=5.0,
                format="%.4g",
                **widget("budget", choices().budget, key="measure_budget"),
            )
        heads = heads_within_ratio(result.spec, choices().budget / 100)
        points = points_at(result, heads)
        if which == ONE and points:
            with right:
                points = ((_method(result, points, heads), heads),)
    if not points:
        st.warning("No plan fits this budget: choose a larger one.", icon=":material/info:")
        return None
    return points


def _method(result: SearchResult, points: Points, max_cached_heads: int) -> str:
    """Ask for the method whose plan is measured: the one that Explore shows, to begin with."""
    fitting = [method for method, _ in points]
    best = best_points(points_at_budget(result, max_cached_heads), result, max_cached_heads)
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
    offered = [*_RATIOS, least / result.spec.num_cached_heads]
    offered = sorted({ratio for ratio in offered if ratio >= offered[-1]}, reverse=True)
    chosen = st.multiselect(
        "KV budgets, % of the source's",
        offered,
        default=offered,
        format_func=lambda one: one if isinstance(one, str) else f"{100 * one:.4g}",
        accept_new_options=True,
        placeholder="type a number",
        key="measure_ratios",
    )
    ratios = []
    for one in chosen:
        ratio = _share(one) if isinstance(one, str) else one
        if ratio is None:
            st.error(f"{one!r} is no percentage above 0 and up to 100", icon=":material/error:")
            return []
        ratios.append(ratio)
    return ratios


def _share(text: str) -> float | None:
    try:
        percent = float(text.strip().removesuffix("%"))
    except ValueError:
        return None
    return percent / 100 if isfinite(percent) and 0 < percent <= 100 else None


def _benchmark(run: Run) -> Benchmark | None:
    """Ask what to measure; return None where that is nothing, or is not there."""
    is_demo = run.search.model == "demo"
    left, middle, right = st.columns(_COLUMNS, gap="medium")
    with left:
        kind = st.segmented_control(
            "Text",
            [STORIES, FILE, NO_TEXT] if is_demo else [FILE, NO_TEXT],
            default=STORIES if is_demo else FILE,
            required=True,
            wrap=True,
            key="measure_text",
            help="For perplexity and next-token accuracy. The held-out stories are the demo "
            "model's own; it never saw them.",
        )
        text = "demo" if kind == STORIES else _file() if kind == FILE else None
    with middle:
        tasks = st.multiselect(
            "Tasks",
            _demo_tasks() if is_demo else _KNOWN_TASKS,
            default=_DEMO_TASKS if is_demo and _has_harness() else [],
            accept_new_options=True,
            placeholder="none",
            key="measure_tasks",
            help="Tasks of lm-evaluation-harness by name, or YAML files that describe them.",
        )
    with right:
        # A field that begins with a number cannot be emptied, one that begins empty can.
        st.session_state.setdefault("measure_limit", _SAMPLES)
        limit = st.number_input(
            "Samples, at most",
            min_value=1,
            value=None,
            step=50,
            placeholder="all",
            key="measure_limit",
            help="Documents of the text, and questions of each task; empty for all.",
        )
    if tasks and not _has_harness():
        st.warning(
            "Tasks need lm-evaluation-harness: `pip install 'qcqa-explorer[eval]'`",
            icon=":material/extension:",
        )
        return None
    if text is None and not tasks:
        st.caption("Choose a text or a task.")
        return None
    if text == "":
        return None
    return Benchmark(text=text, tasks=tuple(map(_whole_path, tasks)), limit=limit)


def _file() -> str:
    """Ask for a text file; return its whole path, empty while there is none."""
    file = st.text_input(
        "Text file", placeholder="path of a text file in UTF-8", key="measure_file"
    ).strip()
    if not file:
        st.caption("Enter the path of a text file, or choose no text.")
        return ""
    path = Path(file).expanduser()
    if not path.is_file():
        st.error(f"There is no file {file}", icon=":material/error:")
        return ""
    return str(path.resolve())


def _whole_path(task: str) -> str:
    return str(Path(task).expanduser().resolve()) if task.endswith((".yaml", ".yml")) else task


def _device() -> str:
    """Ask where the models run, where there is a choice."""
    # Torch would know for sure, but takes seconds to load.
    if shutil.which("nvidia-smi") is None:
        return "cpu"
    return str(
        st.segmented_control(
            "Run the models on",
            ["cuda", "cpu"],
            format_func=lambda name: {"cuda": "GPU", "cpu": "CPU"}[name],
            default="cuda",
            required=True,
            key="measure_device",
        )
    )


def _start(
    run: Run,
    result: SearchResult,
    rows: tuple[Evaluated, ...],
    points: Points,
    benchmark: Benchmark,
    device: str,
) -> None:
    """Say what is going to happen, and start it on a click."""
    there = {
        (row.method, row.plan_digest)
        for row in rows
        if (row.benchmark, row.device, row.dtype) == (benchmark, device, "auto")
    }
    wanted = {(plan.method, plan.digest) for plan in plans_of_points(result, points)}
    missing = wanted - there
    # Two methods may have found the same plan: it makes one model.
    plans = {digest for _, digest in missing} - {digest for _, digest in wanted & there}
    has_source = any(not digest for _, digest in there)
    if not missing:
        said = ["All of this is measured already."]
    else:
        number = "1 plan" if len(plans) == 1 else f"{len(plans)} plans"
        said = [f"Measures {number}." if has_source else f"Measures the source and {number}."]
        seconds = seconds_per_model(run, benchmark, device)
        if seconds is not None:
            said.append(f"About {about(seconds * (len(plans) + (not has_source)))}.")
        if wanted & there:
            said.append("What is measured already is kept.")
    left, right = st.columns([3, 1], vertical_alignment="center", gap="medium")
    left.caption(" ".join(said))
    is_asked = right.button(
        "Measure",
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
        key="start_evaluation",
        disabled=not missing,
    )
    if is_asked:
        workers.start(create_evaluation(run, points=points, benchmark=benchmark, device=device))
        st.rerun()


def _has_harness() -> bool:
    return find_spec("lm_eval") is not None


def _demo_tasks() -> list[str]:
    return sorted(f"demo_{path.stem}" for path in (demo_model_folder() / "tasks").glob("*.yaml"))
