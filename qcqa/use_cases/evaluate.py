"""Measure the models that plans make of their source, beside the source itself."""

import json
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from qcqa.attention.live import convert
from qcqa.checkpoint import open_checkpoint
from qcqa.evaluate import (
    DEMO_TEXT,
    TaskScores,
    TextScores,
    demo_documents,
    evaluate_tasks,
    evaluate_text,
    read_documents,
)
from qcqa.evaluate.progress import EvaluationProgress
from qcqa.evaluated import Benchmark, Evaluated, load_evaluated, save_evaluated
from qcqa.plan import GroupingPlan, Measurement
from qcqa.plan_file import plan_to_json

DEMO = "demo"


@dataclass(frozen=True, slots=True)
class ModelProgress:
    """How far an evaluation of several models is.

    Parameters
    ----------
    model : int
        Number of the model at work, the source first, from 0.
    num_models : int
        All of them.
    stage : str
        What is being measured on it.
    fraction : float
        Of the whole evaluation, from 0 to 1.
    """

    model: int
    num_models: int
    stage: str
    fraction: float


OnModelProgress = Callable[[ModelProgress], None]


def evaluate_plans(
    model: str,
    plans: Sequence[GroupingPlan],
    benchmark: Benchmark,
    *,
    revision: str | None = None,
    device: str = "cpu",
    dtype: str = "auto",
    folder: Path | None = None,
    on_progress: OnModelProgress | None = None,
) -> list[Evaluated]:
    """Measure a source model and the models that plans make of it.

    The source is read once; each plan converts a copy of it, so memory holds two models.

    Parameters
    ----------
    model : str
        Local folder, Hub id, or ``demo``.
    plans : sequence of GroupingPlan
        Made for this model; equal ones are measured once.
    benchmark : Benchmark
        What is measured.
    revision : str, optional
        Branch, tag or commit on the Hub.
    device, dtype : str
        Where, and in which type, the models run: ``cpu``, ``cuda`` …; ``auto``, ``float32`` …
    folder : Path, optional
        Where each plan's figures are kept as they come; a plan that was measured there by the
        same benchmark is not measured again.
    on_progress : callable, optional
        Called often; raising from it ends the evaluation, and what was measured is kept.

    Returns
    -------
    list of Evaluated
        The source, then the plans in their order.

    Raises
    ------
    QCQAError
        If the model, a plan or the benchmark's data cannot be used.
    """
    checkpoint = open_checkpoint(model, revision=revision)
    for plan in plans:
        plan.require_model(checkpoint.spec, plan.fingerprint)
    location = str(checkpoint.folder) if checkpoint.folder.is_dir() else model
    source = AutoModelForCausalLM.from_pretrained(location, dtype=dtype, use_safetensors=True)
    torch.nn.Module.to(source, device)  # its own method is hidden from type checkers
    tokenizer = AutoTokenizer.from_pretrained(location)
    documents = _documents(benchmark.text)

    def scored(measured: PreTrainedModel, number: int) -> "_Scores":
        def report(progress: EvaluationProgress) -> None:
            if on_progress:
                fraction = (number + progress.fraction * 0.99) / (1 + len(plans))
                on_progress(ModelProgress(number, 1 + len(plans), progress.stage, fraction))

        return _Scores.of(measured, tokenizer, benchmark, documents, report)

    of_source = scored(source, 0)
    rows = [Evaluated.of_source(checkpoint.spec, benchmark, dtype, of_source.measurements())]
    for number, plan in enumerate(plans, start=1):
        kept = folder / f"{_key(plan, benchmark, dtype)}.json" if folder else None
        row = load_evaluated(kept) if kept else None
        if row is None:
            converted = convert(deepcopy(source), plan)
            scores = scored(converted, number)
            measured = (*scores.measurements(), *scores.compared_with(of_source))
            row = Evaluated.of_plan(plan, benchmark, dtype, measured)
            if kept:
                save_evaluated(row, kept)
        rows.append(row)
    return rows


@dataclass(frozen=True, slots=True)
class _Scores:
    """What one model scored: to be read by itself, or against another's."""

    text: TextScores | None
    tasks: dict[str, TaskScores]

    @classmethod
    def of(
        cls,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        benchmark: Benchmark,
        documents: Sequence[str],
        on_progress: Callable[[EvaluationProgress], None],
    ) -> "_Scores":
        text, tasks = None, {}
        if benchmark.text is not None:
            text = evaluate_text(
                model,
                tokenizer,
                documents,
                data=_name(benchmark.text),
                window_tokens=benchmark.window_tokens,
                max_documents=benchmark.limit,
                on_progress=on_progress,
            )
        if benchmark.tasks:
            tasks = evaluate_tasks(
                model,
                tokenizer,
                benchmark.tasks,
                max_samples=benchmark.limit,
                on_progress=on_progress,
            )
        return cls(text, tasks)

    def measurements(self) -> tuple[Measurement, ...]:
        return tuple(figure for part in self._parts() for figure in part.measurements())

    def compared_with(self, source: "_Scores") -> tuple[Measurement, ...]:
        figures: list[Measurement] = []
        if self.text and source.text:
            figures += self.text.compared_with(source.text)
        for name, scores in self.tasks.items():
            figures += scores.compared_with(source.tasks[name])
        return tuple(figures)

    def _parts(self) -> Iterator[TextScores | TaskScores]:
        if self.text:
            yield self.text
        yield from self.tasks.values()


def _documents(text: str | None) -> list[str]:
    if text is None:
        return []
    return demo_documents() if text == DEMO else read_documents(Path(text))


def _name(text: str) -> str:
    """Return what measurements call the text."""
    return DEMO_TEXT if text == DEMO else Path(text).stem


def _key(plan: GroupingPlan, benchmark: Benchmark, dtype: str) -> str:
    """Return a name for a plan's figures: the same plan and benchmark, the same name."""
    content = plan_to_json(plan)
    told = {name: content[name] for name in ("model", "method", "merge", "layers")}
    told |= {"benchmark": asdict(benchmark), "dtype": dtype}
    return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:24]
