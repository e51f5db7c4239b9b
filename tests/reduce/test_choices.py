"""Choices at sites: as JSON and back, what they cost, and what is refused in one line."""

import json
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from qcqa.errors import GroupingError, QCQAError, ReductionError
from qcqa.model.spec import ModelSpec
from qcqa.reduce.bits.choice import Bits, offered_bits
from qcqa.reduce.bits.options import BitsOptions
from qcqa.reduce.choice import Choice, LayerChoice, Site, stored_at
from qcqa.reduce.facts import SiteFacts
from qcqa.reduce.groups.gram import ModelGrams
from qcqa.reduce.groups.grouping import Grouping, LayerGrouping
from qcqa.reduce.head_dim.choice import HeadDim
from qcqa.reduce.latent.choice import Latent
from qcqa.reduce.linear_map import MapShape
from qcqa.reduce.picture import SitePicture
from qcqa.reduce.registry import REDUCTIONS, site_from_json, site_to_json

PAIRS = Grouping.contiguous(8, 4)
FOUR = Bits(((4, None),))
STAIRS = Bits(((8, 4), (4, 28), (2, None)), group=64, block=64, window=128, is_rotated=True)
LATENT = Latent((2, 3, 1), 10)
SMALLER = HeadDim(((0, 2, 7), (), (1,)), (3, 0, 0, 1, 0, 0, 4, 2))
SITES: tuple[Site, ...] = (
    (), (PAIRS,), (FOUR,), (PAIRS, STAIRS), (LATENT,), (LATENT, FOUR), (SMALLER,), (SMALLER, FOUR)
)  # fmt: skip


@pytest.fixture
def spec(random_grams: ModelGrams) -> ModelSpec:
    """Return a model of 8 heads of 64 elements in bfloat16."""
    return replace(random_grams.spec, head_dim=64, hidden_size=512)


@pytest.mark.parametrize("site", SITES)
def test_a_site_comes_back_from_its_json(site: Site, spec: ModelSpec) -> None:
    written = site_to_json(site)
    assert [one["kind"] for one in written] == [choice.kind for choice in site]
    assert site_from_json(json.loads(json.dumps(written)), spec) == site


@pytest.mark.parametrize(
    ("choice", "label"),
    [
        (PAIRS, "4 of 8 heads"),
        (FOUR, "4 bits"),
        (STAIRS, "8-4-2 bits"),
        (LATENT, "22 latents"),
        (SMALLER, "18 head dims"),
    ],
)
def test_a_choice_is_known_by_its_kind_and_says_what_it_is(choice: Choice, label: str) -> None:
    assert REDUCTIONS[choice.kind].choice is type(choice)
    assert choice.label == label
    assert len({choice, replace(choice)}) == 1  # type: ignore[type-var]  # all are dataclasses


def test_a_picture_tells_who_reads_which_head_and_how_it_is_stored() -> None:
    picture = LayerChoice(key=(PAIRS, FOUR)).picture(8)
    assert picture.key == SitePicture((0, 0, 1, 1, 2, 2, 3, 3), "4 bits")
    assert picture.key.readers == ((0, 1), (2, 3), (4, 5), (6, 7))
    assert picture.value == SitePicture(tuple(range(8)))
    assert (picture.num_stored_heads, picture.shares) == (12, True)
    assert not LayerChoice(value=(FOUR,)).picture(8).shares


def test_a_choice_that_leaves_every_head_alone_is_none(spec: ModelSpec) -> None:
    alone = Grouping.singletons(8)
    assert site_from_json(site_to_json((alone, FOUR)), spec) == (FOUR,)


