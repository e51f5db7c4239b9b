"""What was measured on one model, and by which benchmark: a row of every table of accuracy."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Self

from pydantic import TypeAdapter

from qcqa.errors import EvaluationError
from qcqa.files import write_text_atomically
from qcqa.model_spec import ModelSpec
from qcqa.plan import GroupingPlan, Measurement
from qcqa.samples import Samples

#: What installs the harness that tasks need: the extra ``eval``, without this project's name.
INSTALL_HARNESS = "pip install 'lm_eval>=0.4.13,<0.4.14'"

_FORMAT = "qcqa-measured-2"


@dataclass(frozen=True, slots=True)
class DecodeLoad:
    """What generation is measured on.

    Parameters
    ----------
    context_tokens : int
        Tokens of each prompt.
    batch_size : int
        Sequences at a time.
    new_tokens : int
        Tokens after the prompt, over which the time per token is taken.

    Raises
    ------
    EvaluationError
        If a number is below one.
    """

    context_tokens: int
    batch_size: int = 1
    new_tokens: int = 32

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise EvaluationError(f"{name} = {getattr(self, name)}", expected="at least 1")

    @property
    def data(self) -> str:
        """What measurements call this load."""
        return f"decode, context {self.context_tokens}, batch {self.batch_size}"


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What is measured on every model, beside the bytes of its KV cache.

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
    speed : DecodeLoad or None
        What speed and memory of generation are measured on, source and plan in turns.

    Raises
    ------
    EvaluationError
        If nothing is to be measured.
    """

    text: str | None = None
    tasks: tuple[str, ...] = ()
    limit: int | None = None
    window_tokens: int | None = None
    speed: DecodeLoad | None = None

    def __post_init__(self) -> None:
        if self.text is None and not self.tasks and self.speed is None:
            raise EvaluationError(
                "nothing to measure", expected="a text, at least one task, or the decode speed"
            )


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
    device, dtype : str
        Where the model ran, and in which type it was asked to run.
    plan_digest : str
        :attr:`GroupingPlan.digest` of the plan; empty for the source.
    benchmark : Benchmark
        What was measured.
    measured : tuple of Measurement
        The figures, and for plans their differences from the source.
    samples : tuple of Samples
        What makes them comparable with those of another plan; rows of earlier versions have none.
    """

    method: str
    merge: str
    num_cached_heads: int
    kv_ratio: float
    kv_bytes_per_token: int
    wse: float
    relative_wse: float
    device: str
    dtype: str
    plan_digest: str
    benchmark: Benchmark
    measured: tuple[Measurement, ...]
    samples: tuple[Samples, ...] = ()

    @classmethod
    def of_source(
        cls,
        spec: ModelSpec,
        benchmark: Benchmark,
        measured: tuple[Measurement, ...],
        *,
        device: str,
        dtype: str,
        samples: tuple[Samples, ...] = (),
    ) -> Self:
        """Return the row of a source model."""
        return cls(
            method="mha",
            merge="none",
            num_cached_heads=spec.num_cached_heads,
            kv_ratio=1.0,
            kv_bytes_per_token=spec.kv_bytes_per_token(),
            wse=0.0,
            relative_wse=0.0,
            device=device,
            dtype=dtype,
            plan_digest="",
            benchmark=benchmark,
            measured=measured,
            samples=samples,
        )

    @classmethod
    def of_plan(
        cls,
        plan: GroupingPlan,
        benchmark: Benchmark,
        measured: tuple[Measurement, ...],
        *,
        device: str,
        dtype: str,
        samples: tuple[Samples, ...] = (),
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
            device=device,
            dtype=dtype,
            plan_digest=plan.digest,
            benchmark=benchmark,
            measured=measured,
            samples=samples,
        )

    @property
    def is_source(self) -> bool:
        """Whether it is the source model's row."""
        return not self.plan_digest

    @property
    def is_comparable(self) -> bool:
        """Whether it can be compared with another plan's row, sample by sample."""
        has_samples = self.benchmark.text is not None or bool(self.benchmark.tasks)
        return bool(self.samples) or not has_samples

    def figure(self, metric: str) -> Measurement | None:
        """Return the figure of this name, or None if it was not measured."""
        return next((one for one in self.measured if one.metric == metric), None)


def by_size(rows: Iterable[Evaluated]) -> tuple[Evaluated, ...]:
    """Return rows in the order of tables: the source, then from the largest cache down."""
    return tuple(sorted(rows, key=lambda row: (not row.is_source, -row.kv_ratio, row.method)))


def figures_of_plan(plan: GroupingPlan, rows: Iterable[Evaluated]) -> tuple[Measurement, ...]:
    """Return what was measured of the very model that a plan makes, whichever method found it.

    Where several benchmarks have a figure, it is that of the most data; and that of the source's
    own dtype before others.
    """
    own = [row for row in rows if row.plan_digest == plan.digest]
    own.sort(key=lambda row: (row.dtype != "auto", -(row.benchmark.limit or inf)))
    figures: dict[str, Measurement] = {}
    for row in own:
        for figure in row.measured:
            figures.setdefault(figure.metric, figure)
    return tuple(figures.values())


def newest_figures(
    old: Iterable[Measurement], new: Iterable[Measurement]
) -> tuple[Measurement, ...]:
    """Return the new figures, and the old ones of what was not measured again before them."""
    measured = tuple(new)
    names = {figure.metric for figure in measured}
    return (*(figure for figure in old if figure.metric not in names), *measured)


@dataclass(frozen=True, slots=True)
class MeasuredFolder:
    """A folder of rows, one file per model and benchmark.

    Parameters
    ----------
    path : Path
        The folder; see :meth:`make`.
    included : Path or None
        Another one, which is only read: rows that came with the package.
    """

    path: Path
    included: Path | None = None

    def rows(self) -> tuple[Evaluated, ...]:
        """Return all rows that can be read, in the order of :func:`by_size`."""
        names = {path.name for folder in self._folders() for path in folder.glob("*.json")}
        rows = (self.row(name.removesuffix(".json")) for name in sorted(names))
        return by_size(row for row in rows if row is not None)

    def row(self, key: str) -> Evaluated | None:
        """Return the row of a key, or None if it is not there or cannot be read."""
        for folder in self._folders():
            row = _load(folder / f"{key}.json")
            if row is not None:
                return row
        return None

    def save(self, key: str, row: Evaluated) -> None:
        """Keep a row, atomically."""
        content = {"format": _FORMAT, **asdict(row)}
        # Hundreds of sums need no line each.
        samples = json.dumps(content.pop("samples"))
        text = json.dumps(content, indent=2).removesuffix("\n}")
        text += f',\n  "samples": {samples}\n}}\n'
        write_text_atomically(self.path / f"{key}.json", text)

    def make(self) -> None:
        """Make the folder, before anything is measured for it.

        Raises
        ------
        EvaluationError
            If it cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EvaluationError(
                f"figures cannot be kept in {self.path} ({error.strerror})",
                expected="a folder that can be written",
            ) from error

    def scores_files(self, key: str) -> tuple[Path, ...]:
        """Return where the scores of a source may lie; the first is the one to write."""
        return tuple(folder / f"source-{key}.safetensors" for folder in self._folders())

    def _folders(self) -> tuple[Path, ...]:
        return (self.path,) if self.included is None else (self.path, self.included)


_ROW = TypeAdapter(Evaluated)


def _load(path: Path) -> Evaluated | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return _ROW.validate_python(content) if content["format"] == _FORMAT else None
    except (OSError, ValueError, KeyError, TypeError, EvaluationError):
        return None
