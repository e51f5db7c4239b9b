"""Attention that is kept: whole or not at all, and not without end."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qcqa.model.spec import ModelSpec
from qcqa.plan.plan import Plan, Prediction
from qcqa.reduce.choice import LayerChoice
from qcqa.text.fitted import FittedFolder

LAYERS = [{f"layers.{layer}.q": np.full((2, 3), layer, dtype=np.float32)} for layer in range(3)]


@pytest.fixture
def plan(random_grams) -> Plan:
    spec: ModelSpec = random_grams.spec
    layers = (LayerChoice(),) * spec.num_layers
    return Plan(
        model=spec,
        fingerprint="0" * 16,
        method="best",
        merge="svd",
        layers=layers,
        predicted=Prediction(0.0, 0.0),
    )


def _other(plan: Plan, number: int) -> Plan:
    return replace(plan, fingerprint=f"{number:016}")


def test_what_was_kept_comes_back(plan: Plan, tmp_path: Path) -> None:
    folder = FittedFolder(tmp_path / "fitted")
    assert not folder.holds(plan)
    assert folder.load(plan) is None
    folder.save(plan, LAYERS)
    assert folder.holds(plan)
    assert not folder.holds(_other(plan, 1))
    kept = folder.load(plan)
    assert kept is not None
    assert [list(layer) for layer in kept] == [list(layer) for layer in LAYERS]
    assert np.array_equal(kept[2]["layers.2.q"], LAYERS[2]["layers.2.q"])


def test_what_came_with_the_package_is_read_and_left(plan: Plan, tmp_path: Path) -> None:
    included, own = tmp_path / "package", tmp_path / "own"
    FittedFolder(included).save(plan, LAYERS)
    (file,) = included.iterdir()
    before = file.stat().st_mtime_ns
    folder = FittedFolder(own, included)
    assert folder.holds(plan)
    assert folder.load(plan) is not None
    assert file.stat().st_mtime_ns == before
    folder.save(_other(plan, 1), LAYERS)
    assert [one.parent for one in (*included.iterdir(), *own.iterdir())] == [included, own]
    assert folder.holds(_other(plan, 1))


def test_a_damaged_file_is_none(plan: Plan, tmp_path: Path) -> None:
    folder = FittedFolder(tmp_path)
    folder.save(plan, LAYERS)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:20])
    assert folder.load(plan) is None


def test_the_least_recently_used_go_first(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = FittedFolder(tmp_path)
    folder.save(plan, LAYERS)
    size = next(tmp_path.iterdir()).stat().st_size
    monkeypatch.setattr("qcqa.text.fitted._MOST_BYTES", 3 * size)
    folder.save(_other(plan, 1), LAYERS)
    # Clocks of file systems are coarse.
    for file in tmp_path.iterdir():
        os.utime(file, (1, 1))
    folder.load(plan)
    for number in (2, 3):
        folder.save(_other(plan, number), LAYERS)
    assert folder.holds(plan)
    assert not folder.holds(_other(plan, 1))
    assert folder.holds(_other(plan, 3))
    monkeypatch.setattr("qcqa.text.fitted._MOST_BYTES", 3)
    folder.save(_other(plan, 4), LAYERS)
    assert not folder.holds(_other(plan, 4))


def test_a_folder_that_cannot_be_written_is_passed_over(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "fitted").write_text("in the way")
    FittedFolder(tmp_path / "fitted").save(plan, LAYERS)
    assert not FittedFolder(tmp_path / "fitted").holds(plan)
