"""Where the files lie that travel with the package: the demo model and the dashboard."""

from pathlib import Path

from qcqa.errors import CheckpointError

#: Name of the demo's text in measurements, and of its file.
DEMO_TEXT = "heldout"

_PACKAGE = Path(__file__).resolve().parent
_PROJECT = _PACKAGE.parent


def demo_model_folder() -> Path:
    """Return the folder of the embedded demo model.

    Raises
    ------
    CheckpointError
        If the installation lacks it.
    """
    return _required("_assets/demo", "assets/demo", marker="config.json")


def demo_run_folder() -> Path | None:
    """Return the finished search of the demo model that travels with the package, if it does."""
    return _packaged("_assets/demo/run", "assets/demo/run", marker="config.json")


def app_folder() -> Path:
    """Return the folder of the dashboard's scripts.

    Raises
    ------
    CheckpointError
        If the installation lacks it.
    """
    return _required("_app", "app", marker="main.py")


def _required(in_wheel: str, in_project: str, *, marker: str) -> Path:
    folder = _packaged(in_wheel, in_project, marker=marker)
    if folder is None:
        raise CheckpointError(
            f"{_PACKAGE / in_wheel} is missing from this installation",
            remedy="reinstall qcqa-explorer",
        )
    return folder


def _packaged(in_wheel: str, in_project: str, *, marker: str) -> Path | None:
    """Return the copy inside the wheel, or the one of the source tree, or None."""
    for folder in (_PACKAGE / in_wheel, _PROJECT / in_project):
        if (folder / marker).is_file():
            return folder
    return None
