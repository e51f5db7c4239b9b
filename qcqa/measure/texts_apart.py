"""No plan is measured on the text that it rests on."""

from collections.abc import Iterable
from pathlib import Path

from qcqa.errors import EvaluationError
from qcqa.files.user_path import is_plain_file, user_path
from qcqa.measure.benchmark import Benchmark
from qcqa.packaged import demo_model_folder
from qcqa.plan.plan import Plan

#: In the demo model's folder: what ``demo`` means as either text.
_CALIBRATION, _HELD_OUT = "calibration.txt", "heldout.txt"


def refuse_calibration_text(plans: Iterable[Plan], benchmark: Benchmark) -> None:
    """Refuse to measure plans on a text that they were searched, merged or refitted on.

    A text is known by its file and by its content. A calibration whose file is gone, or of which
    only what was computed is left, cannot be compared.

    Raises
    ------
    EvaluationError
        If the benchmark's text is the calibration text of a plan.
    """
    if benchmark.text is None:
        return
    measured = _file(benchmark.text, _HELD_OUT)
    for name in dict.fromkeys(name for plan in plans if (name := _text_of(plan))):
        if _is_same(measured, _file(name, _CALIBRATION)):
            raise EvaluationError(
                f"{benchmark.text} is the calibration text of a plan",
                expected="a text that the search and the plans have not read",
                remedy="measure on another text",
            )


def _text_of(plan: Plan) -> str | None:
    if plan.calibration is not None:
        return plan.calibration.text
    # The groups alone rest on it; a plan's file is the user's, who may have changed it.
    noted = plan.provenance.get("calibration")
    return noted if isinstance(noted, str) else None


def _file(text: str, of_demo: str) -> Path:
    return demo_model_folder() / of_demo if text == "demo" else user_path(text, EvaluationError)


def _is_same(path: Path, other: Path) -> bool:
    if not (is_plain_file(path) and is_plain_file(other)):
        return False
    return path.samefile(other) or (
        path.stat().st_size == other.stat().st_size and path.read_bytes() == other.read_bytes()
    )
