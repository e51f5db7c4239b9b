"""What is measured on each model: a text and tasks, or the load of speed and memory."""

from importlib.util import find_spec
from pathlib import Path

import streamlit as st
from ui.errors import show_error
from ui.looks import look_at_text
from ui.paths import is_limited, typed_file

from qcqa.charts.common.markup import plain
from qcqa.errors import EvaluationError, QCQAError
from qcqa.files.user_path import as_meant
from qcqa.jobs.run import Run
from qcqa.measure.benchmark import INSTALL_HARNESS, Benchmark, DecodeLoad
from qcqa.measure.task_code import code_of_task, code_text
from qcqa.options import described
from qcqa.packaged import demo_model_folder
from qcqa.plan.metric import data_label

STORIES, FILE, NO_TEXT = "Held-out stories", "Text file", "No text"

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
FORM_COLUMNS = (4, 4, 2)


def ask_speed(run: Run) -> Benchmark:
    """Ask on which load speed and memory are measured."""
    defaults = DecodeLoad(256 if run.search.model == "demo" else 2048)
    fields = (
        ("Context, tokens", "context_tokens"),
        ("Batch", "batch_size"),
        ("New tokens", "new_tokens"),
    )
    numbers = {}
    for column, (label, name) in zip(st.columns(3, gap="medium"), fields, strict=True):
        st.session_state.setdefault(f"speed_{name}", getattr(defaults, name))
        help_text = f"{described(DecodeLoad, name)}."
        numbers[name] = int(
            column.number_input(label, min_value=1, step=1, key=f"speed_{name}", help=help_text)
        )
    return Benchmark(speed=DecodeLoad(**numbers))


def ask_quality(run: Run) -> Benchmark | None:
    """Ask which text and tasks are measured; return None where that is nothing, or not there."""
    is_demo = run.search.model == "demo"
    left, middle, right = st.columns(FORM_COLUMNS, gap="medium")
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
        place = st.container()
    with middle:
        tasks = st.multiselect(
            "Tasks",
            _demo_tasks() if is_demo else _KNOWN_TASKS,
            default=_DEMO_TASKS if is_demo and _has_harness() else [],
            accept_new_options=True,
            format_func=data_label,
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
            help="Windows of the text, and questions of each task; empty for all. A window is what "
            "the model reads at once: its context, up to 2,048 tokens.",
        )
    with place:
        text = "demo" if kind == STORIES else _file(run, limit) if kind == FILE else None
    if tasks and not _has_harness():
        st.warning(
            f"Tasks need lm-evaluation-harness: `{INSTALL_HARNESS}`",
            icon=":material/extension:",
        )
        return None
    if text is None and not tasks:
        st.caption("Choose a text or a task.")
        return None
    if text == "":
        return None
    try:
        files = tuple(map(_whole_path, tasks))
        with middle:
            allowed = _ask_code(files)
        return Benchmark(text=text, tasks=files, limit=limit, allow_task_code=allowed)
    except QCQAError as error:
        with middle:
            show_error(error)
        return None


def _file(run: Run, limit: int | None) -> str:
    """Ask for a text file; return its whole path, empty while there is none that can be read."""
    file = st.text_input(
        "Text file", placeholder="path of a text file in UTF-8", key="measure_file"
    ).strip()
    if not file:
        st.caption("Enter the path of a text file, or choose no text.")
        return ""
    try:
        path = typed_file(file, expected="a text file in UTF-8", refusal=EvaluationError)
        look_at_text(run, str(path.resolve()), limit)
    except QCQAError as error:
        show_error(error)
        return ""
    return str(path.resolve())


def _whole_path(task: str) -> str:
    """Return a task with the whole path of its file, where it has one."""
    task = as_meant(task, EvaluationError)
    if not task.endswith((".yaml", ".yml")):
        return task
    found = typed_file(task, expected="the YAML file of a task", refusal=EvaluationError)
    return str(found.resolve())


def _ask_code(tasks: tuple[str, ...]) -> bool:
    """Ask whether files of tasks may run what they name, where they name anything.

    Raises
    ------
    EvaluationError
        If one would run code, and may not.
    """
    files = [Path(task) for task in tasks if task.endswith((".yaml", ".yml"))]
    code = {file: names for file in files if (names := code_of_task(file))}
    if not code:
        return False
    # Who may name files in one folder alone is not whose machine this is.
    may_be_asked = not is_limited()
    for file, names in code.items():
        what = f"{file} would run {code_text(names)} on this machine, with your rights"
        if not may_be_asked:
            raise EvaluationError(what, remedy="measure it with qcqa evaluate")
        st.warning(f"{plain(what)}.", icon=":material/terminal:")
    if not st.checkbox("I have read this code: run it", key="measure_task_code"):
        raise EvaluationError(
            "code that tasks name is not run", remedy="tick the box, or leave them out"
        )
    return True


def _has_harness() -> bool:
    return find_spec("lm_eval") is not None


def _demo_tasks() -> list[str]:
    return sorted(f"demo_{path.stem}" for path in (demo_model_folder() / "tasks").glob("*.yaml"))
