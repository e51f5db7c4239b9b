"""Fronts as files: all that a front knows comes back, and old files load."""

import numpy as np
import pandas as pd
import pytest

from qcqa.packaged import demo_run_folder
from qcqa.search.front import Front, LayerCandidates, LowerBound
from qcqa.search.front_file import load_bound, load_front, save_bound, save_front, saved_methods


@pytest.fixture
def front():
    layer = LayerCandidates(
        key_labels=np.array([[0, 0, 0], [0, 1, 2]]),
        value_labels=np.array([[0, 0, 1], [0, 1, 2]]),
        error=np.array([3, 0.0]),
    )
    return Front(
        "best",
        (layer, layer),
        np.array([[0, 0], [1, 0], [1, 1]]),
        fitness="output-error",
        total=7.5,
        merge="svd",
        refit=True,
        apart=True,
    )


def test_a_front_comes_back_with_all_that_it_knows(front, tmp_path):
    save_front(front, tmp_path)
    again = load_front(tmp_path, "best")
    for name in ("method", "fitness", "total", "merge", "refit", "apart"):
        assert getattr(again, name) == getattr(front, name)
    np.testing.assert_array_equal(again.choices, front.choices)
    np.testing.assert_array_equal(again.error, front.error)
    assert again.groupings(0) == front.groupings(0)


def test_a_front_without_terms_is_of_the_first_release(front, tmp_path):
    save_front(front, tmp_path)
    path = tmp_path / "best.plans.parquet"
    table = pd.read_parquet(path)
    table.attrs = {}
    table.to_parquet(path, index=False)
    again = load_front(tmp_path, "best")
    assert (again.fitness, again.total, again.merge) == ("wse", None, "mean")
    assert (again.refit, again.apart) == (False, False)


def test_a_file_of_an_earlier_release_beside_a_front_is_passed_over(front, tmp_path):
    save_front(front, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    # Such a file held plans that the search had weighed and dropped.
    (tmp_path / "best.dominated.parquet").write_bytes(b"no table")
    assert saved_methods(tmp_path) == ["best"]
    np.testing.assert_array_equal(load_front(tmp_path, "best").choices, front.choices)


def test_the_file_that_marks_a_front_as_finished_is_written_last(front, tmp_path, monkeypatch):
    def fail(_table, path, **_):
        if "plans" in path.name:
            raise OSError("disk full")
        path.touch()

    monkeypatch.setattr(pd.DataFrame, "to_parquet", fail)
    with pytest.raises(OSError, match="disk full"):
        save_front(front, tmp_path)
    assert [path.name for path in tmp_path.glob("*.parquet")] == ["best.candidates.parquet"]


def test_a_bound_comes_back(tmp_path):
    bound = LowerBound(np.array([2, 4]), np.array([1.0, 0.0]), fitness="output-error", apart=True)
    save_bound(bound, tmp_path / "bound.parquet")
    again = load_bound(tmp_path / "bound.parquet")
    assert (again.fitness, again.apart) == ("output-error", True)
    assert again.at(3) == 1


def test_the_run_that_ships_with_the_package_loads():
    folder = demo_run_folder() / "fronts"
    assert load_front(folder, "optimal").fitness == "wse"
    assert not load_bound(folder / "lower_bound.parquet").apart
