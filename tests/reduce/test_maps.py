"""Latents and smaller heads lose what they say, no less and no more, on weights and on data."""

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcqa.errors import CheckpointError
from qcqa.reduce.choice import SiteKind
from qcqa.reduce.groups.subspace.grams import stored_spectra
from qcqa.reduce.groups.subspace.layer import LayerSubspaces
from qcqa.reduce.groups.subspace.objective import errors_of
from qcqa.reduce.head_dim.choice import HeadDim
from qcqa.reduce.head_dim.fit import fit_head_dim, head_dim_error, head_dim_of
from qcqa.reduce.latent.choice import Latent
from qcqa.reduce.latent.fit import fit_latent, latent_error, latent_of, site_spectra
from qcqa.reduce.linear_map import LinearMap
from qcqa.reduce.spectra import SiteSpectra, Spectrum

MakeLayer = Callable[..., Any]
#: Each map: of a number of elements, what is stated of it, and its fit.
ROOMS: dict[str, tuple[Callable[..., Any], Callable[..., float], Callable[..., LinearMap]]] = {
    "latent": (latent_of, latent_error, fit_latent),
    "head-dim": (head_dim_of, head_dim_error, fit_head_dim),
}
LAYERS = ("free", "half", "adjacent", "partial")
SITES: tuple[SiteKind, ...] = ("key", "value")
SIZES = (2, 7, 12, 20, 29, 30)


def applied(linear: LinearMap, rows: np.ndarray, planes: np.ndarray) -> np.ndarray:
    """Return what is read of rows (H, dh, N) that went through the cache, in plain numpy."""
    num_heads, size, _ = rows.shape
    read = np.zeros_like(rows)
    for place, (first, second) in enumerate(planes):
        states = rows[:, first] + 1j * rows[:, second]
        images = linear.plane_decode[place] @ (linear.plane_encode[place] @ states)
        read[:, first], read[:, second] = images.real, images.imag
    free = np.setdiff1d(np.arange(size), planes)
    states = rows[:, free].reshape(num_heads * len(free), rows.shape[2])
    images = linear.free_decode @ (linear.free_encode @ states)
    read[:, free] = images.reshape(num_heads, len(free), rows.shape[2])
    return read


def planes_of(layer: Any, kind: SiteKind) -> np.ndarray:
    return layer.heads.planes if kind == "key" else np.zeros((0, 2), int)


