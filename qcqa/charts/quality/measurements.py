"""Measurements in words, where they are listed or shown."""

from collections.abc import Iterable

from qcqa.charts.common.wording import counted, listed
from qcqa.charts.quality.series import short_name
from qcqa.jobs.measurements import Measured
from qcqa.measure.evaluation import Evaluation
from qcqa.plan.metric import DIFFERENCE, metric_of, text_label
from qcqa.reduce.stored import COST_CONTEXT


def measurement_title(measured: Measured) -> str:
    """Return what was measured, under which conditions, and on how many models."""
    benchmark = measured.benchmark
    if benchmark.speed:
        what = f"Speed and memory, {benchmark.speed.data}"
    elif benchmark.text:
        what = f"Text: {short_name(text_label(benchmark.text))}"
    else:
        what = f"Tasks: {short_name(', '.join(benchmark.tasks))}"
    parts = [what]
    if benchmark.limit:
        parts.append(
            f"at most {benchmark.limit:,} {benchmark.limit_of if benchmark.text else 'questions'}"
        )
    if benchmark.window_tokens:
        parts.append(f"windows of {benchmark.window_tokens:,} tokens")
    parts += [name for name in (measured.dtype, measured.device) if name not in ("auto", "cpu")]
    return f"{', '.join(parts)} ({counted(len(measured.rows), 'model')})"


def pieces_text(rows: Iterable[Evaluation]) -> str:
    """Return how models with a quantized cache read; empty where no row is of one."""
    sizes = sorted({row.piece_tokens for row in rows if row.piece_tokens})
    if not sizes:
        return ""
    tokens = listed([str(size) for size in sizes])
    return f"Where the cache is quantized, models read {tokens} tokens at a time through it."


def sizes_text(rows: Iterable[Evaluation]) -> str:
    """Return where plans stand whose sizes depend on the context; empty where there are none."""
    if not any(row.read_bits for row in rows):
        return ""
    return (
        "They stand at the sizes of their caches at the lengths of the texts that were read: short "
        f"texts are mostly in the window that stays as it is, so that plans are larger there than "
        f"at {COST_CONTEXT:,} tokens."
    )


def prompt_text(rows: Iterable[Evaluation]) -> str:
    """Return what the live cache of a row is beside its ratio; empty where they say the same."""
    if not any(row.piece_tokens for row in rows):
        return ""
    return (
        "The live KV cache is that of a prompt of about 100 tokens: where it is quantized, most of "
        f"them are in the window that stays as it is. The KV ratio is that of {COST_CONTEXT:,}."
    )


def figures_text(measured: Measured) -> str:
    """Return which figures a measurement holds, but for those that compare with the source."""
    kinds = [metric_of(name) for name in measured.metrics]
    names = dict.fromkeys(
        kind.label for kind in kinds if not kind.name.endswith((DIFFERENCE, "_ratio", "_speedup"))
    )
    return listed(list(names)) if names else "no figure"