def _changed(choice: Choice, **changes: Any) -> dict[str, Any]:
    (content,) = site_to_json((choice,))
    return {name: told for name, told in {**content, **changes}.items() if told is not ...}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            [{"kind": "blur"}],
            "reduction of kind 'blur'; expected one of groups, latent, head-dim, bits",
        ),
        ([{"groups": [[0]]}], "reduction of kind 'None'"),
        ([_changed(FOUR), _changed(PAIRS)], "choices bits, groups at one site; expected each once"),
        ([_changed(FOUR), _changed(FOUR)], "choices bits, bits at one site"),
        ([_changed(PAIRS, groups=[[0, 1]])], "in no group"),
        ([_changed(PAIRS, groups=...)], "damaged parameters"),
        ([_changed(PAIRS, groups=7)], "damaged parameters"),
        ([_changed(FOUR, group=...)], "damaged parameters"),
        ([_changed(LATENT, free=...)], "damaged parameters"),
        ([_changed(LATENT, free=2.0)], "damaged parameters"),
        ([_changed(LATENT, planes=[True])], "damaged parameters"),
        ([_changed(LATENT, planes=3)], "damaged parameters"),
        ([_changed(LATENT, planes="12")], "damaged parameters"),
        ([_changed(LATENT, planes=[-1])], "no negative rank"),
        ([_changed(LATENT, planes=[0], free=0)], "no negative rank, and one above zero"),
        ([_changed(SMALLER, free=...)], "damaged parameters"),
        ([_changed(SMALLER, free=[1.0])], "damaged parameters"),
        ([_changed(SMALLER, planes=[[True]])], "damaged parameters"),
        ([_changed(SMALLER, planes=[3])], "damaged parameters"),
        ([_changed(SMALLER, planes="12")], "damaged parameters"),
        ([_changed(SMALLER, free=[-1])], "increasing heads, no negative number"),
        ([_changed(SMALLER, planes=[[1, 0]])], "increasing heads, no negative number"),
        ([_changed(SMALLER, planes=[[]], free=[])], "and something that is kept"),
        ([_changed(FOUR), _changed(LATENT)], "choices bits, latent at one site"),
        ([_changed(FOUR, group="many")], "damaged parameters"),
        ([_changed(FOUR, rungs=[[4]])], "damaged parameters"),
        ([_changed(FOUR, rungs=[["four", None]])], "damaged parameters"),
        ([_changed(FOUR, rungs=[[5, None]])], "5 bits; expected one of 8, 4, 3, 2"),
    ],
)
def test_what_is_no_site_is_refused_in_one_line(
    content: list[dict[str, Any]], says: str, spec: ModelSpec
) -> None:
    with pytest.raises(QCQAError) as refusal:
        site_from_json(content, spec)
    assert says in refusal.value.one_line()
    assert "\n" not in refusal.value.one_line()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"rungs": ((16, None),)}, "16 bits"),
        ({"rungs": ()}, "rungs"),
        ({"rungs": ((8, 4),)}, "rungs"),
        ({"rungs": ((8, None), (4, None))}, "rungs"),
        ({"rungs": ((8, 0), (4, None))}, "rungs"),
        ({"block": 12}, "blocks of 12 tokens; expected a multiple of 8"),
        ({"block": 0}, "blocks of 0"),
        ({"group": 0}, "groups of 0"),
        ({"window": -1}, "a window of -1"),
    ],
)
def test_bits_that_cannot_be_packed_are_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ReductionError, match=says):
        Bits(**{"rungs": ((4, None),), **wrong})


def test_a_site_refuses_what_does_not_divide_it(spec: ModelSpec) -> None:
    LayerChoice(key=(FOUR,), value=(FOUR,)).require(spec)
    with pytest.raises(ReductionError, match="groups of 32 keys in blocks of 64 tokens"):
        LayerChoice(key=(replace(FOUR, block=64),)).require(spec)
    LayerChoice(value=(replace(FOUR, block=64),)).require(spec)
    with pytest.raises(ReductionError, match="divides the 48 dimensions"):
        LayerChoice(value=(FOUR,)).require(replace(spec, head_dim=48))
    with pytest.raises(GroupingError, match="values of 4 heads"):
        LayerChoice(value=(Grouping.contiguous(4, 2),)).require(spec)


def test_values_of_odd_heads_get_groups_that_divide_them(spec: ModelSpec) -> None:
    odd = replace(spec, head_dim=48)
    assert Bits.uniform(4, BitsOptions(), "value", odd).group == 16
    assert Bits.uniform(4, BitsOptions(), "key", odd).group == 32
    for kind in ("key", "value"):
        Bits.uniform(4, BitsOptions(), kind, odd).require(kind, odd)


