"""What a run was asked to do: ``config.json``, written once when the run is made."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from qcqa.search.config import SearchSettings

#: Version of the run directory's files; a newer one is refused, not guessed at.
RUN_FORMAT = "qcqa-run"
RUN_VERSION = 1


class RunConfig(BaseModel):
    """A search of one model by some methods.

    Parameters
    ----------
    name : str
        Title for people.
    created : str
        Time of creation, ISO 8601, UTC.
    model, revision : str
        Folder, Hub id or ``demo``, and the commit on the Hub.
    methods : tuple of str
        Names of the searched methods, in order; baselines and bound are always there.
    settings : SearchSettings
        Of the search, seed included.
    calibration : str or None
        Absolute path of the calibration text, or ``demo``, for what looks at more than weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["qcqa-run"] = "qcqa-run"
    version: Literal[1] = 1
    kind: Literal["search"] = "search"
    name: str
    created: str
    model: str
    revision: str | None = None
    methods: tuple[str, ...] = Field(min_length=1)
    settings: SearchSettings
    calibration: str | None = None
