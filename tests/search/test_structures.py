"""Heads, latents and smaller heads stand in for each other at a site; bits follow any of them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from qcqa.reduce.bits.choice import Bits
from qcqa.reduce.choice import LayerChoice, Site, SiteKind
from qcqa.reduce.head_dim.choice import HeadDim
from qcqa.reduce.head_dim.fit import head_dim_error
from qcqa.reduce.latent.choice import Latent
from qcqa.reduce.latent.fit import latent_error
from qcqa.reduce.spectra import SiteSpectra, Spectrum
from qcqa.search.front import Front
from qcqa.search.methods import run_method
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.options import ExactOptions
from qcqa.search.strategy.problem import Problem, wse_problem

SETTINGS = SearchSettings(exact=ExactOptions(restarts=1), workers=1, fitness="loss")
HEADS = 8


def spectra(layer: int, kind: SiteKind) -> SiteSpectra | None:
    """Spectra of 8 heads of 6 dimensions; no map passes the keys of layer 1."""
    if (layer, kind) == (1, "key"):
        return None
    rng = np.random.default_rng(layer)
    num_planes = 2 if kind == "key" else 0
    free = rng.exponential(size=(HEADS, 6 - 2 * num_planes)) ** 3
    planes = rng.exponential(size=(num_planes, HEADS)) ** 3
    joint = Spectrum(np.sort(planes)[:, ::-1], np.sort(free.ravel())[::-1])
    return SiteSpectra(joint, Spectrum(planes, np.sort(free)[:, ::-1]))


def rise(layer: int, kind: SiteKind, site: Site) -> float:
    lost, found = 0.0, spectra(layer, kind)
    for part in site:
        if isinstance(part, Bits):
            lost += 40 / 4 ** part.rungs[0][0]
        elif isinstance(part, Latent):
            assert found is not None
            lost += latent_error(found, part) / (1 + layer)
        elif isinstance(part, HeadDim):
            assert found is not None
            lost += (0.2 if layer == 2 else 1.1) * head_dim_error(found, part)
        else:
            stored = part.reads()
            assert stored is not None
            lost += 2.0 * (HEADS - 1 - max(stored))
    return lost


def rise_of(layer: int, choice: LayerChoice) -> float:
    return rise(layer, "key", choice.key) + rise(layer, "value", choice.value)


@pytest.fixture
def problem(make_grams) -> Problem:
    def rescore(layer: int, choices: Sequence[LayerChoice]) -> np.ndarray:
        return np.array([rise_of(layer, choice) for choice in choices])

    grams = make_grams(3, HEADS)
    return Problem(
        grams,
        wse_problem(grams).make_objective,
        fitness="loss",
        rescore=rescore,
        find_spectra=spectra,
    )


def sites(front: Front) -> list[Site]:
    return [
        site for layer in front.layers for choice in layer.choices for site in choice.sites if site
    ]


def kinds(front: Front) -> set[tuple[str, ...]]:
    return {tuple(part.kind for part in site) for site in sites(front)}


@pytest.mark.parametrize(("name", "kind"), [("latents", "latent"), ("head-dims", "head-dim")])
def test_one_structure_alone(name: str, kind: str, problem: Problem) -> None:
    front = run_method(name, problem, SETTINGS)
    spec = problem.spec
    assert (front.fitness, front.merge, front.refit, front.apart) == ("loss", "svd", True, True)
    assert kinds(front) == {(kind,)}
    assert front.cost[-1] == spec.kv_bits
    assert front.error[-1] == 0
    assert front.has_codecs
    for place in (0, len(front) // 2):
        layers = front.plan_layers(place)
        assert sum(layer.bits_per_token(spec) for layer in layers) == front.cost[place]
        summed = sum(rise_of(number, layer) for number, layer in enumerate(layers))
        assert front.error[place] == pytest.approx(summed)
        for layer in layers:
            layer.require(spec)
    # Where no map passes, heads stay as they are.
    assert all(not layer.key for layer in front.layers[1].choices)
    assert any(layer.value for layer in front.layers[1].choices)


def test_all_together_never_lose_to_any_alone(problem: Problem) -> None:
    front = run_method("everything", problem, SETTINGS)
    for name in ("best", "latents", "head-dims", "bits", "heads-bits"):
        other = run_method(name, problem, SETTINGS)
        for cost, error in zip(other.cost.tolist(), other.error, strict=True):
            place = front.within(cost)
            assert place is not None
            assert front.error[place] <= error + 1e-12
    found = kinds(front)
    assert {("latent",), ("latent", "bits"), ("groups", "bits"), ("head-dim", "bits")} <= found
    for site in sites(front):
        assert [part.kind for part in site if part.kind != "bits"] in (
            [],
            ["groups"],
            ["latent"],
            ["head-dim"],
        )
    for layer in front.plan_layers(len(front) // 3):
        layer.require(problem.spec)


def test_without_spectra_nothing_is_offered_that_keeps_some_directions(problem: Problem) -> None:
    blind = replace(problem, find_spectra=None)
    front = run_method("latents", blind, SETTINGS)
    assert front.cost.tolist() == [problem.spec.kv_bits]
    both = run_method("everything", blind, SETTINGS)
    heads_and_bits = run_method("heads-bits", blind, SETTINGS)
    np.testing.assert_array_equal(both.cost, heads_and_bits.cost)
    np.testing.assert_array_equal(both.error, heads_and_bits.error)


def test_sizes_past_all_energy_are_not_measured(problem: Problem) -> None:
    def few(layer: int, kind: SiteKind) -> SiteSpectra | None:
        whole = spectra(layer, kind)
        if whole is None:
            return None
        joint = Spectrum(whole.joint.planes * 0, np.where(np.arange(48) < 20, 1.0, 0.0))
        return replace(whole, joint=joint) if kind == "value" else whole

    asked: list[int] = []

    def rescore(_layer: int, choices: Sequence[LayerChoice]) -> np.ndarray:
        asked.extend(part.width for one in choices for part in one.value)
        return np.array([1 / part.width for one in choices for part in (*one.key, *one.value)])

    run_method("latents", replace(problem, find_spectra=few, rescore=rescore), SETTINGS)
    assert asked
    assert max(asked) == 24


def test_maps_that_are_stated_to_lose_more_are_not_measured(problem: Problem) -> None:
    def joint(layer: int, kind: SiteKind) -> SiteSpectra | None:
        whole = spectra(layer, kind)
        if whole is None or layer != 2:
            return whole
        return replace(whole, joint=Spectrum(whole.joint.planes / 2, whole.joint.free / 2))

    asked: set[tuple[int, str]] = set()

    def rescore(layer: int, choices: Sequence[LayerChoice]) -> np.ndarray:
        asked.update((layer, part.kind) for one in choices for part in (*one.key, *one.value))
        return np.arange(len(choices)) + 1.0

    for name in ("everything", "head-dims"):
        asked.clear()
        run_method(name, replace(problem, find_spectra=joint, rescore=rescore), SETTINGS)
        assert (1, "head-dim") in asked
        assert ((2, "head-dim") in asked) == (name == "head-dims")
