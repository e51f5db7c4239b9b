"""What holds of every reduction, for tiny models of every family, live and on disk.

A reduction is a row of :data:`EXAMPLES`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, DynamicCache, PreTrainedModel, StaticCache
from transformers.cache_utils import DynamicLayer

from qcqa.conversion.folder import convert_checkpoint
from qcqa.conversion.live import convert
from qcqa.conversion.loading import load
from qcqa.errors import QCQAError
from qcqa.measure.benchmark import Benchmark, DecodeLoad
from qcqa.measure.cache_bytes import cache_bytes_after
from qcqa.measure.evaluate import evaluate_plans
from qcqa.model.checkpoint import Checkpoint
from qcqa.model.opening import open_checkpoint
from qcqa.model.source_model import load_config
from qcqa.plan.file import plan_from_json, plan_to_json
from qcqa.plan.plan import Plan, Prediction
from qcqa.reduce.bits.choice import Bits, Rungs
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.groups.grouping import Grouping, site_of
from qcqa.reduce.head_dim.choice import HeadDim
from qcqa.reduce.latent.choice import Latent
from qcqa.reduce.registry import REDUCTIONS
from qcqa.text.running import cache_argument, cache_of

#: Makes the choice of a layer of a model.
Example = Callable[[Checkpoint, int], LayerChoice]

#: Tokens of a prompt, read in pieces; the sequences that are read at a time.
PIECES, BATCHES = (33, 12, 1, 1), (1, 2)
#: Blocks are small here, so that few tokens take all steps.
SMALL = {"block": 8, "window": 8}


def groups(key: Callable[[int], int], value: Callable[[int], int]) -> Example:
    """Return an example by the group of each head."""

    def make(checkpoint: Checkpoint, _layer: int) -> LayerChoice:
        heads = range(checkpoint.spec.num_kv_heads)
        sites = (site_of(Grouping.from_labels([of(head) for head in heads])) for of in (key, value))
        return LayerChoice(*sites)

    return make


def bits(key: Rungs | None, value: Rungs | None, *, is_rotated: bool = False) -> Example:
    """Return an example by the rungs of each site."""
    key_bits, value_bits = (
        () if rungs is None else (Bits(rungs, group=group, is_rotated=is_rotated, **SMALL),)
        for rungs, group in ((key, SMALL["block"]), (value, 4))
    )
    return lambda _checkpoint, _layer: LayerChoice(key_bits, value_bits)


def latents(key: float | None, value: float | None) -> Example:
    """Return an example by the share of all dimensions that each site keeps, None for all of them.

    Every other rotary plane keeps one number more; values keep whole groups of 4.
    """

    def make(checkpoint: Checkpoint, layer: int) -> LayerChoice:
        architecture, spec = checkpoint.architecture, checkpoint.spec
        heads, size = spec.num_kv_heads, spec.head_dim
        planes = len(architecture.rotary_planes(checkpoint.config, size, layer))
        still = heads * (size - 2 * planes)
        keys = values = ()
        if key is not None and architecture.norm_of_keys() is None:
            ranks = tuple(min(heads, round(heads * key) + plane % 2) for plane in range(planes))
            keys = (Latent(ranks, round(still * key)),)
        if value is not None:
            values = (Latent(free=round(heads * size * value / 4) * 4),)
        return LayerChoice(keys, values)

    return make


def head_dims(key: int | None, value: int | None) -> Example:
    """Return an example by what goes: every so many planes of a head, and other dimensions."""

    def make(checkpoint: Checkpoint, layer: int) -> LayerChoice:
        architecture, spec = checkpoint.architecture, checkpoint.spec
        heads, size = spec.num_kv_heads, spec.head_dim
        planes = len(architecture.rotary_planes(checkpoint.config, size, layer))
        still = size - 2 * planes
        keys = values = ()
        if key is not None and architecture.norm_of_keys() is None:
            kept = tuple(
                tuple(head for head in range(heads) if (head + plane) % key)
                for plane in range(planes)
            )
            free = tuple(max(1, still - 1 - head % 2) for head in range(heads)) if still else ()
            keys = (HeadDim(kept, free),)
        if value is not None:
            values = (HeadDim(free=tuple(size - 4 * (head % value > 0) for head in range(heads))),)
        return LayerChoice(keys, values)

    return make


#: By reduction; the first of each is tried with every family.
EXAMPLES: dict[str, dict[str, Example]] = {
    "groups": {
        "unlike": groups(lambda head: max(0, head - 1), lambda head: head // 3),
        "neighbours": groups(lambda head: head // 2, lambda head: head // 2),
        "keys alone": groups(lambda head: head % 2, lambda head: head),
        "values in one": groups(lambda head: head, lambda _head: 0),
    },
    "latent": {
        "uneven": latents(0.5, 0.4),
        "keys alone": latents(0.3, None),
        "values alone": latents(None, 0.6),
        "wider than a head": latents(0.9, 0.9),
    },
    "head-dim": {
        "uneven": head_dims(2, 2),
        "keys alone": head_dims(3, None),
        "values alone": head_dims(None, 3),
    },
    "bits": {
        "stairs": bits(((8, 1), (4, 2), (2, None)), ((4, None),)),
        **{str(width): bits(((width, None),), ((width, None),)) for width in (8, 4, 3, 2)},
        "rotated": bits(((4, None),), ((3, None),), is_rotated=True),
        "values alone": bits(None, ((4, None),)),
    },
}
ALL = [(name, example) for name, examples in EXAMPLES.items() for example in examples]
#: With every family: each reduction, and each below bits.
EACH = [(name, next(iter(examples)), "") for name, examples in EXAMPLES.items()]
EACH += [(name, example, "stairs") for name, example, _ in EACH if name != "bits"]


def plan_of(
    folder: Path,
    choice: Callable[[int], LayerChoice] = lambda _layer: LayerChoice(),
    *,
    among: Sequence[int] | None = None,
) -> Plan:
    """Return a plan with choices in all layers, or some; every third is left as it is."""
    checkpoint = open_checkpoint(str(folder))
    numbers = range(checkpoint.spec.num_layers)
    return Plan(
        model=checkpoint.spec,
        fingerprint=checkpoint.fingerprint(),
        method="contract",
        merge="mean",
        layers=tuple(
            choice(number) if number % 3 and (among is None or number in among) else LayerChoice()
            for number in numbers
        ),
        predicted=Prediction(wse=0.0, relative_wse=0.0),
    )


def example_of(folder: Path, reduction: str, example: str, beside: str = "") -> Plan:
    """Return the plan of an example, with or without bits beside it, where layers can have it."""
    checkpoint = open_checkpoint(str(folder))

    def choice(layer: int) -> LayerChoice:
        chosen = EXAMPLES[reduction][example](checkpoint, layer)
        if not beside:
            return chosen
        under = EXAMPLES["bits"][beside](checkpoint, layer)
        return LayerChoice(chosen.key + under.key, chosen.value + under.value)

    return plan_of(folder, choice, among=packable(folder) if any(choice(0).codecs()) else None)


def packable(folder: Path) -> list[int]:
    """Return the layers whose caches see all tokens."""
    checkpoint = open_checkpoint(str(folder))
    layers = DynamicCache(config=load_config(checkpoint)).layers
    numbers = range(checkpoint.spec.num_layers)
    return [number for number in numbers if not layers or type(layers[number]) is DynamicLayer]


def opened(folder: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")


def prompt(batch_size: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(3, 32, (batch_size, sum(PIECES)), generator=generator)


@torch.no_grad()
def logits_of(model: PreTrainedModel) -> Tensor:
    """Return the logits of two sequences, read in pieces through the model's cache."""
    ids, cache, logits = prompt(2), None, []
    for piece in ids.split(PIECES, dim=1):
        given = {} if cache is None else {cache_argument(): cache}
        output = model(piece, use_cache=True, **given)
        cache = cache_of(output)
        logits.append(output.logits)
    return torch.cat(logits, dim=1)


