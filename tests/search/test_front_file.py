"""Fronts as files: all that a front knows comes back, and old files load."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from qcqa.errors import RunError
from qcqa.packaged import demo_run_folder
from qcqa.search.front import Dominated, Front, LayerCandidates, LowerBound
from qcqa.search.front_file import load_bound, load_front, save_bound, save_front


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


@pytest.fixture
def with_dominated(front):
    # Its own plans cache 6, 9 and 12 heads and have errors of 6, 3 and 0.
    return replace(front, dominated=Dominated(np.array([6, 9, 10, 12]), np.array([8, 5, 3.5, 1])))


@pytest.mark.parametrize("kept", [4, 0])
def test_dominated_plans_come_back(with_dominated, kept, tmp_path):
    asked = with_dominated.dominated
    asked = Dominated(asked.cost[:kept], asked.error[:kept])
    save_front(replace(with_dominated, dominated=asked), tmp_path)
    again = load_front(tmp_path, "best").dominated
    assert again.cost.dtype == np.int64
    np.testing.assert_array_equal(again.cost, asked.cost)
    np.testing.assert_array_equal(again.error, asked.error)


def test_a_front_is_whole_without_its_dominated_plans(with_dominated, tmp_path):
    save_front(with_dominated, tmp_path)
    (tmp_path / "best.dominated.parquet").unlink()
    again = load_front(tmp_path, "best")
    assert again.dominated is None
    np.testing.assert_array_equal(again.choices, with_dominated.choices)


def test_the_file_that_marks_a_front_as_finished_is_written_last(
    with_dominated, tmp_path, monkeypatch
):
    def fail(_table, path, **_):
        if "dominated" in path.name:
            raise OSError("disk full")
        path.touch()

    monkeypatch.setattr(pd.DataFrame, "to_parquet", fail)
    with pytest.raises(OSError, match="disk full"):
        save_front(with_dominated, tmp_path)
    assert [path.name for path in tmp_path.glob("*.parquet")] == ["best.candidates.parquet"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"error": [8, np.nan, 4, 1]}, "a number that is not finite"),
        ({"num_cached_heads": [6, np.inf, 10, 12]}, "a number that is not finite"),
        ({"num_cached_heads": [6, 9, 10, 13]}, "a plan of 13 cached heads; expected 6 to 12"),
        ({"num_cached_heads": [-1, 9, 10, 12]}, "a plan of -1 cached heads; expected 6 to 12"),
        ({"num_cached_heads": [6, 9, 10, 1e30]}, "a plan of 1e[+]30 cached heads"),
        ({"error": [8, 2.9, 3.5, 1]}, "a plan that beats the front's"),
        ({"error": ["a", "b", "c", "d"]}, "no two columns of numbers"),
        ({"error": [[1], [2], [3], [4]]}, "no two columns of numbers"),
    ],
)
def test_dominated_plans_that_cannot_be_are_refused(with_dominated, change, said, tmp_path):
    save_front(with_dominated, tmp_path)
    path = tmp_path / "best.dominated.parquet"
    pd.read_parquet(path).assign(**change).to_parquet(path, index=False)
    with pytest.raises(RunError, match=rf"best\.dominated\.parquet holds {said}") as problem:
        load_front(tmp_path, "best")
    assert "delete this file" in problem.value.one_line()
    assert "\n" not in problem.value.one_line()


@pytest.mark.parametrize("content", [b"no table", None])
def test_a_damaged_file_of_dominated_plans_is_refused(with_dominated, content, tmp_path):
    save_front(with_dominated, tmp_path)
    path = tmp_path / "best.dominated.parquet"
    if content:
        path.write_bytes(content)
    else:
        pd.DataFrame({"other": [1]}).to_parquet(path)
    with pytest.raises(RunError, match=r"best\.dominated\.parquet.*; delete this file"):
        load_front(tmp_path, "best")


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
