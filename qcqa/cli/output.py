"""What commands print: tables for people, JSON for programs, progress on standard error."""

import codecs
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from rich import progress as bars
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from qcqa.progress import OnProgress

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]

console = Console()
_progress_console = Console(stderr=True)

#: What stands for letters that an encoding lacks; of others their number does.
_PLAIN = {
    "\N{MINUS SIGN}": "-",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{HORIZONTAL ELLIPSIS}": "...",
    "\N{EM DASH}": "-",
    "\N{EN DASH}": "-",
    "\N{RIGHTWARDS ARROW}": "->",
    "\N{PLUS-MINUS SIGN}": "+-",
    "\N{LESS-THAN OR EQUAL TO}": "<=",
    "\N{GREATER-THAN OR EQUAL TO}": ">=",
    "\N{ALMOST EQUAL TO}": "~",
    "\N{MIDDLE DOT}": "-",
    "\N{BULLET}": "*",
}


def print_in_any_encoding() -> None:
    """Let what the terminal's encoding lacks be printed in plain letters, on both outputs."""
    codecs.register_error("plain", _plainly)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="plain")


def _plainly(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    plain = (_PLAIN.get(letter, letter) for letter in letters)
    return "".join(text.encode("ascii", "backslashreplace").decode() for text in plain), error.end


def drop_unprinted() -> None:
    """Drop what standard output does not take: the interpreter would try again, and complain."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError), open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), sys.stdout.fileno())


def print_json(value: Any) -> None:
    """Print a JSON value, NaN as null."""
    print(json.dumps(value, indent=2, allow_nan=False))


def print_pairs(pairs: dict[str, str]) -> None:
    """Print names and values, a pair per line."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    for name, value in pairs.items():
        table.add_row(name, Text(value))
    console.print(table)


def print_table(rows: Sequence[Mapping[str, str]]) -> None:
    """Print rows of text under the names of the first row's cells."""
    table = Table(box=SIMPLE, header_style="bold", padding=(0, 1), collapse_padding=True)
    for name in rows[0]:
        # An id or a path that is cut is of no use.
        table.add_column(Text(name), overflow="fold")
    for row in rows:
        # Not as markup: people give runs any names.
        table.add_row(*map(Text, row.values()))
    console.print(table)


@contextmanager
def progress_bar() -> Iterator[OnProgress]:
    """Show the progress of a job on standard error."""
    with fraction_bar() as show:
        yield lambda progress: show(progress.stage, progress.fraction)


@contextmanager
def fraction_bar() -> Iterator[Callable[[str, float], None]]:
    """Show on standard error what is being done, and which share of all is done."""
    with bars.Progress(
        bars.SpinnerColumn(),
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.TaskProgressColumn(),
        bars.TimeElapsedColumn(),
        console=_progress_console,
        transient=True,
        # Elsewhere than on a terminal it would leave an empty line.
        disable=not _progress_console.is_terminal,
    ) as bar:
        task = bar.add_task("starting", total=1.0)

        def show(what: str, fraction: float) -> None:
            bar.update(task, description=what, completed=fraction)

        yield show
