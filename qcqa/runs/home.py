"""Where runs are kept."""

import os
from pathlib import Path

from platformdirs import user_data_path

#: Folder of the runs, set by ``qcqa app --runs``.
RUNS_VARIABLE = "QCQA_RUNS"


def runs_folder() -> Path:
    """Return the folder of all runs.

    ``$QCQA_RUNS``, or ``$QCQA_HOME/runs``, or ``runs`` below the user's data folder.
    """
    runs = os.environ.get(RUNS_VARIABLE)
    if runs:
        return Path(runs)
    home = os.environ.get("QCQA_HOME")
    return (Path(home) if home else user_data_path("qcqa", appauthor=False)) / "runs"