def require_promised(model: PreTrainedModel, plan: Plan) -> None:
    """Compare a live cache with what the plan promises, where no window drops any token."""
    window = getattr(model.config.get_text_config(), "sliding_window", None)
    lengths = [n for n in (1, 3, 17, 40, 64) if window is None or n < window]
    for tokens in lengths:
        for batch_size in BATCHES:
            held = cache_bytes_after(model, tokens, batch_size=batch_size)
            assert held == batch_size * plan.cache_bytes(tokens, dtype="float32"), tokens


def test_every_reduction_has_examples() -> None:
    assert EXAMPLES.keys() == REDUCTIONS.keys()


def test_free_choice_changes_nothing(family: str, tiny_folder: Any, tmp_path: Path) -> None:
    folder = tiny_folder(family)
    plan = plan_of(folder)
    assert plan.kv_ratio == 1
    source = logits_of(opened(folder))

    assert torch.equal(logits_of(convert(opened(folder), plan)), source)

    convert_checkpoint(str(folder), plan, tmp_path / "out")
    on_disk = load(tmp_path / "out", attn_implementation="eager")
    assert torch.equal(logits_of(on_disk), source)
    require_promised(on_disk, plan)


@pytest.mark.parametrize(("reduction", "example", "beside"), EACH)
def test_every_family(
    reduction: str, example: str, beside: str, family: str, tiny_folder: Any, tmp_path: Path
) -> None:
    folder = tiny_folder(family)
    require_contract(folder, example_of(folder, reduction, example, beside), tmp_path)