def test_groups_and_a_rotation_that_were_asked_for_reach_the_codec(spec: ModelSpec) -> None:
    options = BitsOptions(group=64, rotate=True)
    stairs = (8, 128), (4, 896), (2, None)
    for kind, block, rungs in (
        ("key", 64, [[8, 2], [4, 14], [2, None]]),
        ("value", 32, [[8, 4], [4, 28], [2, None]]),
    ):
        for four in offered_bits(options, SiteFacts(kind, spec, value_step=32, spectra=None)):
            four.require(kind, spec)
            assert (four.group, four.block, four.is_rotated) == (64, block, True)
        codec = Bits.staircase(stairs, options, kind, spec).codec()
        # The same tokens on every rung, whatever the length of a block.
        assert (codec["rungs"], codec["group"], codec["rotated"]) == (rungs, 64, True)
        assert site_from_json([{**codec, "kind": "bits"}], spec)[0].codec() == codec
    # Half as many scales.
    usual, asked = (Bits.uniform(4, one, "key", spec) for one in (BitsOptions(), options))
    elements = (stored_at((one,), spec).rungs[0].element_bits for one in (usual, asked))
    assert list(elements) == [Fraction(5), Fraction(9, 2)]


def test_groups_that_were_asked_for_divide_a_head_or_hold_it(spec: ModelSpec) -> None:
    options = BitsOptions(group=64)
    for head_dim, group in ((32, 32), (128, 64), (256, 64)):
        heads = replace(spec, head_dim=head_dim)
        assert Bits.uniform(4, options, "value", heads).group == group
    for head_dim in (48, 80, 96):
        heads = replace(spec, head_dim=head_dim)
        BitsOptions().require(heads)
        if head_dim > 64:
            with pytest.raises(ReductionError, match=f"groups of 64 for heads of {head_dim} d"):
                options.require(heads)


def test_heads_and_bits_cost_what_they_keep(spec: ModelSpec) -> None:
    assert LayerChoice().bits_per_token(spec) == 2 * 8 * spec.head_bits
    shared = LayerGrouping.shared(PAIRS).choice
    assert shared.bits_per_token(spec) == 2 * 4 * spec.head_bits
    # Of 4096 tokens 32 stay in 16 bits; the rest has 4, and 32 bits of scales for 32 elements.
    elements = 8 * 64
    total = elements * (32 * 16 + 4064 * 5)
    four = stored_at((FOUR,), spec)
    assert four.bits(4096) == total
    assert four.bits_per_token == -(-total // 4096)
    # Half of the heads, in as many bits.
    both = stored_at((PAIRS, FOUR), spec)
    assert both.bits(4096) == total // 2
    assert both.rungs[0].element_bits == Fraction(5)
    assert (shared.codecs(), LayerChoice(key=(PAIRS, FOUR)).codecs()[1]) == ((None, None), None)
    assert LayerChoice(key=(PAIRS, FOUR)).codecs()[0] == FOUR.codec()


def test_latents_cost_their_channels_and_bits_come_after_them(spec: ModelSpec) -> None:
    assert LATENT.map_shape(8) == MapShape((2, 3, 1), 10)
    assert stored_at((LATENT,), spec).bits(10) == 22 * 16 * 10
    both = stored_at((LATENT, FOUR), spec)
    assert both.bits(4096) == 22 * (32 * 16 + 4064 * 5)
    choice = LayerChoice(key=(LATENT, FOUR))
    assert choice.picture(8).key == SitePicture(
        tuple(range(8)), "22 latents, 4 bits", is_mapped=True
    )
    assert choice.changes_weights(8)
    assert not LayerChoice(key=(FOUR,)).changes_weights(8)


def test_values_in_bits_are_whole_groups_of_a_latent(spec: ModelSpec) -> None:
    LayerChoice(value=(Latent(free=96), FOUR)).require(spec)
    with pytest.raises(ReductionError, match="divides the 80 dimensions"):
        LayerChoice(value=(Latent(free=80), FOUR)).require(spec)
