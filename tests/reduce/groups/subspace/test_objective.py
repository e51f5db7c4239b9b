"""The fitness ``output-error`` keeps to what a search expects of an objective."""

import pickle
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from qcqa.errors import CheckpointError
from qcqa.reduce.groups.grouping import Grouping
from qcqa.reduce.groups.objective import Objective
from qcqa.reduce.groups.search.exact import TabulatedObjective
from qcqa.reduce.groups.subspace.grams import are_grams_of, stored_objective
from qcqa.reduce.groups.wse import population_wse
from qcqa.reduce.terms import Kind

MakeLayer = Callable[..., Any]
LAYERS = ["free", "half", "partial", "normed", "normed together", "centred", "clipped"]
KINDS = get_args(Kind)


@pytest.fixture(params=LAYERS)
def grams(request: pytest.FixtureRequest, make_layer: MakeLayer) -> Any:
    return make_layer(request.param).heads.grams()


@pytest.mark.parametrize("kind", KINDS)
def test_errors_of_groupings(grams: Any, kind: Kind) -> None:
    objective: Objective = grams.objective(kind)
    labels = np.array([[0, 1, 2, 3, 4], [0, 0, 1, 1, 1], [3, 3, 0, 0, 0], [0, 0, 0, 0, 0]])

    errors = objective.error(labels)

    assert errors[0] == 0
    assert (errors[1:] > 0).all()
    assert errors[1] == errors[2]
    assert errors[1] == pytest.approx(objective.error_of_groups([(1, 0), (2, 3, 4)]).sum())
    assert errors.max() <= 4 * objective.total  # a norm may make a bad head worse than none
    assert objective.num_heads == 5


@pytest.mark.parametrize("kind", KINDS)
def test_the_guide_is_right_for_pairs(grams: Any, kind: Kind) -> None:
    objective: Objective = grams.objective(kind)
    pairs = list(combinations(range(5), 2))
    alone = [tuple({*range(5)} - {*pair}) for pair in pairs]
    labels = np.array(
        [
            Grouping.from_groups([pair, *((head,) for head in rest)], 5).labels
            for pair, rest in zip(pairs, alone, strict=True)
        ]
    )

    np.testing.assert_allclose(
        population_wse(objective.gram, labels), objective.error_of_groups(pairs), rtol=1e-9
    )
    assert np.trace(objective.gram) == pytest.approx(objective.total)


@pytest.mark.parametrize("kind", KINDS)
def test_no_grouping_is_below_the_bound(grams: Any, kind: Kind) -> None:
    objective = grams.objective(kind)

    bound, optimum = objective.bound(), TabulatedObjective.of(objective).bound()

    assert (bound >= 0).all()
    assert bound[-1] == 0
    assert (np.diff(bound) <= 0).all()
    assert (bound <= optimum * (1 + 1e-9)).all()
    assert bound[0] > 0


def test_stored_grams_state_the_same(grams: Any, tmp_path: Path) -> None:
    path = tmp_path / "layer-0.safetensors"
    grams.save(path, mark="this model and text")
    groups = [(0, 1), (2, 3, 4), (0, 1, 2, 3, 4)]

    for kind in KINDS:
        objective = grams.objective(kind)
        stored = pickle.loads(pickle.dumps(stored_objective(path, kind)))

        np.testing.assert_allclose(
            stored.error_of_groups(groups), objective.error_of_groups(groups), rtol=1e-4
        )
        np.testing.assert_allclose(stored.bound(), objective.bound(), atol=1e-4 * objective.total)
        np.testing.assert_array_equal(stored.gram, objective.gram)
        assert len(pickle.dumps(stored)) < 1000  # neither Grams nor errors travel


def test_grams_know_of_what_they_are(grams: Any, tmp_path: Path) -> None:
    path = tmp_path / "layer-0.safetensors"
    assert not are_grams_of(path, "one text")
    grams.save(path, mark="one text")
    assert are_grams_of(path, "one text")
    assert not are_grams_of(path, "another text")
    path.write_bytes(path.read_bytes()[:40])
    assert not are_grams_of(path, "one text")


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "layer-0.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"layer-0.safetensors is damaged: it is no safe"):
        stored_objective(path, "key")
