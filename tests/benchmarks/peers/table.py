"""Rows of a comparison: every model measured alike, and the table of them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from qcqa.measure.text import evaluate_text
from qcqa.measure.text_scores import TextScores
from qcqa.plan.metric import DIFFERENCE, metric_of
from qcqa.plan.plan import Measurement
from qcqa.reduce.stored import COST_CONTEXT
from tests.benchmarks.peers.ground import Ground, Made

_DATA = "text"
_NONE = "-"

#: A figure and its standard error.
Figure = tuple[float, float | None]


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of one peer at one KV ratio.

    Parameters
    ----------
    asked : float
        KV ratio that was asked for.
    name, label, note : str
        The peer, and what it chose, or why it has nothing.
    kv_ratio, kv_ratio_read : float or None
        Bits of the cache over those of the source: at 4096 tokens, and at the lengths of the
        windows that were read.
    minutes : float or None
        Of one core, to make the model.
    figures : dict
        By the names of :mod:`qcqa.plan.metric`, with standard errors by window.
    """

    asked: float
    name: str
    label: str
    note: str
    kv_ratio: float | None = None
    kv_ratio_read: float | None = None
    minutes: float | None = None
    figures: dict[str, Figure] | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """What every model is put through.

    Parameters
    ----------
    documents : sequence of str
        The text.
    tokens : int or None
        Of it, at most.
    window_tokens : int
        Read at once.
    """

    documents: Sequence[str]
    tokens: int | None
    window_tokens: int

    def scores(self, ground: Ground, made: Made | None = None) -> TextScores:
        """Return what a model scores, or the source."""
        return evaluate_text(
            made.model if made else ground.source,
            ground.models.tokenizer,
            self.documents,
            data=_DATA,
            source=ground.judge if made else None,
            window_tokens=self.window_tokens,
            max_tokens=self.tokens,
            piece_tokens=made.piece_tokens if made else None,
        )


def figures_of(scores: TextScores, source: TextScores | None) -> dict[str, Figure]:
    """Return the figures of a model, and against its source; errors of these are paired."""
    found: list[Measurement] = [*scores.measurements()]
    found += scores.compared_with(source) if source else ()
    return {metric_of(one.metric).name: (one.value, one.standard_error) for one in found}


def kv_ratio(ground: Ground, made: Made, lengths: Sequence[int]) -> float:
    """Return the bits of the caches of some sequences over those of the source."""
    return sum(map(made.bits, lengths)) / (ground.spec.kv_bits * sum(lengths))


def measured(
    ground: Ground, test: Trial, source: TextScores, made: Made
) -> tuple[float, float, dict[str, Figure]]:
    """Return a model's KV ratio at 4096 tokens and as read, and its figures."""
    scores = test.scores(ground, made)
    counts = {}
    for window in scores.window.tolist():
        counts[window] = counts.get(window, 0) + 1
    # The first token of a window is predicted by nothing.
    lengths = [count + 1 for count in counts.values()]
    by_length = {length: made.bits(length) for length in set(lengths)}
    read = sum(by_length[length] for length in lengths) / (ground.spec.kv_bits * sum(lengths))
    return kv_ratio(ground, made, [COST_CONTEXT]), read, figures_of(scores, source)


def markdown(rows: Sequence[Row], source: dict[str, Figure]) -> str:
    """Return the table, a row a peer and KV ratio."""
    accuracy = source["accuracy"][0]
    lines = [
        "| asked | peer | KV ratio | as read | perplexity | next token | share of source's, % "
        "| KL, nats | same top, % | minutes | chosen |",
        "|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---|",
        f"| 1 | source | 1 | 1 | {source['perplexity'][0]:.2f} | {accuracy:.4f} | 100 | 0 | 100 "
        f"| {_NONE} | |",
    ]
    for row in rows:
        cells = [f"{row.asked:g}", row.label]
        if row.figures is None:
            cells += [_NONE] * 8 + [row.note]
        else:
            figures = row.figures
            change, error = figures["accuracy" + DIFFERENCE]
            perplexity = figures.get("perplexity")
            kl, same = figures["kl"], figures["same_top"]
            cells += [
                f"{row.kv_ratio:.3f}",
                f"{row.kv_ratio_read:.3f}",
                f"{perplexity[0]:.4g}" if perplexity else "beyond numbers",
                f"{figures['accuracy'][0]:.4f}",
                _with_error(100 * (1 + change / accuracy), error and 100 * error / accuracy, 1),
                _with_error(*kl, 4 if kl[0] < 0.1 else 3 if kl[0] < 1 else 2),
                f"{100 * same[0]:.1f}",
                f"{row.minutes:.1f}",
                row.note,
            ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _with_error(value: float, error: float | None, digits: int) -> str:
    return f"{value:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")


def as_json(row: Row) -> dict[str, object]:
    """Return a row as JSON values."""
    return asdict(row)
