"""What was measured on one model, and by which benchmark: a row of every table of accuracy."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Self

from qcqa.measure.benchmark import Benchmark
from qcqa.measure.samples import Samples
from qcqa.model.spec import ModelSpec
from qcqa.plan.metric import DIFFERENCE, OF_TEXTS, data_of, metric_of
from qcqa.plan.plan import Measurement, Plan

#: What can be deleted of a row by itself: ``text``, ``speed``, ``task`` and its name; ``tasks``,
#: whose figures bear other names than theirs, so that nobody can tell them apart.
PartName = str

#: A cache that was larger by more where it was measured says little of the plan.
MOST_INFLATION = 1.25


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One model's figures.

    Parameters
    ----------
    method : str
        Method of the plan; ``mha`` for the source.
    merge : str
        How its shared heads were computed; ``none`` for the source.
    kv_bits : int
        Bits of the KV cache per token.
    kv_ratio : float
        KV-cache bytes over those of the source.
    kv_bytes_per_token : int
        Of the KV cache.
    wse, relative_wse : float
        Weight-sharing error of the plan.
    device, dtype : str
        Where the model ran, and in which type it was asked to run.
    plan_digest : str
        :attr:`Plan.digest` of the plan; empty for the source.
    benchmark : Benchmark
        What was measured.
    measured : tuple of Measurement
        The figures, and for plans their differences from the source.
    samples : tuple of Samples
        What makes them comparable with those of another plan; rows of earlier versions have none.
    reductions : tuple of str
        What the plan uses; see :mod:`qcqa.reduce.registry`.
    piece_tokens : int or None
        Tokens of texts and tasks that the model read at a time, through its cache; None for all in
        one call.
    read_bits : int or None
        Bits of the cache per token at the lengths of the texts that were read, where they are
        others than ``kv_bits``: short texts are mostly in the window of the newest tokens.
    """

    method: str
    merge: str
    kv_bits: int
    kv_ratio: float
    kv_bytes_per_token: float
    wse: float
    relative_wse: float
    device: str
    dtype: str
    plan_digest: str
    benchmark: Benchmark
    measured: tuple[Measurement, ...]
    samples: tuple[Samples, ...] = ()
    #: Of earlier releases, which knew one.
    reductions: tuple[str, ...] = ("groups",)
    piece_tokens: int | None = None
    read_bits: int | None = None

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
            reductions=(),
            kv_bits=spec.kv_bits,
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
        plan: Plan,
        benchmark: Benchmark,
        measured: tuple[Measurement, ...],
        *,
        device: str,
        dtype: str,
        samples: tuple[Samples, ...] = (),
        piece_tokens: int | None = None,
        lengths: Iterable[int] = (),
    ) -> Self:
        """Return the row of a plan's model; ``lengths`` are the tokens of the texts it has read."""
        read = tuple(lengths) if plan.has_codecs else ()
        return cls(
            method=plan.method,
            merge=plan.merge if plan.shares_heads else "none",
            reductions=plan.reductions,
            kv_bits=plan.kv_bits,
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
            piece_tokens=piece_tokens,
            read_bits=plan.bits_at(read) if read else None,
        )

    @property
    def is_source(self) -> bool:
        """Whether it is the source model's row."""
        return not self.plan_digest

    @property
    def is_of_weights_alone(self) -> bool:
        """Whether its weights hold all that it lost, so that WSE speaks of it."""
        return {*self.reductions} <= {"groups"}

    @property
    def bits_measured(self) -> int:
        """Bits of the cache per token where it was measured."""
        return self.read_bits or self.kv_bits

    @property
    def is_at_size(self) -> bool:
        """Whether its cache, where it was measured, was about as large as the plan says.

        Of short texts most is in the window that stays as it is, and figures flatter the plan.
        """
        return self.bits_measured <= MOST_INFLATION * self.kv_bits

    @property
    def is_comparable(self) -> bool:
        """Whether it can be compared with another plan's row, sample by sample."""
        has_samples = self.benchmark.text is not None or bool(self.benchmark.tasks)
        return bool(self.samples) or not has_samples

    def parts(self) -> dict[PartName, Benchmark]:
        """Return what was measured, by part: a benchmark of each part alone."""
        benchmark, found = self.benchmark, dict[PartName, Benchmark]()
        if benchmark.text is not None:
            found["text"] = replace(benchmark, tasks=(), speed=None)
        for task in self._named_tasks():
            found[f"task {task}"] = Benchmark(tasks=(task,), limit=benchmark.limit)
        if rest := tuple(task for task in benchmark.tasks if f"task {task}" not in found):
            found["tasks"] = Benchmark(tasks=rest, limit=benchmark.limit)
        if benchmark.speed:
            found["speed"] = Benchmark(speed=benchmark.speed)
        return found

    def part_of(self, metric: str) -> PartName | None:
        """Return which part a figure is of; None for the bytes of the cache, which all have."""
        data, benchmark = data_of(metric), self.benchmark
        if not data:
            return None
        if benchmark.speed and data == benchmark.speed.data:
            return "speed"
        if self._is_of_text(metric):
            return "text"
        # A group's tasks begin with its name.
        of = [task for task in self._named_tasks() if data == task or data.startswith(f"{task}_")]
        return f"task {max(of, key=len)}" if of else "tasks"

    def without(self, parts: Collection[PartName]) -> "Evaluation | None":
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
        measured = tuple(
            figure for figure in self.measured if self.part_of(figure.metric) not in parts
        )
        samples = tuple(
            sample for sample in self.samples if self.part_of(sample.metric) not in parts
        )
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
        return next((figure for figure in self.measured if figure.metric == metric), None)


def by_size(rows: Iterable[Evaluation]) -> tuple[Evaluation, ...]:
    """Return rows in the order of tables: the source, then from the largest cache down."""
    return tuple(sorted(rows, key=lambda row: (not row.is_source, -row.kv_ratio, row.method)))


def figures_of_plan(plan: Plan, rows: Iterable[Evaluation]) -> tuple[Measurement, ...]:
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
