"""Parts that are run one after another: each is guarded, and none begins that would not fit."""

import signal
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Literal

State = Literal["passed", "failed", "skipped", "not applicable"]

#: Of an error's message, so many characters are one line.
_LINE = 200


@dataclass(frozen=True)
class Row:
    """One thing that was measured.

    Parameters
    ----------
    what : str
        What it is, within its part.
    state : State
        Whether it is as it must be.
    figure : str
        For people.
    values : mapping of str to number
        The same for programs; units in the names.
    """

    what: str
    state: State
    figure: str
    values: Mapping[str, float] = field(default_factory=dict)


def checked(what: str, passed: bool, figure: str, **values: float) -> Row:
    """Return a row that passed or failed."""
    return Row(what, "passed" if passed else "failed", figure, values)


@dataclass(frozen=True)
class Part:
    """Something to measure.

    Parameters
    ----------
    name : str
        What the table calls it.
    seconds : float
        What it takes, generously: it does not begin with less time left.
    run : callable
        Yields its rows as it finds them.
    """

    name: str
    seconds: float
    run: Callable[[], Iterator[Row]]


@dataclass(frozen=True)
class Outcome:
    """What came of a part: its rows, and the error that ended it early."""

    name: str
    state: State
    seconds: float
    rows: tuple[Row, ...]
    error: str | None = None
    trace: str | None = None


class OutOfTimeError(BaseException):
    """Ends a part; not an ``Exception``, so that no library takes it for one of its own."""


def run_parts(
    parts: Iterable[Part], *, seconds: float, on_row: Callable[[str, Row], None]
) -> Iterator[Outcome]:
    """Run parts in order and yield what came of each.

    Parameters
    ----------
    parts : iterable of Part
        In the order of their worth: what is last is skipped first.
    seconds : float
        For all of them together; a part that is running then is ended, and has failed.
    on_row : callable
        Called with a part's name and each row when it is there.
    """
    stop = perf_counter() + seconds
    for part in parts:
        left = stop - perf_counter()
        if left < part.seconds:
            figure = f"needs {part.seconds:.0f} s, {max(left, 0):.0f} s are left"
            row = Row("", "skipped", figure)
            on_row(part.name, row)
            yield Outcome(part.name, "skipped", 0.0, (row,))
        else:
            yield _outcome(part, left, on_row)


def _outcome(part: Part, seconds: float, on_row: Callable[[str, Row], None]) -> Outcome:
    started = perf_counter()
    rows: list[Row] = []
    error = trace = None
    try:
        with _at_most(seconds):
            for row in part.run():
                rows.append(row)
                on_row(part.name, row)
    except OutOfTimeError:
        error = f"ended after {perf_counter() - started:.0f} s: no time is left"
    except Exception as raised:  # whatever it is, the other parts go on
        message = " ".join(f"{type(raised).__name__}: {raised}".split())
        error, trace = message[:_LINE], traceback.format_exc()
    if error is not None:
        rows.append(Row("", "failed", error))
        on_row(part.name, rows[-1])
    return Outcome(
        part.name, _state(rows), perf_counter() - started, tuple(rows), error=error, trace=trace
    )


def _state(rows: Sequence[Row]) -> State:
    states = {row.state for row in rows}
    if "failed" in states or not states:
        return "failed"
    return "passed" if "passed" in states else "not applicable"


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """End what is within after some time."""

    def end(*_signal_and_frame: object) -> None:
        raise OutOfTimeError

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
