"""The error that Grams state is the error that the fit makes, on weights and on data."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from qcqa.reduce.groups.subspace.free import FreeGram
from qcqa.reduce.groups.subspace.layer import layer_subspaces

MakeLayer = Callable[..., Any]
GROUP = (0, 2, 3)


def stated(grams: Any, group: tuple[int, ...] = GROUP) -> float:
    return sum(gram.errors(np.array([group]))[0] for gram in grams.grams)


def images(fit: Any, heads: np.ndarray) -> np.ndarray:
    return fit.basis @ fit.shared(heads[list(GROUP)])


def output_error(layer: Any, merged: np.ndarray) -> float:
    """Mean square of what the output projection makes of the values' errors."""
    error = 0.0
    for head, new in zip(GROUP, merged, strict=True):
        values = layer.inputs @ (layer.value[head] - new).T
        for query_head in (2 * head, 2 * head + 1):
            error += ((values @ layer.output[:, query_head].T) ** 2).sum(axis=1).mean()
    return error


def logit_error(layer: Any, merged: np.ndarray, planes: Any) -> float:
    """Mean square of the logits' errors in the output's units, over pairs of inputs and all angles.

    What is the same for all keys of a query does not count, where nothing rotates.
    """
    rotated = np.array(planes, dtype=int).reshape(-1, 2)
    free = np.setdiff1d(np.arange(layer.key.shape[1]), rotated)
    error = 0.0
    for head, new in zip(GROUP, merged, strict=True):
        keys = layer.inputs @ (layer.key[head] - new).T
        for query_head in (2 * head, 2 * head + 1):
            queries = layer.inputs @ layer.query[query_head].T
            unrotated = queries[:, free] @ (keys[:, free] - keys[:, free].mean(axis=0)).T
            error += (unrotated**2).mean()
            for first, second in rotated:
                q, k = (x[:, first] + 1j * x[:, second] for x in (queries, keys))
                angles = np.exp(2j * np.pi * np.arange(8) / 8)
                logits = (angles[:, None, None] * np.outer(q.conj(), k)).real
                error += (logits**2).mean()
    return error * layer.heads.logit_worth


@pytest.mark.parametrize("kind", ["free", "half", "adjacent", "partial"])
def test_what_is_stated_is_measured_on_data(make_layer: MakeLayer, kind: str) -> None:
    layer = make_layer(kind)
    heads, grams = layer.heads, layer.heads.grams()

    values = output_error(layer, images(heads.value_fit(GROUP), layer.value))
    keys = logit_error(layer, images(heads.key_fit(GROUP), layer.key), heads.planes)

    assert values == pytest.approx(stated(grams.value), rel=1e-5)
    assert keys == pytest.approx(stated(grams.key), rel=1e-5)


def test_what_is_stated_is_measured_on_weights_alone(make_layer: MakeLayer) -> None:
    layer = make_layer("half", calibrated=False)
    merged = images(layer.heads.value_fit(GROUP), layer.value)

    error = sum(
        ((layer.output[:, query_head] @ (layer.value[head] - new)) ** 2).sum()
        for head, new in zip(GROUP, merged, strict=True)
        for query_head in (2 * head, 2 * head + 1)
    )

    assert error == pytest.approx(stated(layer.heads.grams().value), rel=1e-9)


@pytest.mark.parametrize("kind", ["free", "half", "partial"])
def test_never_more_is_lost_than_by_the_mean(make_layer: MakeLayer, kind: str) -> None:
    layer = make_layer(kind)
    grams = layer.heads.grams()
    value, key = (
        np.stack([part[list(GROUP)].mean(axis=0)] * 3) for part in (layer.value, layer.key)
    )

    assert stated(grams.value) < output_error(layer, value)
    assert stated(grams.key) < logit_error(layer, key, layer.heads.planes)