@pytest.mark.parametrize("beside", ["", "4"])
@pytest.mark.parametrize(("reduction", "example"), ALL)
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_every_example(
    name: str, reduction: str, example: str, beside: str, tiny_folder: Any, tmp_path: Path
) -> None:
    if beside and reduction == "bits":
        return
    folder = tiny_folder(name)
    plan = example_of(folder, reduction, example, beside)
    assert plan.kv_ratio < 1
    require_contract(folder, plan, tmp_path)


def require_contract(folder: Path, plan: Plan, tmp_path: Path) -> None:
    """Check what holds of a plan: its file, its bytes, and that live and disk are alike."""
    again = plan_from_json(plan_to_json(plan))
    assert again == plan
    assert again.digest == plan.digest

    live = convert(opened(folder), plan)
    require_promised(live, plan)

    convert_checkpoint(str(folder), plan, tmp_path / "out")
    on_disk = load(tmp_path / "out", attn_implementation="eager")
    require_promised(on_disk, plan)
    torch.testing.assert_close(logits_of(on_disk), logits_of(live), rtol=0, atol=1e-5)


def test_opens_without_this_library(tiny_folder: Any, tmp_path: Path) -> None:
    folder = tiny_folder("llama-gqa")
    plan = example_of(folder, "groups", "unlike", "stairs")
    convert_checkpoint(str(folder), plan, tmp_path / "out")

    trusted = AutoModelForCausalLM.from_pretrained(
        tmp_path / "out", trust_remote_code=True, attn_implementation="eager"
    )

    live = convert(opened(folder), plan)
    torch.testing.assert_close(logits_of(trusted), logits_of(live), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["mistral", "gemma2", "gpt_oss"])
