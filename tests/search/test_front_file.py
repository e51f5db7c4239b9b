"""Fronts as files: all that a front knows comes back, and old files load."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from qcqa.model.inspect import inspect_model
from qcqa.packaged import demo_run_folder
from qcqa.reduce.bits.choice import Bits
from qcqa.reduce.bits.options import BitsOptions
from qcqa.reduce.choice import LayerChoice
from qcqa.search.front import Front, LayerCandidates, LowerBound
from qcqa.search.front_file import load_bound, load_front, save_bound, save_front, saved_methods


@pytest.fixture
def spec(random_grams):
    return replace(random_grams.spec, num_layers=2, num_query_heads=3, num_kv_heads=3)


@pytest.fixture
def front(layer_of):
    layer = layer_of([[0, 0, 0], [0, 1, 2]], [[0, 0, 1], [0, 1, 2]], [3, 0])
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


def test_a_front_comes_back_with_all_that_it_knows(front, spec, tmp_path):
    save_front(front, tmp_path)
    again = load_front(tmp_path, "best", spec)
    for name in ("method", "fitness", "total", "merge", "refit", "apart"):
        assert getattr(again, name) == getattr(front, name)
    np.testing.assert_array_equal(again.choices, front.choices)
    np.testing.assert_array_equal(again.error, front.error)
    np.testing.assert_array_equal(again.cost, front.cost)
    for plan in range(3):
        assert again.plan_layers(plan) == front.plan_layers(plan)


def test_bits_come_back_with_the_heads_that_share(front, spec, tmp_path):
    bits = LayerChoice(key=(Bits.uniform(4, BitsOptions(), "key", spec),))
    stairs = Bits.staircase(((8, 128), (2, None)), BitsOptions(), "value", spec)
    both = LayerChoice(key=front.layers[0].choices[0].key + bits.key, value=(stairs,))
    layer = LayerCandidates(3, (bits, both), np.array([300, 90]), np.array([0.5, 2.0]))
    written = replace(front, layers=(layer, layer), choices=np.array([[1, 1], [0, 1]]))
    save_front(written, tmp_path)
    again = load_front(tmp_path, "best", spec)
    assert again.plan_layers(1) == (bits, both)
    assert again.cost.tolist() == [180, 390]
    assert again.stored_heads[0].tolist() == [[1, 1], [3, 1]]


def test_a_front_without_terms_is_of_the_first_release(front, spec, tmp_path):
    save_front(front, tmp_path)
    path = tmp_path / "best.plans.parquet"
    table = pd.read_parquet(path)
    table.attrs = {}
    table.to_parquet(path, index=False)
    again = load_front(tmp_path, "best", spec)
    assert (again.fitness, again.total, again.merge) == ("wse", None, "mean")
    assert (again.refit, again.apart) == (False, False)


def test_a_file_of_an_earlier_release_beside_a_front_is_passed_over(front, spec, tmp_path):
    save_front(front, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    # Such a file held plans that the search had weighed and dropped.
    (tmp_path / "best.dominated.parquet").write_bytes(b"no table")
    assert saved_methods(tmp_path) == {"best": "best"}
    np.testing.assert_array_equal(load_front(tmp_path, "best", spec).choices, front.choices)


def test_the_file_that_marks_a_front_as_finished_is_written_last(front, tmp_path, monkeypatch):
    def fail(_table, path, **_):
        if "plans" in path.name:
            raise OSError("disk full")
        path.touch()

    monkeypatch.setattr(pd.DataFrame, "to_parquet", fail)
    with pytest.raises(OSError, match="disk full"):
        save_front(front, tmp_path)
    assert [path.name for path in tmp_path.glob("*.parquet")] == ["best.candidates.parquet"]


def test_a_bound_comes_back(spec, tmp_path):
    bound = LowerBound(np.array([2, 4]), np.array([1.0, 0.0]), fitness="output-error", apart=True)
    save_bound(bound, tmp_path / "bound.parquet")
    again = load_bound(tmp_path / "bound.parquet", spec)
    assert (again.fitness, again.apart) == ("output-error", True)
    assert again.at(3) == 1


def test_the_run_that_ships_with_the_package_loads():
    folder, spec = demo_run_folder() / "fronts", inspect_model("demo").spec
    assert load_front(folder, "optimal", spec).fitness == "wse"
    assert not load_bound(folder / "lower_bound.parquet", spec).apart


@pytest.fixture
def earlier(front, spec, tmp_path):
    """A front and a bound as releases wrote them that knew groups of heads alone."""
    save_front(front, tmp_path)
    save_bound(LowerBound(front.cost, front.error), tmp_path / "bound.parquet")
    for path in tmp_path.glob("*.parquet"):
        table = pd.read_parquet(path)
        table["num_cached_heads"] = table.pop("bits_per_token") // spec.head_bits
        if "key" in table:
            layers = [layer for one in front.layers for layer in one.pictures]
            table["key_labels"] = [list(layer.key.reads) for layer in layers]
            table["value_labels"] = [list(layer.value.reads) for layer in layers]
            table = table.drop(columns=["key", "value"])
        table.to_parquet(path, index=False)
    return tmp_path


def test_costs_of_earlier_releases_become_bits(front, spec, earlier):
    again = load_front(earlier, "best", spec)
    np.testing.assert_array_equal(again.cost, front.cost)
    np.testing.assert_array_equal(again.error, front.error)
    for plan in range(3):
        assert again.plan_layers(plan) == front.plan_layers(plan)
    assert (again.fitness, again.total, again.merge) == ("output-error", 7.5, "svd")
    bound = load_bound(earlier / "bound.parquet", spec)
    assert bound.cost.tolist() == front.cost.tolist()
