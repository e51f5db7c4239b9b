"""Stage 1 in processes and its resumption: the result is always the same."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from qcqa.reduce.candidates import slots_of
from qcqa.search.strategy import parallel
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.optimal import optimal_candidates
from qcqa.search.strategy.options import ExactOptions, TwoStageOptions
from qcqa.search.strategy.stage_one import search_slots, slot_rng
from qcqa.search.strategy.two_stage import arbitrary_cardinality

SETTINGS = SearchSettings(
    two_stage=TwoStageOptions(population_size=20, generations=8),
    exact=ExactOptions(restarts=1),
    seed=5,
)


@pytest.fixture
def grams(make_gram):
    return [make_gram(14, seed) for seed in range(5)]


@pytest.fixture
def search_all(make_problem):
    """Return a function that searches the slots of some layers' Grams."""

    def search_all(
        grams,
        *,
        search=arbitrary_cardinality,
        on_slot=lambda _candidates, _finished: None,
        scratch=None,
        **changes,
    ):
        settings = SETTINGS.model_copy(update=changes)
        options = settings.exact if search is optimal_candidates else settings.two_stage
        return search_slots(
            search,
            make_problem(grams),
            slots_of(len(grams), apart=settings.apart),
            settings,
            options,
            seconds_per_slot=1000.0,
            on_slot=on_slot,
            scratch=scratch,
        )

    return search_all


def _assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.labels, b.labels)
        np.testing.assert_array_equal(a.error, b.error)


@pytest.mark.parametrize("search", [arbitrary_cardinality, optimal_candidates])
def test_the_number_of_processes_does_not_change_the_result(search_all, search, grams):
    before = {name: os.environ.get(name) for name in parallel._THREAD_VARIABLES}
    alone = search_all(grams, search=search, workers=1)
    _assert_same(alone, search_all(grams, search=search, workers=2))
    assert {name: os.environ.get(name) for name in parallel._THREAD_VARIABLES} == before


def test_another_seed_is_another_result(search_all, grams):
    one, other = search_all(grams, workers=1), search_all(grams, workers=1, seed=6)
    assert any(not np.array_equal(a.error, b.error) for a, b in zip(one, other, strict=True))


def test_slots_draw_different_numbers():
    slots = [*slots_of(9, apart=False), *slots_of(9, apart=True)]
    draws = {slot_rng(SETTINGS.seed, slot, stage).random() for slot in slots for stage in (1, 2)}
    assert len(draws) == 54


def test_a_search_that_was_stopped_resumes_to_the_same_result(search_all, grams, tmp_path):
    whole = search_all(grams, workers=1)

    def stop_after_two(_candidates, finished):
        if finished == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search_all(grams, workers=1, scratch=tmp_path, on_slot=stop_after_two)
    kept = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    assert sorted(kept) == ["layer-0000-shared.json", "layer-0001-shared.json"]

    finished = []
    again = search_all(grams, workers=2, scratch=tmp_path, on_slot=lambda _, n: finished.append(n))
    _assert_same(whole, again)
    assert finished == [1, 2, 3, 4, 5]
    assert all((tmp_path / name).stat().st_mtime_ns == when for name, when in kept.items())
    assert len(list(tmp_path.iterdir())) == 5


def test_layers_of_another_search_or_damaged_ones_are_searched_anew(search_all, grams, tmp_path):
    search_all(grams, workers=1, scratch=tmp_path, seed=6)
    (tmp_path / "layer-0001-shared.json").write_text("{ half of a")
    (tmp_path / "layer-0002-shared.json").write_text(json.dumps({"of": "something"}))
    (tmp_path / "layer-0003-shared.json").write_text("[]")
    _assert_same(search_all(grams, workers=1), search_all(grams, workers=1, scratch=tmp_path))
    # and the number of workers makes it no other search
    kept = (tmp_path / "layer-0000-shared.json").stat().st_mtime_ns
    search_all(grams, workers=2, scratch=tmp_path)
    assert (tmp_path / "layer-0000-shared.json").stat().st_mtime_ns == kept


def test_an_error_in_a_layer_reaches_the_caller(search_all, grams):
    broken = [*grams[:2], np.full((14, 14), np.nan)[:, :3]]
    with pytest.raises(ValueError, match=r"operand|shape|broadcast"):
        search_all(broken, workers=2)


_ENDLESS = """
import multiprocessing, sys, time
from pathlib import Path
from concurrent.futures import ProcessPoolExecutor
from qcqa.search.strategy.parallel import _end_with_parent

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, context, initializer=_end_with_parent) as pool:
        for _ in range(2):
            pool.submit(time.sleep, 600)
        while len(multiprocessing.active_children()) < 2:
            time.sleep(0.05)
        time.sleep(1)
        pids = [child.pid for child in multiprocessing.active_children()]
        print(*pids, flush=True)
        time.sleep(600)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX")
def test_processes_end_when_their_parent_is_killed(tmp_path):
    script = tmp_path / "endless.py"
    script.write_text(_ENDLESS)
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True
    ) as parent:
        children = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(children) == 2
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 20
    while any(map(_is_running, children)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(_is_running, children))


def _is_running(pid):
    """Tell whether a process runs; one that waits to be reaped does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return sys.platform == "darwin"
