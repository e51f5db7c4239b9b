"""Generations with a search's plans, side by side: runs inside its directory."""

from pydantic import TypeAdapter

from qcqa.errors import EvaluationError, RunError
from qcqa.jobs.clock import utc_now
from qcqa.jobs.config import MOST_GENERATED_PLANS, GenerationConfig
from qcqa.jobs.jobs import jobs_of
from qcqa.jobs.measuring import dtype_of_job, estimated_generation, torch_device
from qcqa.jobs.new import write_new_job
from qcqa.jobs.run import Run
from qcqa.jobs.status import LIVE_STATES
from qcqa.jobs.store import delete_run
from qcqa.measure.generated import GeneratedText, GenerationEvent, GenerationSettings, texts_of
from qcqa.model.inspect import inspect_model
from qcqa.pick.points import Points, plan_of_point
from qcqa.plan.plan import Plan
from qcqa.reading.file import FileKind
from qcqa.reading.json_file import as_record
from qcqa.search.result import SearchResult

#: Of one search; older ones are deleted when another is made.
MOST_KEPT = 20

_LONGEST_NAME = 48

_FILE = FileKind("the texts of a generation", RunError, "generate again")
_EVENT: TypeAdapter[GenerationEvent] = TypeAdapter(GenerationEvent)


def create_generation(
    run: Run,
    *,
    points: Points,
    settings: GenerationSettings,
    device: str = "auto",
    dtype: str = "auto",
) -> Run:
    """Make a generation of a search, ready for a worker; the oldest of many are deleted.

    Parameters
    ----------
    run : Run
        The search, with a result.
    points, settings, device, dtype
        As in :class:`GenerationConfig`; see :mod:`qcqa.pick.points` for points.

    Raises
    ------
    QCQAError
        If there is no plan at a point, there are too many, or the run cannot be written.
    """
    if len(points) > MOST_GENERATED_PLANS:
        raise EvaluationError(
            f"{len(points)} plans beside the source", expected=f"at most {MOST_GENERATED_PLANS}"
        )
    config = GenerationConfig(
        name=_title(settings.prompt),
        created=utc_now(),
        points=points,
        settings=settings,
        device=device,
        dtype=dtype_of_job(run, dtype, device=device),
    )
    require_possible(run, config)
    made = write_new_job(
        run, config.model_copy(update={"expected_seconds": _seconds(run, config, dtype)})
    )
    for old in generations_of(run)[MOST_KEPT:]:
        if old.status().state not in LIVE_STATES:
            delete_run(old)
    return made


def _seconds(run: Run, config: GenerationConfig, dtype: str) -> float:
    estimate = estimated_generation(
        run,
        inspect_model(run.search.model, revision=run.search.revision),
        plans_side_by_side(run.result(), config.points),
        config.settings,
        device=torch_device(config.device),
        dtype=dtype,
    )
    return round(estimate.seconds, 3)


def require_possible(run: Run, config: GenerationConfig) -> None:
    """Refuse a generation that cannot come to an end; loads no weights.

    Raises
    ------
    QCQAError
        If a plan, the model, or a text is not there, or the prompt cannot be read.
    """
    # Here, because it loads torch, as the worker will.
    from qcqa.measure.generate_by_plans import require_generatable

    require_generatable(
        run.search.model,
        plans_side_by_side(run.result(), config.points),
        config.settings,
        revision=run.search.revision,
        fitted=run.fitted_folder,
    )


def plans_side_by_side(result: SearchResult, points: Points) -> list[Plan]:
    """Return the plan of each point, in their order.

    Raises
    ------
    BudgetError
        If a method was not searched, or has no plan within its budget.
    """
    return [plan_of_point(result, point) for point in points]


def generations_of(run: Run) -> list[Run]:
    """Return the generations of a search, newest first; damaged ones are left out."""
    return jobs_of(run, "generation")


def texts_of_generation(generation: Run) -> tuple[GeneratedText, ...]:
    """Return what a generation has said so far: the source's text, then the plans'.

    Models that have not begun are left out.

    Raises
    ------
    RunError
        If the run is no generation, or its events are damaged.
    """
    generation.asked(GenerationConfig, "a generation")
    generated: list[GenerationEvent] = []
    for event in generation.events():
        if event["event"] == "started":
            # Another worker starts over.
            generated = []
        elif "generated" in event:
            path = generation.folder / "events.jsonl"
            generated.append(as_record(event["generated"], _EVENT, path, _FILE))
    return texts_of(generated)


def _title(prompt: str) -> str:
    words = " ".join(prompt.split())
    if len(words) > _LONGEST_NAME:
        words = words[:_LONGEST_NAME].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
    return words or "no prompt"