@pytest.mark.parametrize("kind", ["normed", "normed together", "clipped"])
def test_ties_state_the_error_of_their_fit(make_layer: MakeLayer, kind: str) -> None:
    layer = make_layer(kind)
    heads = layer.heads
    merged = images(heads.key_fit(GROUP), heads.key * heads.key_lengths[:, None, None])
    if heads.norm is not None:
        square = np.einsum("hae,ef,haf->h", merged, heads.moment, merged) / 6
        length = np.sqrt(square) if kind == "normed" else heads.key_lengths[list(GROUP)]
        merged = merged / length[:, None, None]
        assert kind != "normed" or np.allclose(square, square[0])
    lost = heads.key[list(GROUP)] - merged

    error = sum(
        weight * np.einsum("ae,ef,af->", rows, heads.moment, rows)
        for head, planes in zip(GROUP, lost, strict=True)
        for rows, weight in zip(
            (planes[list(one)] for one in heads.planes), heads.plane_weights[head], strict=True
        )
    )

    assert error * heads.logit_worth == pytest.approx(stated(heads.grams().key), rel=1e-6)


def test_keys_compare_with_values_whatever_the_scale_of_the_projections(
    make_layer: MakeLayer,
) -> None:
    layer = make_layer("half")
    both = [
        layer_subspaces(
            layer.query,
            layer.key,
            layer.value * scale,
            layer.output * scale,
            moment=layer.heads.moment,
            planes=((0, 3), (1, 4), (2, 5)),
        ).grams()
        for scale in (1.0, 10.0)
    ]

    ratios = [stated(grams.key) / stated(grams.value) for grams in both]

    assert ratios[0] == pytest.approx(ratios[1])


def test_large_groups_are_stated_no_better_than_they_are() -> None:
    rng = np.random.default_rng(0)
    # Spectra that fall slowly are the hard ones.
    rows = rng.standard_normal((1280, 1400)) * (1 + np.arange(1400)) ** -0.3
    flat = rows @ rows.T
    gram = FreeGram(flat.reshape(10, 128, 10, 128))
    exact = np.linalg.eigvalsh(flat)[:-128].sum()

    error = gram.errors(np.arange(10)[None])[0]

    assert exact <= error <= 1.01 * exact


def test_large_groups_are_stated_well_beside_what_dwarfs_them() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((1280, 1400)) * (1 + np.arange(1400)) ** -0.7
    rows += 3 * rng.standard_normal((1280, 4)) @ rng.standard_normal((4, 1400))
    gram = FreeGram((rows @ rows.T).astype(np.float32).reshape(10, 128, 10, 128))
    exact = np.linalg.eigvalsh(gram.gram.reshape(1280, -1).astype(np.float64))[:-128].sum()

    error = gram.errors(np.arange(10)[None])[0]

    assert exact < 1e-5 * gram.total
    assert error == pytest.approx(exact, rel=5e-3)


@pytest.mark.parametrize("rank", [0, 20, 130])
def test_large_groups_of_few_dimensions_lose_what_is_past_a_head(rank: int) -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((1280, rank))
    gram = FreeGram((rows @ rows.T).astype(np.float32).reshape(10, 128, 10, 128))
    exact = np.linalg.eigvalsh(rows @ rows.T)[:-128].clip(min=0).sum()

    error = gram.errors(np.arange(10)[None])[0]

    assert error == pytest.approx(exact, rel=1e-3, abs=1e-6 * gram.total)


@pytest.mark.parametrize("kind", ["free", "half", "partial", "normed", "clipped"])
def test_heads_and_inputs_that_are_nothing(make_layer: MakeLayer, kind: str) -> None:
    layer = make_layer(kind)
    for weights in (layer.query[:4], layer.key[1:3], layer.value[1:3], layer.output[:, :6]):
        weights[...] = 0.0
    few = layer.inputs[:4]  # far fewer than the dimensions
    heads = layer_subspaces(
        layer.query,
        layer.key,
        layer.value,
        layer.output,
        moment=few.T @ few / 4,
        planes=tuple(map(tuple, layer.heads.planes.tolist())),
        norm=layer.heads.norm,
        is_clipped=layer.heads.is_clipped,
    )
    for group in ((0, 1), (1, 2), (0, 1, 2, 3, 4)):
        for fit, stored in (
            (heads.key_fit(group), layer.key),
            (heads.value_fit(group), layer.value),
        ):
            assert np.isfinite(fit.mix).all()
            assert np.isfinite(fit.basis).all()
            assert np.isfinite(fit.shared(stored[list(group)])).all()
        for gram in heads.grams().kind("shared"):
            assert gram.errors(np.array([group]))[0] >= 0
