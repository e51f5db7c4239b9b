"""Whether the calibration text that a plan needs is still where it was; reads none of it."""

from qcqa.errors import CalibrationError
from qcqa.files.user_path import existing_path
from qcqa.plan.plan import Plan
from qcqa.text.fitted import FittedFolder, needs_text


def require_text_there(plan: Plan, fitted: FittedFolder | None) -> None:
    """Refuse a plan whose calibration text is gone, and whose attention is not kept.

    Parameters
    ----------
    plan : Plan
        What is to be made of its source.
    fitted : FittedFolder or None
        Where attention is kept that needs no text any more.

    Raises
    ------
    CalibrationError
        If its text is gone, or cannot be read.
    """
    wanted = plan.calibration
    if wanted is not None and wanted.text != "demo" and needs_text(plan, fitted):
        existing_path(
            wanted.text, expected="the calibration text of the plan", refusal=CalibrationError
        )
