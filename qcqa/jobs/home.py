"""Where runs are kept."""

import os
from pathlib import Path

from platformdirs import user_data_path

#: Folder of the runs, set by ``qcqa app --runs``.
RUNS_VARIABLE = "QCQA_RUNS"

#: Folder to which paths in the dashboard's forms are limited, set by ``qcqa app --root``.
ROOT_VARIABLE = "QCQA_ROOT"


def runs_folder() -> Path:
    """Return the folder of all runs.

    ``$QCQA_RUNS``, or ``$QCQA_HOME/runs``, or ``runs`` below the user's data folder.
    """
    runs = os.environ.get(RUNS_VARIABLE)
    return Path(runs) if runs else _home() / "runs"


def additions_folder() -> Path:
    """Return the folder of what users add to runs that came with the package."""
    return _home() / "bundled"


def converted_folder() -> Path:
    """Return the folder of converted checkpoints, where no other is named."""
    return _home() / "converted"


def machine_file() -> Path:
    """Return the file of what was measured of this machine."""
    return _home() / "machine.json"


def _home() -> Path:
    home = os.environ.get("QCQA_HOME")
    return Path(home) if home else user_data_path("qcqa", appauthor=False)
