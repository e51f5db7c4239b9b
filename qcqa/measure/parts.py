"""The parts of a benchmark, each with its data: what one model is put through."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from qcqa.errors import EvaluationError
from qcqa.files.user_path import user_path
from qcqa.measure.benchmark import Benchmark
from qcqa.measure.harness import harness_module
from qcqa.measure.samples import Samples
from qcqa.measure.task_code import refuse_code
from qcqa.measure.task_files import task_content
from qcqa.measure.task_scores import load_task_scores, save_task_scores
from qcqa.measure.tasks import evaluate_tasks
from qcqa.measure.text import evaluate_text, text_windows
from qcqa.measure.text_scores import TextScores, load_text_scores
from qcqa.packaged import DEMO_TEXT
from qcqa.plan.metric import data_label
from qcqa.plan.plan import Measurement
from qcqa.progress import OnProgress
from qcqa.text.documents import demo_documents, read_documents
from qcqa.text.windows import Window

DEMO = "demo"

#: A text with fewer is refused before any work: chance alone would tell its models apart.
FEWEST_SCORED_TOKENS = 100


class Scores(Protocol):
    """What a model scored, to be read by itself or against another's."""

    def measurements(self) -> tuple[Measurement, ...]:
        """Return the model's own figures."""

    def samples(self) -> tuple[Samples, ...]:
        """Return the sums by which two models can be compared."""

    def compared_with(self, source: Any) -> tuple[Measurement, ...]:
        """Return the differences from the source's scores of the same kind."""


class Part(ABC):
    """A part of a benchmark.

    Attributes
    ----------
    name, label : str
        What measurements and what people call it.
    content : dict
        All that decides the scores beside the model: settings, and a hash of the data.
    """

    name: str
    label: str
    content: dict[str, Any]

    @abstractmethod
    def require_readable(self, model: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> int:
        """Refuse what a model cannot read, by its config, as far as that can be known early.

        Returns
        -------
        int
            Tokens that it reads, as far as that can be known early.

        Raises
        ------
        EvaluationError
            If it cannot.
        """

    @abstractmethod
    def score(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        on_progress: OnProgress,
        *,
        source: PreTrainedModel | None = None,
        piece_tokens: int | None = None,
    ) -> Mapping[str, Scores]:
        """Put a model through it, beside its source.

        Parameters
        ----------
        model : PreTrainedModel
            Source or converted, on any device.
        tokenizer : PreTrainedTokenizerBase
            The model's.
        on_progress : callable
            What it raises ends it.
        source : PreTrainedModel, optional
            What predictions are compared with; by default the model is its own source.
        piece_tokens : int, optional
            Tokens that the model reads at a time, see
            :func:`~qcqa.text.scoring.answer_queries`.
        """

    @abstractmethod
    def save(self, scores: Mapping[str, Any], path: Path) -> None:
        """Write scores."""

    @abstractmethod
    def load(self, path: Path) -> Mapping[str, Scores]:
        """Read scores.

        Raises
        ------
        EvaluationError
            If they cannot be read.
        """


def parts_of(benchmark: Benchmark) -> Iterator[Part]:
    """Yield the parts of a benchmark that are scored: the text, then every task.

    Raises
    ------
    EvaluationError
        If data cannot be read.
    """
    if benchmark.text is not None:
        yield TextPart(benchmark.text, benchmark)
    for task in benchmark.tasks:
        yield TaskPart(task, benchmark)


def require_enough(windows: Sequence[Window], name: str) -> None:
    """Refuse windows of a text that score too few tokens.

    Raises
    ------
    EvaluationError
        If they are fewer than :data:`FEWEST_SCORED_TOKENS`.
    """
    scored = sum(len(window.query.targets) for window in windows)
    if scored < FEWEST_SCORED_TOKENS:
        raise EvaluationError(
            f"the text {name} has {scored} tokens to score",
            expected=f"at least {FEWEST_SCORED_TOKENS}: fewer say nothing of a model",
            remedy="measure a longer text, or more of its windows",
        )


class TextPart(Part):
    """A text file, or the demo's text."""

    def __init__(self, text: str, benchmark: Benchmark):
        is_demo = text == DEMO
        self.name = DEMO_TEXT if is_demo else user_path(text).stem
        self.label = data_label(self.name, is_file=True)
        self._documents = demo_documents() if is_demo else read_documents(text)
        self._cut = {
            "window_tokens": benchmark.window_tokens,
            f"max_{benchmark.limit_of}": benchmark.limit,
        }
        self.content = {
            "text": self.name,
            "data": sha256("\0".join(self._documents).encode()).hexdigest(),
            "window": benchmark.window_tokens,
            "limits": {benchmark.limit_of: benchmark.limit},
        }

    def require_readable(self, model: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> int:
        """Refuse a text that is too short, or has tokens that the model does not know."""
        windows = text_windows(model, tokenizer, self._documents, data=self.name, **self._cut)
        require_enough(windows, self.name)
        return sum(len(window.query.token_ids) for window in windows)

    def score(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        on_progress: OnProgress,
        *,
        source: PreTrainedModel | None = None,
        piece_tokens: int | None = None,
    ) -> Mapping[str, TextScores]:
        """Score every token of the text."""
        scores = evaluate_text(
            model,
            tokenizer,
            self._documents,
            data=self.name,
            source=source,
            piece_tokens=piece_tokens,
            on_progress=on_progress,
            **self._cut,
        )
        return {self.name: scores}

    def lengths(self, scores: Mapping[str, Any]) -> list[int]:
        """Return how many tokens each window of the text has."""
        counts: list[int] = np.unique(scores[self.name].window, return_counts=True)[1].tolist()
        # The first token of a window is predicted by nothing.
        return [count + 1 for count in counts]

    def save(self, scores: Mapping[str, Any], path: Path) -> None:
        """Write scores."""
        scores[self.name].save(path)

    def load(self, path: Path) -> Mapping[str, Scores]:
        """Read scores."""
        return {self.name: load_text_scores(path)}


class TaskPart(Part):
    """A task, or a group of them."""

    def __init__(self, task: str, benchmark: Benchmark):
        # Says what to install where it is missing, before anything is measured.
        harness_module("lm_eval")
        is_file = task.endswith((".yaml", ".yml"))
        self.name = Path(task).stem if is_file else task
        self.label = data_label(self.name)
        self._task = task
        self._limit = benchmark.limit
        self._allow_code = benchmark.allow_task_code
        if is_file and not self._allow_code:
            refuse_code(Path(task))
        self.content = {"task": task, "data": task_content(task), "limit": self._limit}

    def require_readable(
        self,
        model: PreTrainedConfig,  # noqa: ARG002  # texts look at both
        tokenizer: PreTrainedTokenizerBase,  # noqa: ARG002  # texts look at both
    ) -> int:
        """Leave it to the task: its questions are known once the harness has made them."""
        return 0

    def score(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        on_progress: OnProgress,
        *,
        source: PreTrainedModel | None = None,  # noqa: ARG002 - questions have answers of their own
        piece_tokens: int | None = None,
    ) -> Mapping[str, Scores]:
        """Ask the task's questions."""
        return evaluate_tasks(
            model,
            tokenizer,
            [self._task],
            max_samples=self._limit,
            piece_tokens=piece_tokens,
            allow_code=self._allow_code,
            on_progress=on_progress,
        )

    def save(self, scores: Mapping[str, Any], path: Path) -> None:
        """Write scores."""
        save_task_scores(scores, path)

    def load(self, path: Path) -> Mapping[str, Scores]:
        """Read scores."""
        return load_task_scores(path)
