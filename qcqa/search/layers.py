"""Stage 1 of every method: each layer searched by itself, in parallel processes, resumable."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qcqa.front import LayerCandidates
from qcqa.search.config import SearchSettings
from qcqa.search.finished import load_finished, save_finished

FloatArray = NDArray[np.float64]

#: Searches one layer: a pure function of its Gram (H, H), the settings and the layer's number, at
#: the top level of a module so that another process can find it.
LayerSearch = Callable[[FloatArray, SearchSettings, int], LayerCandidates]
OnLayer = Callable[[int, LayerCandidates, int], None]

#: Work below this is done before other processes have started.
WORTH_PROCESSES_SECONDS = 4.0

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def layer_rng(settings: SearchSettings, layer: int, stage: int = 1) -> np.random.Generator:
    """Return the random generator of one layer: the same whoever searches it, and when."""
    return np.random.default_rng(np.random.SeedSequence(settings.seed, spawn_key=(stage, layer)))


def search_layers(
    search: LayerSearch,
    grams: Sequence[FloatArray],
    settings: SearchSettings,
    *,
    seconds_per_layer: float,
    on_layer: OnLayer,
    scratch: Path | None = None,
) -> tuple[LayerCandidates, ...]:
    """Return every layer's candidates; the result does not depend on the number of processes.

    Other processes are spawned, so a script that calls this with several workers must guard its
    own code by ``if __name__ == "__main__"``.

    Parameters
    ----------
    search : callable
        What to do for one layer.
    grams : sequence of L arrays, shape (H, H)
        Gram matrix of each layer.
    settings : SearchSettings
        Seed, number of workers and what ``search`` reads.
    seconds_per_layer : float
        A guess, for whether other processes are worth their start.
    on_layer : callable
        Called with a layer's number, its candidates, and how many layers are finished.
    scratch : Path, optional
        Folder in which finished layers are kept, and from which they are taken.
    """
    found: dict[int, LayerCandidates] = {}

    def finish(layer: int, candidates: LayerCandidates) -> None:
        found[layer] = candidates
        on_layer(layer, candidates, len(found))

    unfinished = []
    for layer, gram in enumerate(grams):
        kept = load_finished(scratch, search, gram, settings, layer) if scratch else None
        if kept is None:
            unfinished.append(layer)
        else:
            finish(layer, kept)

    workers = min(settings.workers or os.cpu_count() or 1, len(unfinished))
    if seconds_per_layer * len(unfinished) < WORTH_PROCESSES_SECONDS:
        workers = min(workers, 1)
    results = _in_turn if workers <= 1 else _in_processes
    for layer, candidates in results(search, grams, settings, unfinished, workers):
        if scratch:
            save_finished(scratch, search, grams[layer], settings, layer, candidates)
        finish(layer, candidates)
    return tuple(found[layer] for layer in range(len(grams)))


def _in_turn(
    search: LayerSearch,
    grams: Sequence[FloatArray],
    settings: SearchSettings,
    layers: Sequence[int],
    _workers: int,
) -> Iterator[tuple[int, LayerCandidates]]:
    for layer in layers:
        yield layer, search(grams[layer], settings, layer)


def _in_processes(
    search: LayerSearch,
    grams: Sequence[FloatArray],
    settings: SearchSettings,
    layers: Sequence[int],
    workers: int,
) -> Iterator[tuple[int, LayerCandidates]]:
    """Yield layers as they are finished.

    Processes are spawned: a fork of a process that has threads, as BLAS and the dashboard do, may
    hang.
    """
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(workers, context, initializer=_end_with_parent)
    try:
        with _one_thread_per_process():
            running: dict[Future[LayerCandidates], int] = {
                executor.submit(search, grams[layer], settings, layer): layer for layer in layers
            }
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), future.result()
    except BaseException:
        # Whoever stops early does not wait for the layers at work: a resume searches them again.
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        executor.shutdown(cancel_futures=True)


@contextmanager
def _one_thread_per_process() -> Iterator[None]:
    """Let processes that start meanwhile use one BLAS thread each: the layers fill the cores."""
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
