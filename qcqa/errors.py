"""Every error that this package raises for a user's input: what was found, expected, to do.

The command line prints such an error as one line and exits with 2; the dashboard shows it in
place. Anything else that escapes is a bug.
"""


class QCQAError(Exception):
    """A problem that the user can mend.

    Parameters
    ----------
    found : str
        What is wrong, with the value that was found.
    expected : str, optional
        What would have been right.
    remedy : str, optional
        What the user can do about it.
    """

    def __init__(self, found: str, *, expected: str | None = None, remedy: str | None = None):
        self.found = found
        self.expected = expected
        self.remedy = remedy
        super().__init__(self.one_line())

    def one_line(self) -> str:
        """Return the whole message on one line."""
        parts = [self.found]
        if self.expected:
            parts.append(f"expected {self.expected}")
        if self.remedy:
            parts.append(self.remedy)
        return " ".join("; ".join(parts).split())


class CheckpointError(QCQAError):
    """A model's files are missing, damaged or not what their config promises."""


class UnsupportedModelError(CheckpointError):
    """The model's family is not among the architecture files."""


class ReductionError(QCQAError):
    """A reduction cannot be had, or not like this."""


class GroupingError(QCQAError):
    """Labels or groups that are no partition of the heads."""


class PlanError(QCQAError):
    """A plan that does not fit its schema or its model."""


class BudgetError(QCQAError):
    """A KV-cache budget that is out of range or that no plan fits."""


class SettingsError(QCQAError):
    """A setting of a search that is out of range."""


class RunError(QCQAError):
    """A run directory that is missing, damaged, busy or of a newer format."""


class ConversionError(QCQAError):
    """A conversion that cannot be carried out: no room, or a folder that holds something."""


class EvaluationError(QCQAError):
    """An evaluation that cannot be carried out: no text, no such task, no data, no room."""


class CalibrationError(QCQAError):
    """A calibration that is missing, too short, damaged or of another model."""


class ExportError(QCQAError):
    """A chart or a table that cannot be written: no browser for a picture, no such format."""
