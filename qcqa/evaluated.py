"""What was measured on one model, and by which benchmark: a row of every table of accuracy."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from qcqa.errors import EvaluationError
from qcqa.files import write_text_atomically
from qcqa.model_spec import ModelSpec
from qcqa.plan import GroupingPlan, Measurement

_FORMAT = "qcqa-measured-1"


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What is measured on every model.

    Parameters
    ----------
    text : str or None
        A text file for perplexity and next-token accuracy; ``demo`` for the demo's held-out
        stories.
    tasks : tuple of str
        Tasks of lm-evaluation-harness; see :func:`qcqa.evaluate.evaluate_tasks`.
    limit : int or None
        At most so many documents of the text, and questions of each task.
    window_tokens : int or None
        Tokens of the text that the model reads at once.

    Raises
    ------
    EvaluationError
        If nothing is to be measured.
    """

    text: str | None = None
    tasks: tuple[str, ...] = ()
    limit: int | None = None
    window_tokens: int | None = None

    def __post_init__(self) -> None:
        if self.text is None and not self.tasks:
            raise EvaluationError("nothing to measure", expected="a text or at least one task")


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One model's figures.

    Parameters
    ----------
    method : str
        Method of the plan; ``mha`` for the source.
    merge : str
        How its shared heads were computed; ``none`` for the source.
    num_cached_heads : int
        K heads plus V heads over all layers.
    kv_ratio : float
        KV-cache bytes over those of the source.
    kv_bytes_per_token : int
        Of the KV cache.
    wse, relative_wse : float
        Weight-sharing error of the plan.
    dtype : str
        Type in which the model ran, as it was asked for.
    benchmark : Benchmark
        What was measured.
    measured : tuple of Measurement
        The figures, and for plans their differences from the source.
    """

    method: str
    merge: str
    num_cached_heads: int
    kv_ratio: float
    kv_bytes_per_token: int
    wse: float
    relative_wse: float
    dtype: str
    benchmark: Benchmark
    measured: tuple[Measurement, ...]

    @classmethod
    def of_source(
        cls,
        spec: ModelSpec,
        benchmark: Benchmark,
        dtype: str,
        measured: tuple[Measurement, ...],
    ) -> Self:
        """Return the row of a source model."""
        heads, size = spec.num_cached_heads, spec.kv_bytes_per_token()
        return cls("mha", "none", heads, 1.0, size, 0.0, 0.0, dtype, benchmark, measured)

    @classmethod
    def of_plan(
        cls,
        plan: GroupingPlan,
        benchmark: Benchmark,
        dtype: str,
        measured: tuple[Measurement, ...],
    ) -> Self:
        """Return the row of a plan's model."""
        return cls(
            method=plan.method,
            merge=plan.merge,
            num_cached_heads=plan.num_cached_heads,
            kv_ratio=plan.kv_ratio,
            kv_bytes_per_token=plan.kv_bytes_per_token,
            wse=plan.predicted.wse,
            relative_wse=plan.predicted.relative_wse,
            dtype=dtype,
            benchmark=benchmark,
            measured=measured,
        )

    def figure(self, metric: str) -> Measurement | None:
        """Return the figure of this name, or None if it was not measured."""
        return next((one for one in self.measured if one.metric == metric), None)


def save_evaluated(row: Evaluated, path: Path) -> None:
    """Write a row as JSON, atomically; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"format": _FORMAT, **asdict(row)}
    write_text_atomically(path, json.dumps(content, indent=2) + "\n")


def load_evaluated(path: Path) -> Evaluated | None:
    """Return a row that was written, or None if it is not there or cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("format") != _FORMAT:
            return None
        benchmark = content.pop("benchmark")
        benchmark["tasks"] = tuple(benchmark["tasks"])
        measured = tuple(Measurement(**figure) for figure in content.pop("measured"))
        return Evaluated(**content, benchmark=Benchmark(**benchmark), measured=measured)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
