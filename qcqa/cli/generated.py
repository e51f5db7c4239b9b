"""Generated texts on the terminal, as they come, and as JSON."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console

from qcqa.charts.quality.generated import difference_text, figures_lines
from qcqa.cli.output import console
from qcqa.measure.generated import (
    GeneratedText,
    GenerationEvent,
    GenerationProgress,
    TextBegan,
    TextEnded,
    TokenCame,
    texts_of,
)
from qcqa.progress import Progress

_on_stderr = Console(stderr=True)


class TextPrinter:
    """Prints a generation while it goes on: give it to whatever reports the progress."""

    def __init__(self) -> None:
        self._events: list[GenerationEvent] = []
        self._stage = ""

    def __call__(self, progress: Progress) -> None:
        """Print what has just come."""
        event = progress.generated if isinstance(progress, GenerationProgress) else None
        if event is not None:
            self._events.append(event)
        match event:
            case None:
                # A refit takes minutes.
                if progress.stage != self._stage:
                    _on_stderr.print(f"{progress.stage} \N{HORIZONTAL ELLIPSIS}", style="dim")
            case TextBegan():
                console.rule(f"{event.label}, KV ratio {event.kv_ratio:.4g}", align="left")
            case TokenCame():
                sys.stdout.write(event.text)
                sys.stdout.flush()
            case TextEnded():
                source, *_ = texts = texts_of(self._events)
                _print_figures(texts[event.model], source)
        self._stage = progress.stage


def print_texts(prompt: str, texts: Sequence[GeneratedText]) -> None:
    """Print a generation that was made before."""
    console.print(f"{prompt or '(no prompt)'}\n", style="dim", markup=False, highlight=False)
    for text in texts:
        console.rule(f"{text.label}, KV ratio {text.kv_ratio:.4g}", align="left")
        sys.stdout.write(text.text)
        _print_figures(text, texts[0])


def texts_json(texts: Sequence[GeneratedText]) -> list[dict[str, Any]]:
    """Return texts as JSON."""
    rows = []
    for text in texts:
        row = asdict(text)
        del row["pieces"]
        rate = text.figures.tokens_per_second if text.figures else None
        same = None if text is texts[0] else text.differs_at(texts[0])
        rows.append({**row, "text": text.text, "tokens_per_second": rate, "differs_at": same})
    return rows


def _print_figures(text: GeneratedText, source: GeneratedText) -> None:
    lines = figures_lines(text, source)
    if text is not source:
        lines.append(difference_text(text, source))
    sys.stdout.write("\n")
    console.print("; ".join(lines) + "\n", style="dim", highlight=False)
