"""Many independent pieces of work, in this process or in several; the result is the same."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

Key = TypeVar("Key")
Result = TypeVar("Result")

#: Work below this is done before other processes have started.
WORTH_PROCESSES_SECONDS = 4.0

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def in_parallel(
    function: Callable[..., Result],
    calls: Iterable[tuple[Key, tuple[Any, ...]]],
    *,
    count: int,
    seconds_each: float,
    workers: int | None,
) -> Iterator[tuple[Key, Result]]:
    """Yield the result of every call as it is finished.

    Other processes are spawned, so a script that calls this with several workers must guard its
    own code by ``if __name__ == "__main__"``.

    Parameters
    ----------
    function : callable
        At the top level of a module, so that another process can find it.
    calls : iterable of (key, arguments)
        Taken when a process is free, so that only as many arguments are in memory.
    count : int
        How many calls there are at most.
    seconds_each : float
        A guess, for whether other processes are worth their start.
    workers : int or None
        Processes, by default one per CPU.
    """
    workers = min(workers or os.cpu_count() or 1, count)
    if workers <= 1 or seconds_each * count < WORTH_PROCESSES_SECONDS:
        for key, arguments in calls:
            yield key, function(*arguments)
    else:
        yield from _in_processes(function, iter(calls), workers)


def _in_processes(
    function: Callable[..., Result], calls: Iterator[tuple[Key, tuple[Any, ...]]], workers: int
) -> Iterator[tuple[Key, Result]]:
    """Spawn processes: a fork of one that has threads, as BLAS and the dashboard do, may hang."""
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(workers, context, initializer=_end_with_parent)
    running: dict[Future[Result], Key] = {}
    try:
        while True:
            # One more than are at work, so that no process waits for its next call.
            for key, arguments in islice(calls, workers + 1 - len(running)):
                with _one_thread_per_process():
                    running[executor.submit(function, *arguments)] = key
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), future.result()
    except BaseException:
        # Whoever stops early does not wait for the calls at work: a resume makes them again.
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        executor.shutdown(cancel_futures=True)


@contextmanager
def _one_thread_per_process() -> Iterator[None]:
    """Let processes that start meanwhile use one BLAS thread each: the calls fill the cores."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _end_with_parent() -> None:
    """Have this process end when its parent does, even if that was killed."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
