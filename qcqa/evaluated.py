"""What was measured on one model, and by which benchmark: a row of every table of accuracy."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import TypeAdapter, model_validator

from qcqa.errors import EvaluationError
from qcqa.files import write_text_atomically
from qcqa.metric import DIFFERENCE, OF_TEXTS, data_of, metric_of
from qcqa.model_spec import ModelSpec
from qcqa.packaged import DEMO_TEXT
from qcqa.plan import GroupingPlan, Measurement
from qcqa.samples import Samples
from qcqa.user_path import user_path

#: What installs the harness that tasks need: the extra ``eval``, without this project's name.
INSTALL_HARNESS = "pip install 'lm_eval>=0.4.13,<0.4.14'"

_FORMAT = "qcqa-measured-2"

#: File of a folder that names what is hidden of the rows that came with the package.
_HIDDEN = "hidden.json"

#: Begins the names of rows of which a part was deleted.
_REST = "rest-"

#: What can be deleted of a row by itself: ``text``, ``speed``, ``task`` and its name; ``tasks``,
#: whose figures bear other names than theirs, so that nobody can tell them apart.
PartName = str


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
        At most so many windows of the text, and questions of each task.
    window_tokens : int or None
        Tokens of the text that the model reads at once.
    speed : DecodeLoad or None
        What speed and memory of generation are measured on, source and plan in turns.
    limit_of : str
        What ``limit`` counts of the text: ``windows``, or ``documents`` in what was measured
        before windows were counted.

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
    limit_of: Literal["windows", "documents"] = "windows"

    @model_validator(mode="before")
    @classmethod
    def _as_it_was_meant(cls, content: Any) -> Any:
        """Read a benchmark that was written before windows were counted, and does not say so."""
        if not isinstance(content, dict) or "limit_of" in content:
            return content
        # Every one of the demo's stories is one window, so there both are the same.
        is_same = content.get("text") == "demo" and content.get("window_tokens") is None
        is_of_documents = content.get("text") and content.get("limit") and not is_same
        return {**content, "limit_of": "documents" if is_of_documents else "windows"}

    def __post_init__(self) -> None:
        if self.text is None and not self.tasks and self.speed is None:
            raise EvaluationError(
                "nothing to measure", expected="a text, at least one task, or the decode speed"
            )

    def is_of_text(self, text: str) -> bool:
        """Return whether the text is meant by a path, or by its name in measurements."""
        if self.text is None:
            return False
        is_its_path = self.text != "demo" and user_path(text).resolve() == user_path(self.text)
        return text in (self.text, self.text_name) or is_its_path

    @property
    def text_name(self) -> str:
        """What measurements call the text; empty where there is none."""
        if self.text is None:
            return ""
        return DEMO_TEXT if self.text == "demo" else user_path(self.text).stem


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

    def parts(self) -> dict[PartName, Benchmark]:
        """Return what was measured, by part: a benchmark of each part alone."""
        own, found = self.benchmark, dict[PartName, Benchmark]()
        if own.text is not None:
            found["text"] = replace(own, tasks=(), speed=None)
        for task in self._named_tasks():
            found[f"task {task}"] = Benchmark(tasks=(task,), limit=own.limit)
        if rest := tuple(task for task in own.tasks if f"task {task}" not in found):
            found["tasks"] = Benchmark(tasks=rest, limit=own.limit)
        if own.speed:
            found["speed"] = Benchmark(speed=own.speed)
        return found

    def part_of(self, metric: str) -> PartName | None:
        """Return which part a figure is of; None for the bytes of the cache, which all have."""
        data, own = data_of(metric), self.benchmark
        if not data:
            return None
        if own.speed and data == own.speed.data:
            return "speed"
        if self._is_of_text(metric):
            return "text"
        # A group's tasks begin with its name.
        of = [one for one in self._named_tasks() if data == one or data.startswith(f"{one}_")]
        return f"task {max(of, key=len)}" if of else "tasks"

    def without(self, parts: Collection[PartName]) -> "Evaluated | None":
        """Return the row without some of its parts; None where nothing else is left."""
        every = self.parts()
        kept = {name: how for name, how in every.items() if name not in parts}
        if len(kept) == len(every):
            return self
        if not kept:
            return None
        tasks = {task for how in kept.values() for task in how.tasks}
        benchmark = replace(
            self.benchmark,
            text=self.benchmark.text if "text" in kept else None,
            # Without a text it says nothing.
            limit_of=self.benchmark.limit_of if "text" in kept else "windows",
            tasks=tuple(task for task in self.benchmark.tasks if task in tasks),
            speed=self.benchmark.speed if "speed" in kept else None,
        )
        measured = tuple(one for one in self.measured if self.part_of(one.metric) not in parts)
        samples = tuple(one for one in self.samples if self.part_of(one.metric) not in parts)
        return replace(self, benchmark=benchmark, measured=measured, samples=samples)

    def _named_tasks(self) -> list[str]:
        """Return the tasks that some figure is named after."""
        names = (figure.metric for figure in self.measured)
        data = {data_of(name) for name in names if not self._is_of_text(name)}
        return [task for task in self.benchmark.tasks if task in data]

    def _is_of_text(self, metric: str) -> bool:
        """Return whether a figure is the text's: a task may bear the name of the text's file."""
        if self.benchmark.text is None or data_of(metric) != self.benchmark.text_name:
            return False
        name = metric_of(metric).name.removesuffix(DIFFERENCE).removesuffix("_ratio")
        return name in OF_TEXTS

    def figure(self, metric: str) -> Measurement | None:
        """Return the figure of this name, or None if it was not measured."""
        return next((one for one in self.measured if one.metric == metric), None)


def by_size(rows: Iterable[Evaluated]) -> tuple[Evaluated, ...]:
    """Return rows in the order of tables: the source, then from the largest cache down."""
    return tuple(sorted(rows, key=lambda row: (not row.is_source, -row.kv_ratio, row.method)))


def figures_of_plan(plan: GroupingPlan, rows: Iterable[Evaluated]) -> tuple[Measurement, ...]:
    """Return what was measured of the very model that a plan makes, whichever method found it.

    Where several benchmarks have a figure, it is that of the most samples; and that of the source's
    own dtype before others.
    """
    figures: dict[str, Measurement] = {}
    ranks: dict[str, tuple[bool, int]] = {}
    for row in rows:
        if row.plan_digest != plan.digest:
            continue
        for figure in row.measured:
            rank = (row.dtype == "auto", figure.sample_count or 0)
            if figure.metric not in ranks or rank > ranks[figure.metric]:
                figures[figure.metric], ranks[figure.metric] = figure, rank
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
        """Return all rows that can be read, in the order of :func:`by_size`.

        What was measured here stands in for what the included rows say of the same.
        """
        own = self._own()
        said = {(_model_of(row), part) for row in own.values() for part in row.parts().items()}
        rows = list(own.values())
        for key, row in self._shown().items():
            again = [
                name for name, how in row.parts().items() if (_model_of(row), (name, how)) in said
            ]
            rest = row.without(again)
            if rest is not None and key not in own:
                rows.append(rest)
        return by_size(rows)

    def _own(self) -> dict[str, Evaluated]:
        """Return the rows that were measured here, by their keys."""
        return _load_all(self.path)

    def _shown(self) -> dict[str, Evaluated]:
        """Return the included rows by their keys, without what is hidden of them."""
        if self.included is None:
            return {}
        hidden = self._hidden()
        rows = (
            (key, row.without(hidden.get(key, ()))) for key, row in _load_all(self.included).items()
        )
        return {key: row for key, row in rows if row is not None}

    def row(self, key: str) -> Evaluated | None:
        """Return the row of a key, or None if it is not there or cannot be read."""
        row = _load(self.path / f"{key}.json")
        if row is None and self.included is not None:
            row = _load(self.included / f"{key}.json")
            return row.without(self._hidden().get(key, ())) if row else None
        return row

    def forget(self, wanted: Callable[[Evaluated], Collection[PartName]]) -> "Forgotten":
        """Delete what was measured, and hide what came with the package.

        What a row holds beside is kept.

        Parameters
        ----------
        wanted : callable
            Returns which parts of a row go.

        Raises
        ------
        EvaluationError
            If a file cannot be deleted or written.
        """
        deleted, hidden, newly = 0, self._hidden(), 0
        try:
            own = self._own()
            for key, row in list(own.items()):
                parts = row.parts().keys() & set(wanted(row))
                if not parts:
                    continue
                del own[key]
                rest = row.without(parts)
                if rest is not None and not _says_the_same(rest, own.values()):
                    # Another name: under its own it would pass for the whole benchmark.
                    name = _name_of_rest(key, rest)
                    self._write(name, rest)
                    own[name] = rest
                (self.path / f"{key}.json").unlink()
                deleted += 1
            for key, row in self._shown().items():
                if parts := row.parts().keys() & set(wanted(row)):
                    hidden[key] = sorted({*hidden.get(key, ()), *parts})
                    newly += 1
            if newly:
                self._hide(hidden)
        except OSError as error:
            raise EvaluationError(
                f"figures in {self.path} cannot be deleted ({error.strerror})",
                expected="a folder that can be written",
            ) from error
        return Forgotten(deleted, newly)

    @property
    def num_hidden(self) -> int:
        """Rows that came with the package and are hidden, whole or in part."""
        return len(self._hidden())

    def show_hidden(self) -> int:
        """Show again what was hidden of the rows that came with the package; return how many."""
        shown = self.num_hidden
        (self.path / _HIDDEN).unlink(missing_ok=True)
        return shown

    def _hidden(self) -> dict[str, list[PartName]]:
        try:
            return _HIDDEN_PARTS.validate_json((self.path / _HIDDEN).read_bytes())
        except (OSError, ValueError):
            return {}

    def _hide(self, hidden: Mapping[str, Collection[PartName]]) -> None:
        self.make()
        write_text_atomically(self.path / _HIDDEN, json.dumps(hidden, indent=2) + "\n")

    def save(self, key: str, row: Evaluated) -> None:
        """Keep a row, atomically, in place of rows that say the same under other keys.

        Keys change with the text's content and with versions of this package.
        """
        self._write(key, row)
        for other, old in self._own().items():
            if other == key or _model_of(old) != _model_of(row):
                continue
            # Other benchmarks that hold a part too were asked for as a whole, and stay.
            is_in_it = other.startswith(_REST) and old.parts().items() <= row.parts().items()
            if is_in_it or old.benchmark == row.benchmark:
                (self.path / f"{other}.json").unlink(missing_ok=True)

    def _write(self, key: str, row: Evaluated) -> None:
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


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What :meth:`MeasuredFolder.forget` did.

    Parameters
    ----------
    deleted : int
        Rows that were deleted, or lost a part.
    hidden : int
        Rows that came with the package and are hidden now, whole or in part.
    """

    deleted: int
    hidden: int


_ROW = TypeAdapter(Evaluated)
_HIDDEN_PARTS: TypeAdapter[dict[str, list[PartName]]] = TypeAdapter(dict[str, list[PartName]])


def _model_of(row: Evaluated) -> tuple[str, str, str, str]:
    """Return what tells a row's model, as it ran, from others."""
    return (row.method, row.plan_digest, row.device, row.dtype)


def _says_the_same(row: Evaluated, others: Iterable[Evaluated]) -> bool:
    told = (_model_of(row), row.benchmark)
    return any((_model_of(other), other.benchmark) == told for other in others)


def _name_of_rest(key: str, row: Evaluated) -> str:
    told = json.dumps([key, asdict(row.benchmark)], sort_keys=True)
    return _REST + sha256(told.encode()).hexdigest()[:24]


def _load_all(folder: Path) -> dict[str, Evaluated]:
    rows = ((path.stem, _load(path)) for path in sorted(folder.glob("*.json")))
    return {key: row for key, row in rows if row is not None}


def _load(path: Path) -> Evaluated | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return _ROW.validate_python(content) if content["format"] == _FORMAT else None
    except (OSError, ValueError, KeyError, TypeError, EvaluationError):
        return None
