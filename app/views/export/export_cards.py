"""Cards of files to take along: the plan, tables, charts, and the code that makes them."""

from collections.abc import Callable

import plotly.graph_objects as go
import streamlit as st
from ui.axis_choice import vertical_axis
from ui.errors import show_error
from ui.state import choices, redrawn_alone

from qcqa.charts.common.figure_file import (
    BROWSER_REMEDY,
    FIGURE_FORMATS,
    FigureFormat,
    figure_bytes,
    find_browser,
)
from qcqa.charts.common.kv_axis import KvAxis, significant
from qcqa.charts.common.markup import plain
from qcqa.charts.common.palette import method_style
from qcqa.charts.common.wording import kept_words, merge_text
from qcqa.charts.fronts.chart import front_chart, grouping_chart
from qcqa.charts.fronts.comparison import comparison_table
from qcqa.charts.fronts.front_table import front_table
from qcqa.charts.quality.accuracy_table import accuracy_table
from qcqa.charts.quality.series import metrics_of
from qcqa.errors import QCQAError
from qcqa.jobs.new import slug
from qcqa.jobs.recipe import recipe_of
from qcqa.jobs.recipe_python import python_recipe
from qcqa.jobs.recipe_shell import shell_recipe
from qcqa.jobs.run import Run
from qcqa.measure.evaluation import Evaluation
from qcqa.plan.budget import CacheLoad
from qcqa.plan.file import plan_text
from qcqa.plan.plan import Plan
from qcqa.search.result import SearchResult

#: Of the session's state: what stood in the way of drawing a chart, by its button.
_PROBLEMS = "problems_with_charts"

_SECONDS_BETWEEN_LOOKS = 2.0

_MIME = {"html": "text/html", "png": "image/png", "svg": "image/svg+xml"}


def _file_name(run: Run, what: str) -> str:
    """Return a name for a downloaded file that says of what it is."""
    return f"{slug(run.config.name) or 'run'}-{what}"


def plan_card(run: Run, plan: Plan, load: CacheLoad) -> None:
    """Draw the plan's facts, its size at a load, and the button for its file."""
    with _card("Plan", "plan"):
        predicted = plan.predicted
        per_token = plan.cache_bytes(load.context_tokens, dtype=load.dtype) / load.context_tokens
        share = per_token / plan.model.kv_bytes_per_token(load.dtype)
        st.markdown(
            f"**{method_style(plan.method, plan.model).label}**: {kept_words(plan)}, "
            f"{per_token / 1024:.4g} KiB of KV cache per token, "
            f"{100 * share:.4g} % of the source's."
        )
        measured = f"{len(plan.measured)} measured figures" if plan.measured else "not measured"
        st.caption(
            f"Merge: {merge_text(plan)}. "
            + (f"Relative WSE {significant(predicted.relative_wse)}; " if plan.shares_heads else "")
            + f"{measured}."
        )
        if "chosen" in plan.provenance:
            st.caption(plain(plan.provenance["chosen"]["why"]))
        _download(
            "plan.json",
            plan_text(plan),
            _file_name(run, f"{_point(plan)}.json"),
            "application/json",
            key="download_plan",
            hint="The groups of every layer, and what is known of them. `qcqa convert` takes it.",
            is_main=True,
        )


def tables_card(
    run: Run,
    result: SearchResult,
    axis: KvAxis,
    max_kv_bits: int,
    rows: tuple[Evaluation, ...],
) -> None:
    """Draw the buttons for tables."""
    with _card("Tables", "tables"):
        st.caption("CSV, one row per plan; sizes in GiB for the load set above.")
        _download(
            "All methods at this budget",
            lambda: comparison_table(result, max_kv_bits, axis.load).to_csv(),
            _file_name(run, f"methods-kv{choices().budget:.4g}.csv"),
            "text/csv",
            key="download_methods",
        )
        _download(
            "All plans of all fronts",
            lambda: front_table(result, axis.load).to_csv(index=False),
            _file_name(run, "fronts.csv"),
            "text/csv",
            key="download_front",
        )
        metrics = metrics_of(rows)
        _download(
            "Measured figures",
            lambda: accuracy_table(rows, metrics).to_csv(index=False),
            _file_name(run, "measured.csv"),
            "text/csv",
            key="download_measured",
            hint=None if metrics else "Nothing was measured yet: see Evaluate.",
            disabled=not metrics,
        )


