"""Linear maps between an attention and its cache: what is cached is all that is ever seen."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, DynamicCache, PreTrainedModel, StaticCache

from qcqa.conversion.folder import convert_checkpoint
from qcqa.conversion.live import convert, converted_copy
from qcqa.conversion.loading import load
from qcqa.conversion.travelling.maps_qcqa import MapShape, SiteMap
from qcqa.errors import CheckpointError, ReductionError
from qcqa.plan.plan import Plan
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.groups.grouping import Grouping
from qcqa.reduce.latent.choice import Latent
from qcqa.text.merged import attention_tensors, set_attention
from qcqa.text.running import cache_argument, cache_of

Folder = Callable[[str], Path]
LatentPlan = Callable[[Path, float], Plan]
Tokens = tuple[Tensor, Tensor]

#: One of each way in which families make keys and hand them to their cache.
KINDS = [
    "llama", "llama-gqa", "gpt_neox", "gptj", "glm", "cohere", "smollm3", "opt", "gpt2", "bloom",
    "phi3-gqa", "falcon-gqa", "falcon-mqa", "gpt_bigcode-mqa", "mistral", "gemma2", "gpt_neo",
]  # fmt: skip


def opened(folder: Path, dtype: torch.dtype = torch.float64) -> PreTrainedModel:
    # Experts are multiplied one by one, as other ways know no float64.
    how = {"attn_implementation": "eager", "experts_implementation": "eager"}
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **how)


@torch.no_grad()
def one_by_one(model: PreTrainedModel, ids: Tensor, cache: Any = None) -> Tensor:
    """Return the logits of tokens that are read one at a time, through a cache."""
    logits = []
    for token in ids.split(1, dim=1):
        given = {} if cache is None else {cache_argument(): cache}
        output = model(token, use_cache=True, **given)
        cache = cache_of(output)
        logits.append(output.logits)
    return torch.cat(logits, dim=1)


def generate(model: PreTrainedModel, tokens: Tokens, **options: Any) -> Tensor:
    ids, mask = tokens
    length = {"max_new_tokens": 5, "min_new_tokens": 5}
    written: Tensor = model.generate(
        ids, attention_mask=mask, do_sample=False, pad_token_id=0, **length, **options
    )
    return written


@torch.no_grad()
def test_all_ranks_change_nothing(
    latent_plan: LatentPlan, family: str, tiny_folder: Folder, tokens: Tokens
) -> None:
    folder = tiny_folder(family)
    model = convert(opened(folder), latent_plan(folder, 1.0))
    expected = opened(folder)(tokens[0]).logits
    torch.testing.assert_close(model(tokens[0]).logits, expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("name", KINDS)
@torch.no_grad()
def test_what_is_cached_is_what_is_seen_without_a_cache(
    latent_plan: LatentPlan, name: str, share: float, tiny_folder: Folder, tokens: Tokens
) -> None:
    folder, (ids, _) = tiny_folder(name), tokens
    source, model = opened(folder), convert(opened(folder), latent_plan(folder, share))
    whole = model(ids, use_cache=False).logits
    assert not torch.allclose(whole, source(ids, use_cache=False).logits, atol=1e-3)
    # Some families round angles to float32, at other places for other numbers of tokens.
    torch.testing.assert_close(one_by_one(model, ids), whole, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", ["llama-gqa", "gptj", "falcon-gqa", "mistral", "gpt2"])
def test_generation_in_every_way_is_that_without_a_cache(
    latent_plan: LatentPlan, name: str, tiny_folder: Folder, tokens: Tokens
) -> None:
    folder = tiny_folder(name)
    # In float64 some masks of padding are infinite, in the source too.
    model = convert(opened(folder, torch.float32), latent_plan(folder, 0.5))
    for options in ({}, {"num_beams": 3}):
        expected = generate(model, tokens, use_cache=False, **options)
        assert torch.equal(generate(model, tokens, **options), expected)
    single = (tokens[0][1:], tokens[1][1:])
    expected = generate(model, single, use_cache=False)
    assert torch.equal(generate(model, single, prompt_lookup_num_tokens=2), expected)
    assistant = opened(folder, torch.float32)
    if name != "mistral":  # whose caches cannot take tokens back, of the source neither
        assert torch.equal(generate(model, single, assistant_model=assistant), expected)


@pytest.mark.parametrize("name", ["llama-gqa", "gpt_neox", "falcon-gqa", "mistral"])
@torch.no_grad()
def test_static_cache_has_the_latents_shape(
    latent_plan: LatentPlan, name: str, tiny_folder: Folder, tokens: Tokens
) -> None:
    folder, (ids, _) = tiny_folder(name), tokens
    plan = latent_plan(folder, 0.5)
    model = convert(opened(folder), plan)
    cache = StaticCache(config=model.config, max_cache_len=12)
    logits = one_by_one(model, ids, cache)
    torch.testing.assert_close(logits, one_by_one(model, ids), rtol=1e-7, atol=1e-7)
    for layer, chosen in zip(cache.layers, plan.layers, strict=True):
        for states, shape in zip((layer.keys, layer.values), chosen.map_shapes(1), strict=True):
            assert states.shape[1::2] == (1, shape.width)


def test_static_cache_that_was_allocated_by_the_config(
    latent_plan: LatentPlan, tiny_folder: Folder, tokens: Tokens
) -> None:
    folder = tiny_folder("llama-gqa")
    plan = latent_plan(folder, 0.5)
    model, spec = convert(opened(folder), plan), plan.model
    cache = StaticCache(config=model.config, max_cache_len=12)
    cache.early_initialization(
        2, spec.num_kv_heads, spec.head_dim, torch.float64, torch.device("cpu")
    )
    with pytest.raises(ValueError, match="room for 12 dimensions of a head; expected"):
        model(tokens[0], **{cache_argument(): cache})


@torch.no_grad()
def test_cache_of_the_source_is_refused(
    latent_plan: LatentPlan, tiny_folder: Folder, tokens: Tokens
) -> None:
    folder = tiny_folder("falcon-mqa")  # one head, as a latent is one
    source, model = opened(folder), convert(opened(folder), latent_plan(folder, 0.5))
    cache = cache_of(source(tokens[0], use_cache=True))
    with pytest.raises(ValueError, match="dimensions of a key; expected"):
        model(tokens[0], **{cache_argument(): cache})


@pytest.mark.parametrize("name", ["llama-gqa", "gpt_neox"])
def test_a_release_that_hides_its_cache_is_told(
    latent_plan: LatentPlan, name: str, tiny_folder: Folder, tokens: Tokens
) -> None:
    folder = tiny_folder(name)
    model = convert(opened(folder), latent_plan(folder, 0.5))
    for module in model.modules():
        module._forward_pre_hooks.clear()
    with pytest.raises(RuntimeError, match="this release of transformers is not known"):
        model(tokens[0], use_cache=True, **{cache_argument(): DynamicCache()})


@pytest.mark.parametrize("name", ["llama-gqa", "phi3-gqa", "gpt2"])
@torch.no_grad()
def test_weights_that_are_trained_stay_within_what_is_cached(
    latent_plan: LatentPlan, name: str, tiny_folder: Folder, tokens: Tokens
) -> None:
    folder, (ids, _) = tiny_folder(name), tokens
    model = convert(opened(folder), latent_plan(folder, 0.5))
    assert not any("qcqa" in name for name, _ in model.named_parameters())
    for parameter in model.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.05)
    whole = model(ids, use_cache=False).logits
    torch.testing.assert_close(one_by_one(model, ids), whole, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", ["llama-gqa", "gpt2"])
@torch.no_grad()
def test_saved_and_opened_again_without_this_library(
    latent_plan: LatentPlan, name: str, tiny_folder: Folder, tokens: Tokens, tmp_path: Path
) -> None:
    folder, (ids, _) = tiny_folder(name), tokens
    plan = latent_plan(folder, 0.5)
    convert_checkpoint(str(folder), plan, tmp_path / "disk")
    live = convert(opened(folder, torch.float32), plan)
    live.save_pretrained(tmp_path / "live")
    for place in ("disk", "live"):
        trusted = AutoModelForCausalLM.from_pretrained(
            tmp_path / place, trust_remote_code=True, attn_implementation="eager"
        )
        assert trusted.state_dict().keys() == live.state_dict().keys()
        torch.testing.assert_close(trusted(ids).logits, live(ids).logits, rtol=0, atol=1e-5)
    half = load(tmp_path / "disk", dtype=torch.bfloat16)
    assert {tensor.dtype for tensor in half.state_dict().values()} == {torch.bfloat16}


@torch.no_grad()
def test_built_from_its_config_alone(
    latent_plan: LatentPlan, tiny_folder: Folder, tokens: Tokens
) -> None:
    folder, (ids, _) = tiny_folder("gpt_neox"), tokens
    live = convert(opened(folder), latent_plan(folder, 0.5))
    built = type(live)._from_config(live.config, dtype=torch.float64).eval()
    assert built.state_dict().keys() == live.state_dict().keys()
    whole = built(ids, use_cache=False).logits
    torch.testing.assert_close(one_by_one(built, ids), whole, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", ["llama", "gpt2", "phi3"])
@torch.no_grad()
def test_latents_beside_heads_that_share(
    name: str, latent_plan: LatentPlan, tiny_folder: Folder, tokens: Tokens, tmp_path: Path
) -> None:
    """In one layer, of which the merge changes the output projection."""
    folder, (ids, _) = tiny_folder(name), tokens
    shared, plan = (Grouping((0, 0, 1, 1, 1, 0)),), latent_plan(folder, 0.5)
    first, second, last = plan.layers
    layers = replace(first, value=shared), replace(second, key=shared), last
    plan = replace(plan, merge="svd", layers=layers)
    model = convert(opened(folder), plan)
    whole = model(ids, use_cache=False).logits
    torch.testing.assert_close(one_by_one(model, ids), whole, rtol=1e-7, atol=1e-7)
    convert_checkpoint(str(folder), plan, tmp_path / "out")
    on_disk = load(tmp_path / "out", attn_implementation="eager")(ids).logits
    torch.testing.assert_close(on_disk.double(), whole, rtol=1e-4, atol=1e-4)


def test_fitted_attention_brings_its_maps(
    latent_plan: LatentPlan, tiny_folder: Folder, tmp_path: Path
) -> None:
    folder = tiny_folder("llama-gqa")
    plan, source = latent_plan(folder, 0.5), opened(folder, torch.float32)
    made, other = converted_copy(source, plan), converted_copy(source, plan)
    for name, tensor in made.state_dict().items():
        if "self_attn" in name:
            tensor.mul_(1.5)
    layers = attention_tensors(made)
    set_attention(other, layers)
    convert_checkpoint(str(folder), plan, tmp_path / "out", fitted=layers.__getitem__)
    for model in (other, load(tmp_path / "out")):
        for name, tensor in model.state_dict().items():
            assert torch.equal(tensor, made.state_dict()[name])


@pytest.mark.parametrize("name", ["qwen3", "olmo2", "cohere-norm", "phi-norm", "stablelm-norm"])
def test_keys_behind_a_norm_are_refused(
    latent_plan: LatentPlan, name: str, tiny_folder: Folder, tmp_path: Path
) -> None:
    folder = tiny_folder(name)
    plan = latent_plan(folder, 0.5)
    layers = list(plan.layers)
    layers[1] = LayerChoice(key=layers[1].value)
    plan = replace(plan, layers=tuple(layers))
    for convert_it in (
        lambda: convert(opened(folder), plan),
        lambda: convert_checkpoint(str(folder), plan, tmp_path / "out"),
    ):
        with pytest.raises(ReductionError, match=r"latent for keys in layer 1 of .* normalises"):
            convert_it()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("site", ["key", "value"])
def test_clips_are_refused(latent_plan: LatentPlan, site: str, make_case: Any) -> None:
    case = make_case("olmo")
    case.model.config.clip_qkv = 0.5
    choice = latent_plan(case.folder, 0.5).layers[1]
    kept = LayerChoice(**{site: getattr(choice, site)})
    plan = replace(case.plan, layers=(LayerChoice(), kept, LayerChoice()))
    with pytest.raises(ReductionError, match=r"latent in layer 1 of .*, which clips"):
        convert(case.model, plan)


def test_ranks_for_other_planes_are_refused(latent_plan: LatentPlan, tiny_folder: Folder) -> None:
    folder = tiny_folder("gptj")
    plan = latent_plan(folder, 0.5)
    wrong = LayerChoice(key=(Latent((1, 1, 1), 2),))
    with pytest.raises(ReductionError, match="for 3 rotary planes; expected ranks for 2"):
        convert(opened(folder), replace(plan, layers=(wrong, *plan.layers[1:])))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"planes": [1, 1]}, "a number of 0 or more for each of 6"),
        ({"planes": [9] * 6}, "at most 3 for each rotary plane"),
        ({"planes": [-1] * 6}, "a number of 0 or more"),
        ({"planes": [True] * 6}, "a number of 0 or more"),
        ({"planes": "111111"}, "a number of 0 or more"),
        ({"planes": [0] * 6}, "a map of no channels"),
        ({"planes": 6}, "expected lists"),
        ({"pairs": [[0, 1]] * 6}, "each dimension once"),
        ({"pairs": [[dim, dim + 7] for dim in range(6)]}, "dimensions below 12"),
        ({"pairs": [[0]] * 6}, "two dimensions"),
        ({"pairs": 6}, "expected lists"),
        ({"free": 1}, "and 0 for what does not rotate"),
        ({"free": 10**12}, "for what does not rotate"),
        ({"free": None}, "one for what does not rotate"),
        ({"more": 1}, "a map with pairs, planes, free"),
        ({"planes": [1] * 6}, "has no weights for|cannot be opened"),
    ],
)
def test_damaged_sections_are_refused_in_one_line(
    latent_plan: LatentPlan, change: dict[str, Any], said: str, tiny_folder: Folder, tmp_path: Path
) -> None:
    folder = tiny_folder("llama-gqa")
    convert_checkpoint(str(folder), latent_plan(folder, 0.5), tmp_path / "out")
    path = tmp_path / "out" / "config.json"
    config = json.loads(path.read_text())
    assert config["qcqa"]["version"] == 3
    config["qcqa"]["layers"][1]["key_map"] |= change
    path.write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=said) as error:
        load(tmp_path / "out")
    assert "\n" not in error.value.one_line()


def test_a_map_is_its_formula() -> None:
    """Channels are the planes' real parts, then their imaginary parts, then the free ones."""
    generator = torch.Generator().manual_seed(0)
    shape = MapShape(pairs=((0, 3), (4, 1)), planes=(2, 1), free=3)
    like = torch.zeros((), dtype=torch.float64)
    site_map = SiteMap(shape, num_heads=3, head_dim=5, like=like)
    for tensor in site_map.buffers():
        tensor.copy_(torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype))
    heads = torch.randn((2, 3, 4, 5), generator=generator, dtype=torch.float64)
    made = site_map(heads)
    encode = torch.view_as_complex(site_map.plane_encode)
    for batch, token in ((0, 0), (1, 3)):
        head = heads[batch, :, token]
        numbers = [torch.complex(head[:, first], head[:, second]) for first, second in shape.pairs]
        channels = [
            (encode[plane] @ number)[:rank]
            for plane, (number, rank) in enumerate(zip(numbers, shape.planes, strict=True))
        ]
        turning = torch.cat(channels)
        free = site_map.free_encode @ head[:, [2]].flatten()
        expected = torch.cat((turning.real, turning.imag, free))
        torch.testing.assert_close(made[batch, 0, token], expected)

        site_map.plane_decode[1, :, 1] = 0
        back = site_map(made, back=True)[batch, :, token]
        decode = torch.view_as_complex(site_map.plane_decode)
        for plane, (first, second) in enumerate(shape.pairs):
            number = decode[plane][:, : shape.planes[plane]] @ channels[plane]
            torch.testing.assert_close(back[:, first], number.real)
            torch.testing.assert_close(back[:, second], number.imag)
        torch.testing.assert_close(back[:, 2], site_map.free_decode @ free)
