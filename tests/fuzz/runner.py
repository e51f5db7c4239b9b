"""Trying mutated files, each within a budget of memory and of time."""

import resource
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import FrameType
from typing import NoReturn

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from qcqa.errors import QCQAError
from tests.fuzz.formats import Format
from tests.fuzz.mutations import damaged

#: Of one example: of the processor, as other work on the machine is no fault of a reader, and by
#: the clock, for one that waits.
_MOST_SECONDS, _MOST_WAITED = 10.0, 60.0
#: Of address space, beyond what the imported packages take: a bound on every allocation.
_MOST_BYTES = 2 * 2**30
#: Before the next seed is taken.
_EXAMPLES_OF_A_SEED = 100


class TooSlow(BaseException):
    """An example took longer than its budget."""


@dataclass
class Tally:
    """What came of one format's examples."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: dict[str, tuple[str, bytes | None]] = field(default_factory=dict)
    slowest: float = 0.0
    slowest_by: tuple[str, bytes | None] = ("", None)


def limit_memory() -> None:
    """Bound the address space of this process: an allocation beyond is a MemoryError."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + _MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def try_examples(one: Format, scratch: Path, *, until: float, number: int) -> Tally:
    """Try examples of a format until a time of the monotonic clock; ``number`` seeds them."""
    tally, rounds = Tally(), count(number)
    while time.monotonic() < until:
        _try_some(one, scratch, tally, until=until, number=next(rounds))
    return tally


def _try_some(one: Format, scratch: Path, tally: Tally, *, until: float, number: int) -> None:
    @seed(number)
    @settings(
        max_examples=_EXAMPLES_OF_A_SEED,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def examples(data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(one.mutated))
        content = data.draw(damaged(one.files[name], name))
        if time.monotonic() < until:
            _try(one, name, content, scratch, tally)

    examples()


def _try(one: Format, name: str, content: bytes | None, scratch: Path, tally: Tally) -> None:
    folder = scratch / "example"
    shutil.rmtree(folder, ignore_errors=True)
    for path, whole in one.files.items():
        what = content if path == name else whole
        if what is not None:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(what)
    started = time.process_time()
    try:
        with _time_limit():
            one.read(folder)
        tally.counts["accepted"] += 1
    except QCQAError as error:
        tally.counts["refused"] += 1
        if "\n" in error.one_line():
            tally.faults.setdefault("more than one line", (name, content))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        tally.counts["faults"] += 1
        tally.faults.setdefault(_where(error), (name, content))
    if (seconds := time.process_time() - started) > tally.slowest:
        tally.slowest, tally.slowest_by = seconds, (name, content)


def _where(error: BaseException) -> str:
    """Return the kind of an error and the last line of the project that it came through."""
    place, trace = "", error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if "/qcqa/" in code.co_filename:
            place = f"{code.co_filename.rpartition('/qcqa/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__} at {place}: {str(error)[:80]}"


@contextmanager
def _time_limit() -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        raise TooSlow

    limits = (
        (signal.SIGPROF, signal.ITIMER_PROF, _MOST_SECONDS),
        (signal.SIGALRM, signal.ITIMER_REAL, _MOST_WAITED),
    )
    previous = [signal.signal(number, stop) for number, _, _ in limits]
    for _, timer, seconds in limits:
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for (number, timer, _), before in zip(limits, previous, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, before)
