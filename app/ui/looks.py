"""Texts that are looked at before anything is started, and why a run cannot go on."""

from collections.abc import Callable

import streamlit as st

from qcqa.errors import EvaluationError, QCQAError
from qcqa.files.user_path import existing_path
from qcqa.jobs.resumable import require_all_there
from qcqa.jobs.run import Run
from qcqa.measure.benchmark import Benchmark
from qcqa.measure.generated import GenerationSettings
from ui.paths import require_run_within_root
from ui.search_model import look_at

#: Where a file is, when it was written last, and its size.
_Stamp = tuple[str, int, int]


def require_model(run: Run) -> None:
    """Refuse a run whose model cannot be opened any more, or may not.

    Raises
    ------
    QCQAError
        Which says why.
    """
    require_run_within_root(run)
    found = look_at(run.search.model, run.search.revision)
    if isinstance(found, QCQAError):
        raise found.with_traceback(None)


def look_at_text(run: Run, text: str, limit: int | None) -> int:
    """Return how many tokens of a text a run's model reads; refuse one that it could not.

    Raises
    ------
    QCQAError
        If it is no text, is too short, or has tokens that the model does not know.
    """
    model, revision = run.search.model, run.search.revision

    def look() -> int:
        # Here, because it loads torch: pages without a text do without.
        from qcqa.measure.evaluable import require_evaluable

        return require_evaluable(model, [], Benchmark(text=text, limit=limit), revision=revision)

    return _look_once(("text", model, revision, _stamp(text), limit), look)


def look_at_prompt(run: Run, prompt: str) -> None:
    """Refuse a prompt that a run's model could not go on from.

    Raises
    ------
    QCQAError
        If it is too long, or has tokens that the model does not know.
    """
    model, revision = run.search.model, run.search.revision

    def look() -> int:
        # Here, because it loads torch: pages without a prompt do without.
        from qcqa.measure.generate_by_plans import require_generatable

        require_generatable(model, [], GenerationSettings(prompt), revision=revision)
        return 0

    _look_once(("prompt", model, revision, prompt), look)


def look_at_calibration(model: str, revision: str | None, text: str) -> None:
    """Refuse a calibration text that a model could not read.

    Raises
    ------
    QCQAError
        If it is no text, is too short, or has tokens that the model does not know.
    """

    def look() -> int:
        # Here, because it loads torch: searches of weights alone do without.
        from qcqa.text.calibrate import look_at_calibration

        look_at_calibration(model, text, revision=revision)
        return 0

    _look_once(("calibration", model, revision, _stamp(text)), look)


def why_it_cannot_go_on(run: Run) -> str | None:
    """Return in one line why a run that stopped early cannot be resumed; None if it can."""
    try:
        require_run_within_root(run)
        require_all_there(run)
    except QCQAError as error:
        return error.one_line()
    return None


def _stamp(text: str) -> _Stamp:
    path = existing_path(text, expected="a text file", refusal=EvaluationError)
    found = path.stat()
    return str(path), found.st_mtime_ns, found.st_size


def _look_once(at: tuple[object, ...], look: Callable[[], int]) -> int:
    """Look once for as long as nothing has changed: reading a text may take seconds."""
    found = _found(at, look)
    if isinstance(found, QCQAError):
        raise found.with_traceback(None)
    return found


@st.cache_resource(ttl=60, max_entries=32, show_spinner="Looking at the text …")
def _found(at: tuple[object, ...], _look: Callable[[], int]) -> QCQAError | int:  # noqa: ARG001  # the key
    try:
        return _look()
    except QCQAError as error:
        return error
