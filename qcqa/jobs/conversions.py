"""Conversions by a search's plans: runs inside its directory."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qcqa.conversion.converted import Converted
from qcqa.errors import ConversionError
from qcqa.export.preflight import conversion_source, preflight_conversion
from qcqa.files.places import require_empty
from qcqa.files.user_path import require_utf8, user_path
from qcqa.jobs.clock import utc_now
from qcqa.jobs.config import ConversionConfig
from qcqa.jobs.home import converted_folder
from qcqa.jobs.jobs import jobs_of
from qcqa.jobs.new import slug, write_new_job
from qcqa.jobs.outcomes import load_outcome
from qcqa.jobs.plans import plan_at
from qcqa.jobs.run import Run
from qcqa.jobs.status import LIVE_STATES
from qcqa.plan.plan import Plan
from qcqa.text.fitted import needs_text
from qcqa.text.texts_there import require_text_there

#: File in a conversion's directory with what came of it.
CONVERTED = "converted.json"


def create_conversion(
    run: Run, *, point: tuple[str, int], folder: Path, origin: Mapping[str, Any] | None = None
) -> Run:
    """Make a conversion by a plan of a search, ready for a worker.

    Parameters
    ----------
    run : Run
        The search, with a result.
    point : (str, int)
        The plan: the best of a method within so many bits per token.
    folder : Path
        Where the checkpoint is to be; new or empty.
    origin : mapping, optional
        Why this plan was taken, for its provenance: plain JSON values.

    Raises
    ------
    QCQAError
        If there is no such plan, the conversion cannot end well, see
        :func:`~qcqa.export.preflight.preflight_conversion`, or the run's directory
        cannot be written.
    """
    folder = user_path(folder, ConversionError).absolute()
    config = ConversionConfig(
        name=folder.name,
        created=utc_now(),
        point=point,
        folder=require_utf8(str(folder), ConversionError),
        origin=dict(origin or {}),
    )
    for other in conversions_of(run):
        is_same = isinstance(other.config, ConversionConfig) and other.config.folder == str(folder)
        if is_same and other.status().state in LIVE_STATES:
            raise ConversionError(
                f"{other.id} is writing to {folder} now", remedy="wait for it, or cancel it first"
            )
    require_empty(folder)
    require_possible(run, config)
    return write_new_job(run, config)


def require_possible(run: Run, config: ConversionConfig) -> None:
    """Refuse a conversion that cannot come to an end; loads no weights.

    Raises
    ------
    QCQAError
        As :func:`preflight_of`, or if the plan's calibration text is another by now.
    """
    plan = preflight_of(run, config)
    if needs_text(plan, run.fitted_folder):
        # Here, because it loads torch, as the worker will.
        from qcqa.text.calibrate import require_text_of_plan

        require_text_of_plan(plan, run.search.model, revision=run.search.revision)


def preflight_of(run: Run, config: ConversionConfig) -> Plan:
    """Look at a conversion from headers alone, and return its plan.

    Raises
    ------
    QCQAError
        If there is no such plan, its calibration text is gone, or as
        :func:`~qcqa.export.preflight.preflight_conversion`.
    """
    plan = plan_at(run, config.point)
    require_text_there(plan, run.fitted_folder)
    source = conversion_source(run.search.model, revision=run.search.revision)
    preflight_conversion(source, plan, Path(config.folder), may_be_made=True)
    return plan


def conversions_of(run: Run) -> list[Run]:
    """Return the conversions of a search, newest first; damaged ones are left out."""
    return jobs_of(run, "conversion")


def converted_of(conversion: Run) -> Converted:
    """Return what came of a conversion.

    Raises
    ------
    RunError
        If it has not finished, or is none.
    """
    conversion.asked(ConversionConfig, "a conversion")
    return load_outcome(Converted, conversion.folder / CONVERTED)


def default_folder(run: Run, plan: Plan) -> Path:
    """Return a folder of the user's for a plan's checkpoint, one that is not there yet.

    Its name says model, method and KV ratio.
    """
    model = slug(Path(run.search.model).name)
    name = f"{model}-{plan.method}-kv{100 * plan.kv_ratio:.4g}"
    first = converted_folder() / name
    folder, number = first, 1
    while folder.exists():
        number += 1
        folder = first.with_name(f"{name}-{number}")
    return folder