def charts_card(
    run: Run,
    result: SearchResult,
    axis: KvAxis,
    rows: tuple[Evaluation, ...],
    plan: Plan | None,
) -> None:
    """Draw the buttons for charts."""
    name, budget = run.config.name, choices().budget / 100
    with _card("Charts", "charts"):
        st.markdown("Fronts of all methods")
        vertical = vertical_axis(result, metrics_of(rows))
        _formats(
            "fronts",
            _file_name(run, "fronts"),
            lambda: front_chart(
                result, axis, name=name, vertical=vertical, rows=rows, budget=budget
            ),
        )
        if plan is not None:
            st.markdown(f"Which heads share, {method_style(plan.method, plan.model).label}")
            _formats(
                "heads",
                _file_name(run, f"heads-{_point(plan)}"),
                lambda: grouping_chart(plan, name=name),
            )
        has_browser = find_browser() is not None
        st.caption(
            "HTML opens anywhere, without a network."
            + ("" if has_browser else f" PNG and SVG want a browser here: {BROWSER_REMEDY}.")
        )
        _tell_problems()


def code_card(run: Run, plan: Plan, max_kv_bits: int, rows: tuple[Evaluation, ...]) -> None:
    """Draw the commands and the Python that make the plan and its checkpoint again."""
    recipe = recipe_of(run, plan, max_kv_bits, rows)
    with _card("As code", "code"):
        st.caption(
            "Makes again what is on screen, from the search to the checkpoint, in the folder "
            "in which it is run. Default settings are left out."
        )
        shell, python = st.tabs(["Command line", "Python"])
        shell.code(shell_recipe(recipe), language="bash", wrap_lines=True)
        python.code(python_recipe(recipe), language="python", wrap_lines=True)


def _point(plan: Plan) -> str:
    return f"{plan.method}-kv{100 * plan.kv_ratio:.4g}"


def _card(title: str, key: str) -> "st.delta_generator.DeltaGenerator":
    card = st.container(border=True, height="stretch", key=f"export_{key}")
    card.subheader(title, anchor=False)
    return card


def _formats(what: str, stem: str, figure: Callable[[], go.Figure]) -> None:
    """Draw a button per format of one chart; it is drawn when a button is clicked."""
    has_browser = find_browser() is not None
    problems = st.session_state.setdefault(_PROBLEMS, {})
    with st.container(horizontal=True, gap="small"):
        for kind in FIGURE_FORMATS:
            key = f"download_{what}_{kind}"
            _download(
                kind.upper(),
                _drawn(figure, kind, problems, key),
                f"{stem}.{kind}",
                _MIME[kind],
                key=key,
                disabled=kind != "html" and not has_browser,
            )


def _drawn(
    figure: Callable[[], go.Figure], kind: FigureFormat, problems: dict[str, str], key: str
) -> Callable[[], bytes]:
    """Return what draws a chart on a click, in a thread of the server's own."""

    def draw() -> bytes:
        problems.pop(key, None)
        try:
            return figure_bytes(figure(), kind)
        except QCQAError as error:
            # Nobody hears of it but the server's log: the page looks here.
            problems[key] = error.one_line()
            raise

    return draw


@st.fragment(run_every=_SECONDS_BETWEEN_LOOKS)
@redrawn_alone
def _tell_problems() -> None:
    """Say what stood in the way of drawing a chart."""
    for problem in dict.fromkeys(st.session_state.get(_PROBLEMS, {}).values()):
        show_error(problem)


def _download(
    label: str,
    data: str | Callable[[], str | bytes],
    name: str,
    mime: str,
    *,
    key: str,
    hint: str | None = None,
    disabled: bool = False,
    is_main: bool = False,
) -> None:
    st.download_button(
        label,
        data,
        file_name=name,
        mime=mime,
        icon=":material/download:",
        help=hint,
        type="primary" if is_main else "secondary",
        width="stretch",
        on_click="ignore",
        disabled=disabled,
        key=key,
    )