def test_bits_of_layers_with_windows(name: str, tiny_folder: Any, tmp_path: Path) -> None:
    folder = tiny_folder(name)
    model, checkpoint = opened(folder), open_checkpoint(str(folder))
    spec = checkpoint.spec
    shared, four = (
        EXAMPLES[reduction][example](checkpoint, 0)
        for reduction, example in (("groups", "unlike"), ("bits", "4"))
    )
    # What could be changed comes first.
    layers = [LayerChoice()] * spec.num_layers
    slides = [number for number in range(spec.num_layers) if number not in packable(folder)]
    layers[0], layers[slides[-1]] = shared, four
    plan = replace(plan_of(folder), layers=tuple(layers))
    weights, modules = model.state_dict(), str(model)
    for convert_it in (
        lambda: convert(model, plan),
        lambda: convert_checkpoint(str(folder), plan, tmp_path / "out"),
        lambda: evaluate_plans(str(folder), [plan], Benchmark(speed=DecodeLoad(context_tokens=8))),
    ):
        with pytest.raises(QCQAError, match=f"bits in layer {slides[-1]} of") as error:
            convert_it()
        assert error.value.expected
        assert "\n" not in str(error.value)
    assert str(model) == modules
    assert all(torch.equal(weights[name], now) for name, now in model.state_dict().items())
    assert not hasattr(model.config, "qcqa")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("layer", "found"),
    [
        (LayerChoice((Grouping((0, 0, 1)),)), "keys of 3 heads in layer 1"),
        (LayerChoice(value=(Bits(((4, None),), group=16),)), "groups of 16 channels of values"),
        (LayerChoice((Bits(((4, None),), group=16),)), "groups of 16 keys in blocks of 32"),
        (LayerChoice((Latent((7, 0, 0, 0)),)), "latents of keys of ranks"),
        (LayerChoice((Latent((1, 1, 1, 1, 1)),)), "latents of keys of ranks"),
        (LayerChoice((Latent((1, 1, 1, 1), 1),)), "latents of keys of ranks"),
        (LayerChoice(value=(Latent(free=49),)), "latents of values of ranks"),
        (LayerChoice(value=(Latent((1, 1), 1),)), "ranks for 2 rotary planes"),
        (LayerChoice((Grouping((0, 0, 1, 2, 3, 4)), Latent(free=3))), "and 3 latents"),
        (LayerChoice((HeadDim(((0, 6), (), (), ())),)), "4 head dims with 4 rotary"),
        (LayerChoice((HeadDim(free=(1, 2)),)), r"with 0 rotary planes and \[1, 2\] others"),
        (LayerChoice(value=(HeadDim(((0,),)),)), "smaller value heads with 1 rotary planes"),
        (
            LayerChoice(value=(Latent(free=8), HeadDim(free=(1, 1, 1, 1, 1, 1)))),
            "8 latents and 6 head dims for values",
        ),
        (
            LayerChoice(value=(Latent(free=6), Bits(((4, None),), group=4))),
            "groups of 4 channels of values .*; expected a number that divides the 6 dimensions",
        ),
    ],
)
def test_choices_that_a_model_cannot_have(layer: LayerChoice, found: str, tiny_folder: Any) -> None:
    with pytest.raises(QCQAError, match=found) as error:
        plan_of(tiny_folder("llama"), lambda _layer: layer)
    assert error.value.expected


@pytest.mark.parametrize("rungs", [((4, 1), (4, None)), ((2, 1), (8, None)), ((5, None),), ()])
def test_bits_that_nothing_can_have(rungs: Rungs) -> None:
    with pytest.raises(QCQAError) as error:
        Bits(rungs)
    assert error.value.expected


@pytest.mark.parametrize(
    "change",
    [
        {"block": 8.0},
        {"window": "8"},
        {"group": True},
        {"rungs": [[4.5, None]]},
        {"rungs": [[8, 1.5], [4, None]]},
        {"rotated": "no"},
        {"rungs": 4},
    ],
)
def test_file_with_bits_that_are_no_numbers(change: dict[str, Any], tiny_folder: Any) -> None:
    content = plan_to_json(example_of(tiny_folder("llama"), "bits", "stairs"))
    content["layers"][1]["key"][0] |= change
    with pytest.raises(QCQAError, match="damaged parameters") as error:
        plan_from_json(content)
    assert "\n" not in str(error.value)


def test_static_cache(tiny_folder: Any) -> None:
    folder = tiny_folder("llama")
    model = convert(opened(folder), example_of(folder, "bits", "4"))
    cache = StaticCache(config=model.config, max_cache_len=64)
    with pytest.raises(ValueError, match="fewer bits, which a StaticLayer cannot; expected") as no:
        model(prompt(1), **{cache_argument(): cache})
    assert "\n" not in str(no.value)