def measured(layer: Any, linear: LinearMap, kind: SiteKind) -> float:
    """Mean square of what changes in the attention's output, from data, as groups are judged."""
    planes = planes_of(layer, kind)
    heads = layer.key if kind == "key" else layer.value
    states = np.einsum("hde,ne->hdn", heads, layer.inputs)
    wrong = states - applied(linear, states, planes)
    if kind == "value":
        outputs = layer.output.reshape(20, len(heads), 2, 6)
        per_head = np.einsum("ohqd,hdn->hqon", outputs, wrong)
        return float((per_head**2).sum(axis=2).mean(axis=-1).sum())
    queries = np.einsum("hde,ne->hdn", layer.query, layer.inputs)
    free = np.setdiff1d(np.arange(6), planes)
    error = 0.0
    for query_head, query in enumerate(queries):
        lost = wrong[query_head // 2]
        centred = lost[free] - lost[free].mean(axis=1, keepdims=True)
        error += float(((query[free].T @ centred) ** 2).mean())
        for first, second in planes:
            q, k = (part[first] + 1j * part[second] for part in (query, lost))
            error += float((np.abs(q) ** 2).mean() * (np.abs(k) ** 2).mean() / 2)
    return error * layer.heads.logit_worth


@pytest.mark.parametrize(("room", "layer_kind", "site"), [*product(ROOMS, LAYERS, SITES)])
def test_what_is_stated_is_measured_on_data(
    make_layer: MakeLayer, room: str, layer_kind: str, site: SiteKind
) -> None:
    choose, state, fit = ROOMS[room]
    layer = make_layer(layer_kind)
    spectra = site_spectra(layer.heads, site)
    assert spectra.joint.total == pytest.approx(spectra.by_head.total)
    for elements in SIZES:
        choice = choose(spectra, elements)
        assert elements - 1 <= choice.width <= elements
        error = measured(layer, fit(choice, layer.heads, site), site)
        # Weights are damped by a hundred millionth.
        stated = state(spectra, choice)
        assert error == pytest.approx(stated, rel=1e-5, abs=1e-6 * spectra.joint.total)


@pytest.mark.parametrize(("room", "site"), [*product(ROOMS, SITES)])
def test_what_is_stated_is_measured_on_weights_alone(
    make_layer: MakeLayer, room: str, site: SiteKind
) -> None:
    choose, state, fit = ROOMS[room]
    layer = make_layer("partial", calibrated=False)
    heads, spectra = layer.heads, site_spectra(layer.heads, site)
    rows, planes = (heads.key if site == "key" else heads.value), planes_of(layer, site)
    free = np.setdiff1d(np.arange(6), planes)
    for elements in (3, 12, 23):
        choice = choose(spectra, elements)
        lost = rows - applied(fit(choice, heads, site), rows, planes)
        error = np.einsum(
            "hae,hab,hbe->",
            lost[:, free] if heads.spread is None else lost[:, free] @ heads.spread,
            heads.free_weights(site),
            lost[:, free],
        )
        if site == "value":
            error = np.einsum("hae,hab,hbe->", lost, heads.value_weight, lost)
        else:
            error += sum(
                (heads.plane_weights[:, place, None, None] * lost[:, list(dims)] ** 2).sum()
                for place, dims in enumerate(planes)
            )
            error *= heads.logit_worth
        assert error == pytest.approx(state(spectra, choice), rel=1e-9)


@pytest.mark.parametrize(("room", "layer_kind", "site"), [*product(ROOMS, LAYERS, SITES)])
def test_what_is_decoded_is_encoded_again_to_the_same(
    make_layer: MakeLayer, room: str, layer_kind: str, site: SiteKind
) -> None:
    choose, _, fit = ROOMS[room]
    layer = make_layer(layer_kind)
    for elements in (6, 13, 30):
        choice = choose(site_spectra(layer.heads, site), elements)
        linear = fit(choice, layer.heads, site)
        shape = choice.map_shape(5)
        assert (shape.width, len(shape.planes)) == (choice.width, len(planes_of(layer, site)))
        ranks = np.array(shape.planes, int)
        identity = (
            np.eye(max(ranks, default=0))
            * (np.arange(max(ranks, default=0)) < ranks[:, None])[:, None]
        )
        np.testing.assert_allclose(linear.plane_encode @ linear.plane_decode, identity, atol=1e-9)
        np.testing.assert_allclose(
            linear.free_encode @ linear.free_decode, np.eye(shape.free), atol=1e-9
        )


@pytest.mark.parametrize(("room", "layer_kind", "site"), [*product(ROOMS, LAYERS, SITES)])
def test_all_dimensions_are_the_identity(
    make_layer: MakeLayer, room: str, layer_kind: str, site: SiteKind
) -> None:
    choose, state, fit = ROOMS[room]
    layer = make_layer(layer_kind)
    spectra = site_spectra(layer.heads, site)
    choice = choose(spectra, 30)
    rows = layer.key if site == "key" else layer.value

    read = applied(fit(choice, layer.heads, site), rows, planes_of(layer, site))

    assert state(spectra, choice) == 0
    np.testing.assert_allclose(read, rows, atol=1e-9)


@pytest.mark.parametrize(("room", "layer_kind"), [*product(ROOMS, ("half", "partial"))])
def test_maps_of_keys_commute_with_their_rotation(
    make_layer: MakeLayer, room: str, layer_kind: str
) -> None:
    choose, _, fit = ROOMS[room]
    layer = make_layer(layer_kind)
    planes = layer.heads.planes
    linear = fit(choose(site_spectra(layer.heads, "key"), 14), layer.heads, "key")

    def rotated(states: np.ndarray) -> np.ndarray:
        turned = states.copy()
        for place, (first, second) in enumerate(planes):
            angle = 0.3 + place
            turned[:, first] = np.cos(angle) * states[:, first] - np.sin(angle) * states[:, second]
            turned[:, second] = np.sin(angle) * states[:, first] + np.cos(angle) * states[:, second]
        return turned

    states = np.random.default_rng(1).standard_normal((5, 6, 40))
    np.testing.assert_allclose(
        applied(linear, rotated(states), planes), rotated(applied(linear, states, planes))
    )


@pytest.mark.parametrize("kind", ["normed", "centred", "clipped"])
def test_no_map_passes_a_norm_or_a_clip(make_layer: MakeLayer, kind: str) -> None:
    heads: LayerSubspaces = make_layer(kind).heads
    behind = "clip" if kind == "clipped" else "norm"
    with pytest.raises(CheckpointError, match=f"keys behind a {behind}.*by heads or bits"):
        fit_latent(Latent((1, 1, 1)), heads, "key")
    with pytest.raises(CheckpointError, match=f"keys behind a {behind}"):
        fit_head_dim(HeadDim(((0,), (1,), ())), heads, "key")
    if kind == "clipped":
        with pytest.raises(CheckpointError, match="values behind a clip"):
            fit_latent(Latent(free=3), heads, "value")
    else:
        assert fit_latent(Latent(free=3), heads, "value").free_encode.shape == (3, 30)


@pytest.mark.parametrize(("layer_kind", "site"), [*product(LAYERS, SITES)])
def test_never_more_is_lost_than_by_any_groups_of_as_many_elements(
    make_layer: MakeLayer, layer_kind: str, site: SiteKind
) -> None:
    layer = make_layer(layer_kind, num_heads=4)
    heads, spectra = layer.heads, site_spectra(layer.heads, site)
    grams = heads.weighted(site)
    for labels in product(range(4), repeat=4):
        groups = [np.flatnonzero(np.array(labels) == name) for name in set(labels)]
        shared = sum(float(errors_of(grams, [tuple(group)])[0]) for group in groups)
        latent = latent_of(spectra, 6 * len(groups))
        assert latent_error(spectra, latent) <= shared + 1e-9 * spectra.joint.total


@pytest.mark.parametrize(("layer_kind", "site"), [*product(LAYERS, SITES)])
def test_smaller_heads_are_latents_of_a_kind_and_lose_no_less(
    make_layer: MakeLayer, layer_kind: str, site: SiteKind
) -> None:
    spectra = site_spectra(make_layer(layer_kind).heads, site)
    for elements in range(2, 31):
        smaller = head_dim_error(spectra, head_dim_of(spectra, elements))
        assert latent_error(spectra, latent_of(spectra, elements)) <= smaller + 1e-12


@given(
    planes=st.lists(st.lists(st.integers(0, 9), min_size=2, max_size=2), max_size=3),
    free=st.lists(st.integers(0, 9), max_size=4),
    elements=st.integers(1, 18),
)
def test_no_directions_hold_more_than_the_best_ones(
    planes: Sequence[list[int]], free: Sequence[int], elements: int
) -> None:
    spectrum = Spectrum(np.array(planes, float).reshape(-1, 2), np.array(free, float))
    kept = spectrum.best(elements)
    assert 2 * kept.planes.sum() + kept.free.sum() <= elements
    energies = [*((2, energy) for pair in planes for energy in pair), *((1, one) for one in free)]
    best = max(
        sum(energy for (_, energy), take in zip(energies, taken, strict=True) if take)
        for taken in product((False, True), repeat=len(energies))
        if sum(size for (size, _), take in zip(energies, taken, strict=True) if take) <= elements
    )
    assert spectrum.total - spectrum.error(kept) == pytest.approx(best)


@pytest.mark.parametrize("layer_kind", [*LAYERS, "normed", "clipped"])
def test_spectra_are_kept_with_grams(make_layer: MakeLayer, layer_kind: str, tmp_path: Any) -> None:
    heads = make_layer(layer_kind).heads
    heads.grams().save(tmp_path / "grams", mark="a")
    for site in SITES:
        stored = stored_spectra(tmp_path / "grams", site)
        if layer_kind == "clipped" or (layer_kind == "normed" and site == "key"):
            assert stored is None
            continue
        spectra: SiteSpectra = site_spectra(heads, site)
        assert stored is not None
        for mine, other in ((stored.joint, spectra.joint), (stored.by_head, spectra.by_head)):
            np.testing.assert_array_equal(mine.planes, other.planes)
            np.testing.assert_array_equal(mine.free, other.free)


def test_heads_without_weight_are_left_out(make_layer: MakeLayer) -> None:
    layer = make_layer("partial")
    layer.heads.key_weight[1] = 0.0
    layer.heads.value_weight[[0, 3]] = 0.0
    for site in SITES:
        spectra = site_spectra(layer.heads, site)
        for choose, _, fit in ROOMS.values():
            linear = fit(choose(spectra, 12), layer.heads, site)
            assert all(
                np.isfinite(part).all()
                for part in (
                    linear.plane_encode,
                    linear.plane_decode,
                    linear.free_encode,
                    linear.free_decode,
                )
            )
