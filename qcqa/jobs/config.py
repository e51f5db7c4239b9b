"""What a run was asked to do: ``config.json``, written once when the run is made."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationInfo, field_validator

from qcqa.errors import SettingsError
from qcqa.jobs.clock import Time
from qcqa.measure.benchmark import Benchmark
from qcqa.measure.generated import GenerationSettings
from qcqa.measure.sensitivity import SensitivitySettings
from qcqa.pick.points import Points
from qcqa.search.method_sets import names_today
from qcqa.search.methods import METHODS
from qcqa.search.strategy.config import SearchSettings, nested

#: Version of the run directory's files; a newer one is refused, not guessed at.
RUN_FORMAT = "qcqa-run"
RUN_VERSION = 1


class _Config(BaseModel):
    """What every kind of run has.

    Parameters
    ----------
    name : str
        Title for people.
    created : str
        Time of creation, ISO 8601, UTC.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["qcqa-run"] = "qcqa-run"
    version: Literal[1] = 1
    name: str
    created: Time


class SearchConfig(_Config):
    """A search of one model by some methods.

    Parameters
    ----------
    name, created
        As of every run.
    model, revision : str
        Folder, Hub id or ``demo``, and the commit on the Hub.
    methods : tuple of str
        Names of the searched methods, in order; baselines and bound are always there.
    settings : SearchSettings
        Of the search, seed included.
    calibration : str or None
        Absolute path of the calibration text, or ``demo``, for what looks at more than weights.
    device : str
        Where the model reads that text: ``auto``, ``cpu``, ``cuda`` …
    """

    kind: Literal["search"] = "search"
    model: str
    revision: str | None = None
    # Before the methods, whose names depend on them.
    settings: SearchSettings
    methods: tuple[str, ...] = Field(min_length=1)
    calibration: str | None = None
    # Files that do not say it are from before other devices could be asked for.
    device: str = "cpu"

    @field_validator("settings", mode="before")
    @classmethod
    def _nested_today(cls, settings: Any) -> Any:
        """Give the options of a file of an older release to their strategies."""
        return nested(settings) if isinstance(settings, dict) else settings

    @field_validator("methods")
    @classmethod
    def _name_today(cls, methods: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """Call the methods of a file of an older release as they are called today."""
        settings = info.data.get("settings")
        named = names_today(methods, settings) if settings is not None else methods
        for name in named:
            if name not in METHODS:
                raise SettingsError(f"method {name!r}", expected=f"one of {', '.join(METHODS)}")
        return named


class EvaluationConfig(_Config):
    """Measuring plans of a search, beside their source; a run inside the search's directory.

    Parameters
    ----------
    name, created
        As of every run.
    points : tuple of (str, int)
        The plans: the best of a method within so many bits per token.
    benchmark : Benchmark
        What is measured on each.
    device, dtype : str
        Where, and in which type, the models run: ``auto``, ``cpu``, ``cuda`` …; ``auto``, which is
        the checkpoint's own type, ``float32`` …
    expected_seconds : float or None
        What it was to take by the count of its operations; what it took tells of the machine.
    """

    kind: Literal["evaluation"] = "evaluation"
    points: Points = Field(min_length=1)
    benchmark: Benchmark
    device: str = "cpu"
    dtype: str = "auto"
    expected_seconds: float | None = None

    def may_run_on(self, device: str) -> bool:
        """Return whether a device is, or may be, the one that is asked for."""
        return self.device in ("auto", device)


class ConversionConfig(_Config):
    """Writing the checkpoint that a plan of a search makes; a run inside the search's directory.

    Parameters
    ----------
    name, created
        As of every run.
    point : (str, int)
        The plan: the best of a method within so many bits per token.
    folder : str
        Absolute path of the checkpoint to be written.
    origin : dict
        Why this plan was taken, for its provenance; see :func:`qcqa.jobs.plans.plan_of_run`.
    """

    kind: Literal["conversion"] = "conversion"
    point: tuple[str, int]
    folder: str
    origin: dict[str, Any] = {}


#: Plans beside the source, so that their texts fit beside each other.
MOST_GENERATED_PLANS = 3


class GenerationConfig(_Config):
    """Texts from one prompt by the source and by plans of a search; a run inside its directory.

    Parameters
    ----------
    name, created
        As of every run.
    points : tuple of (str, int)
        The plans: the best of a method within so many bits per token; none for the source alone.
    settings : GenerationSettings
        The prompt, and how tokens are chosen.
    device, dtype, expected_seconds
        As of an evaluation.
    """

    kind: Literal["generation"] = "generation"
    points: Points = Field(max_length=MOST_GENERATED_PLANS)
    settings: GenerationSettings
    device: str = "cpu"
    dtype: str = "auto"
    expected_seconds: float | None = None


class SensitivityConfig(_Config):
    """Measuring what each layer of a plan does alone; a run inside the search's directory.

    Parameters
    ----------
    name, created
        As of every run.
    point : (str, int)
        The plan: the best of a method within so many bits per token.
    settings : SensitivitySettings
        The text, and how much of it is read.
    device, dtype : str
        As of an evaluation.
    """

    kind: Literal["sensitivity"] = "sensitivity"
    point: tuple[str, int]
    settings: SensitivitySettings
    device: str = "auto"
    dtype: str = "auto"


#: Folders of the jobs that work on a search's plans, by kind, in the search's directory.
JOB_FOLDERS = {
    "evaluation": "evaluations",
    "conversion": "conversions",
    "generation": "generations",
    "sensitivity": "sensitivity",
}

_AnyConfig = (
    SearchConfig | EvaluationConfig | ConversionConfig | GenerationConfig | SensitivityConfig
)

#: Told apart by ``kind``.
RunConfig = Annotated[_AnyConfig, Field(discriminator="kind")]
RUN_CONFIG: TypeAdapter[_AnyConfig] = TypeAdapter(RunConfig)
