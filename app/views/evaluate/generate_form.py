"""The form that starts a generation: the prompt, the plans, and how tokens are chosen."""

import streamlit as st
from ui import workers
from ui.budget import budget_field
from ui.device import choose_device, choose_dtype
from ui.duration import generation_estimate, tell_estimate
from ui.errors import shown_in_place
from ui.looks import look_at_prompt, require_model
from ui.results import measured_of
from ui.state import choose, redrawn_alone

from qcqa.charts.common.palette import method_style
from qcqa.charts.common.wording import listed
from qcqa.jobs.config import MOST_GENERATED_PLANS, GenerationConfig
from qcqa.jobs.generations import create_generation, plans_side_by_side
from qcqa.jobs.run import Run
from qcqa.measure.generated import GenerationSettings
from qcqa.options import described
from qcqa.pick.best import best_method
from qcqa.pick.points import Points, points_at, points_to_compare
from qcqa.search.result import SearchResult
from qcqa.text.fitted import needs_text
from qcqa.text.texts_there import require_text_there

#: The demo model knows such stories; the answer shows whether it still looks back.
_DEMO_PROMPT = (
    "Marco likes eggs. Grace likes lemons, and Nathan likes pears. It was a snowy afternoon. "
    "Who likes pears?"
)
_PROMPT = "Once upon a time"


@st.fragment
@redrawn_alone
def generate_form(run: Run, result: SearchResult, last: Run | None, *, is_at_work: bool) -> None:
    """Ask for prompt and plans, and start the generation in a process of its own.

    Parameters
    ----------
    run : Run
        A search.
    result : SearchResult
        Its fronts.
    last : Run or None
        The generation that is shown: the form begins with its settings.
    is_at_work : bool
        Whether one is going on: two at a time would slow each other down.
    """
    with shown_in_place(), st.container(key="generate"):
        _begin_with(run, last)
        left, right = st.columns([1, 1], gap="medium")
        with left:
            st.text_area(
                "Prompt",
                height=236,
                key="generate_prompt",
                help=f"{described(GenerationSettings, 'prompt')}.",
            )
        with right:
            points = _points(run, result)
            settings, device, dtype = _settings(result)
        is_possible = False
        with left, shown_in_place():
            _require_possible(run, result, points, settings.prompt)
            is_possible = True
        can_start = is_possible and not is_at_work
        _start(run, result, points, settings, device, dtype, can_start=can_start)


def _begin_with(run: Run, last: Run | None) -> None:
    """Fill in the fields where they are new."""
    config = last.config if last else None
    settings = (
        config.settings
        if isinstance(config, GenerationConfig)
        else GenerationSettings(_DEMO_PROMPT if run.search.model == "demo" else _PROMPT, 48)
    )
    for name, value in (
        ("prompt", settings.prompt),
        ("tokens", settings.max_new_tokens),
        ("temperature", settings.temperature),
        ("seed", settings.seed),
    ):
        st.session_state.setdefault(f"generate_{name}", value)
    if isinstance(config, GenerationConfig):
        st.session_state.setdefault("generate_methods", [method for method, _ in config.points])


def _points(run: Run, result: SearchResult) -> Points:
    """Ask which plans stand beside the source."""
    result, kv_bits = budget_field(result, key="generate_budget")
    fitting = [method for method, _ in points_at(result, kv_bits)]
    if not fitting:
        st.warning("No plan fits this budget: choose a larger one.", icon=":material/info:")
        return ()
    best = best_method(result, kv_bits, measured_of(run))
    begin = [method for method, _ in points_to_compare(result, kv_bits, best.method)]
    wanted = st.session_state.setdefault("generate_methods", begin)
    # At another budget other methods have plans. A widget that is told the value that it already
    # has would lose what is being chosen.
    if not set(wanted) <= set(fitting):
        st.session_state["generate_methods"] = [name for name in wanted if name in fitting] or begin
    chosen = st.multiselect(
        f"Plans beside the source, up to {MOST_GENERATED_PLANS}",
        fitting,
        format_func=lambda name: method_style(name).label,
        max_selections=MOST_GENERATED_PLANS,
        placeholder="none: the source alone",
        key="generate_methods",
    )
    return tuple(result.front(method).point(kv_bits) for method in chosen)


def _require_possible(run: Run, result: SearchResult, points: Points, prompt: str) -> None:
    """Refuse what could only fail: without the model, a plan's text, or with such a prompt.

    Raises
    ------
    QCQAError
        Which says why.
    """
    require_model(run)
    for plan in plans_side_by_side(result, points):
        require_text_there(plan, run.fitted_folder)
    if (run.search.model, prompt) != ("demo", _DEMO_PROMPT):
        look_at_prompt(run, prompt)


def _settings(result: SearchResult) -> tuple[GenerationSettings, str, str]:
    """Ask how much is generated and how; return it with the device and the type."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.number_input("New tokens", min_value=1, step=16, key="generate_tokens")
        with st.popover("Advanced", icon=":material/tune:"):
            st.number_input(
                "Temperature",
                min_value=0.0,
                step=0.1,
                key="generate_temperature",
                help=f"{described(GenerationSettings, 'temperature')}.",
            )
            st.number_input(
                "Seed",
                min_value=0,
                step=1,
                key="generate_seed",
                help=f"{described(GenerationSettings, 'seed')}.",
            )
            device = choose_device("generate_device")
            dtype = choose_dtype(result.spec.dtype, "generate_dtype", device=device)
    state = st.session_state
    settings = GenerationSettings(
        prompt=state["generate_prompt"],
        max_new_tokens=state["generate_tokens"],
        temperature=state["generate_temperature"],
        seed=state["generate_seed"],
    )
    return settings, device, dtype


def _start(
    run: Run,
    result: SearchResult,
    points: Points,
    settings: GenerationSettings,
    device: str,
    dtype: str,
    *,
    can_start: bool,
) -> None:
    """Say what is going to happen, and start it on a click."""
    said = _expectation(run, result, points, settings, device, dtype)
    if workers.asked("Generate", said, key="start_generation", can_start=can_start):
        workers.start(
            create_generation(run, points=points, settings=settings, device=device, dtype=dtype)
        )
        choose(generation=None)
        st.rerun()


def _expectation(
    run: Run,
    result: SearchResult,
    points: Points,
    settings: GenerationSettings,
    device: str,
    dtype: str,
) -> str:
    """Say what it takes, and what of it takes long and why."""
    plans = plans_side_by_side(result, points)
    to_fit = [
        f"**{method_style(plan.method).label}**"
        for plan in plans
        if needs_text(plan, run.fitted_folder)
    ]
    said = "The models run one after another, so that none slows another down."
    estimate = generation_estimate(run, plans, settings, device=device, dtype=dtype)
    if estimate is not None:
        said += f" {tell_estimate(estimate)}"
    if to_fit:
        said += (
            f" {listed(to_fit)} must first be fitted on the calibration text, which takes minutes"
            " on a CPU; it is kept for the next time."
        )
    return said
