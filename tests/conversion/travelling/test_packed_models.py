"""Models of all kinds whose caches keep fewer bits, groups of heads beside them or not."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel, StaticCache
from transformers.cache_utils import Cache, DynamicSlidingWindowLayer

from qcqa.conversion.live import convert
from qcqa.conversion.loading import load
from qcqa.conversion.travelling.packed_qcqa import PackedLayer
from qcqa.conversion.travelling.section_qcqa import Section
from qcqa.measure.cache_bytes import cache_bytes, cache_bytes_after
from qcqa.text.running import cache_argument, cache_of

MakeCase = Callable[[str], Any]

#: One of each way in which families take keys and values.
KINDS = [
    "llama", "llama-gqa", "olmo2", "stablelm-norm", "opt", "gpt_neox", "gpt2", "falcon-gqa",
    "gpt_bigcode-mqa", "bloom",
]  # fmt: skip
EIGHT = {"kind": "bits", "rungs": [[8, None]], "block": 8, "group": 4, "window": 8, "rotated": True}


@pytest.fixture
def prompt() -> tuple[Tensor, Tensor]:
    """Return two prompts of several blocks, the first padded on the left, and their mask."""
    ids = torch.randint(3, 32, (2, 36), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    ids[0, :11] = 0
    mask[0, :11] = 0
    return ids, mask


def read(
    model: PreTrainedModel, prompt: tuple[Tensor, Tensor], *lengths: int, cache: Any = None
) -> tuple[Tensor, Cache]:
    """Let a model read in pieces; return the logits of all tokens and its cache."""
    ids, mask = prompt
    logits, end = [], 0
    for length in lengths:
        start, end = end, end + length
        given = {} if cache is None else {cache_argument(): cache}
        output = model(ids[:, start:end], attention_mask=mask[:, :end], use_cache=True, **given)
        cache = cache_of(output)
        logits.append(output.logits)
    return torch.cat(logits, dim=1)[mask[:, :end].bool()], cache


def generate(model: PreTrainedModel, prompt: tuple[Tensor, Tensor], **options: Any) -> Any:
    """Return the text that a model goes on with, and the logits at every step."""
    length = {"max_new_tokens": 20, "min_new_tokens": 20}
    asked = {"return_dict_in_generate": True, "output_logits": True, "do_sample": False}
    return model.generate(
        prompt[0], attention_mask=prompt[1], pad_token_id=0, **length, **asked, **options
    )


def assert_same(ours: Any, theirs: Any) -> None:
    assert torch.equal(ours.sequences, theirs.sequences)
    torch.testing.assert_close(ours.logits, theirs.logits, rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("name", KINDS)
def test_eight_bits_are_nearly_all(
    name: str, make_case: MakeCase, prompt: Any, with_codecs: Any
) -> None:
    case = make_case(name)
    model = convert(case.model, case.plan)

    packed = with_codecs(model, (EIGHT, EIGHT))

    (ours, cache), (theirs, _) = (read(one, prompt, 25, 9, 1, 1) for one in (packed, model))
    assert all(type(layer) is PackedLayer for layer in cache.layers)
    assert not torch.equal(ours, theirs)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0.03 * float(theirs.std()))


@pytest.mark.parametrize("how", [{}, {"num_beams": 3}, {"num_beams": 2, "num_return_sequences": 2}])
@pytest.mark.parametrize("name", KINDS)
def test_text_is_that_of_the_reference(
    name: str,
    how: dict[str, Any],
    make_case: MakeCase,
    prompt: Any,
    with_codecs: Any,
    stairs: Any,
    dense_caches: Callable[[], None],
) -> None:
    case = make_case(name)
    model = with_codecs(convert(case.model, case.plan), (stairs, stairs))
    ours = generate(model, prompt, **how)

    dense_caches()

    assert_same(ours, generate(model, prompt, **how))


@pytest.mark.parametrize("name", KINDS)
def test_guessed_tokens_are_taken_back(
    name: str,
    make_case: MakeCase,
    prompt: Any,
    with_codecs: Any,
    stairs: Any,
    dense_caches: Callable[[], None],
) -> None:
    case = make_case(name)
    model = with_codecs(convert(case.model, case.plan), (stairs | {"window": 2}, stairs))
    alone = tuple(one[1:] for one in prompt)
    how = {"prompt_lookup_num_tokens": 9, "max_matching_ngram_size": 1}
    ours = generate(model, alone, **how)

    dense_caches()

    assert_same(ours, generate(model, alone, **how))


@torch.no_grad()
def test_a_measurement_sees_what_is_stored(
    make_case: MakeCase,
    prompt: Any,
    with_codecs: Any,
    stairs: Any,
    dense_caches: Callable[[], None],
) -> None:
    case = make_case("llama-gqa")
    model = with_codecs(convert(case.model, case.plan), (stairs, stairs))

    def measured() -> Tensor:
        cache = DynamicCache(config=model.config)
        cache.answers_with_stored = True
        return read(model, prompt, 16, 16, 4, cache=cache)[0]

    ours = measured()

    assert not torch.equal(ours, read(model, prompt, 16, 16, 4)[0])
    dense_caches()
    assert torch.equal(ours, measured())


@torch.no_grad()
@pytest.mark.parametrize("name", ["llama-gqa", "falcon-gqa", "gpt2"])
def test_a_codec_alone_changes_no_weights_and_packs(
    name: str, make_case: MakeCase, prompt: Any, with_codecs: Any, stairs: Any
) -> None:
    """Also where no heads share, some layers stay as they are, and some keep keys or values."""
    case = make_case(name)
    source, _ = read(case.model, prompt, 36)
    codecs = ((None, None), (stairs, None), (None, stairs))

    model = with_codecs(convert(case.model, case.identity()), *codecs)

    ours, cache = read(model, prompt, 36)
    torch.testing.assert_close(ours, source)
    full = 2 * 36 * case.checkpoint.spec.num_kv_heads * case.checkpoint.spec.head_dim * 4
    num_bytes = [cache_bytes(Cache(layers=[layer])) for layer in cache.layers]
    assert num_bytes[0] == 2 * full
    assert num_bytes[1] < 2 * full
    assert num_bytes[2] < 2 * full
    assert cache_bytes_after(model, 36, batch_size=2) == sum(num_bytes)


@torch.no_grad()
@pytest.mark.parametrize("name", ["llama-gqa", "gpt_neox", "olmo2"])
def test_saved_models_keep_their_codecs(
    name: str, make_case: MakeCase, prompt: Any, with_codecs: Any, stairs: Any
) -> None:
    case = make_case(name)
    model = with_codecs(convert(case.model, case.plan), (stairs, None))

    model.save_pretrained(case.folder / "saved")
    again = load(case.folder / "saved", attn_implementation="eager")

    assert again.config.qcqa["version"] == 2
    assert Section.from_config(again.config) == Section.from_config(model.config)
    ours, theirs = (read(one, prompt, 30, 6)[0] for one in (again, model))
    assert torch.equal(ours, theirs)


def test_without_codecs_the_first_version_is_written(make_case: MakeCase) -> None:
    case = make_case("llama-gqa")
    entry = convert(case.model, case.plan).config.qcqa
    assert entry["version"] == 1
    assert all(set(layer) == {"key", "value"} for layer in entry["layers"])


@torch.no_grad()
def test_training_goes_on(make_case: MakeCase, prompt: Any, with_codecs: Any, stairs: Any) -> None:
    case = make_case("llama-gqa")
    model = with_codecs(convert(case.model, case.plan), (stairs, stairs))
    with torch.inference_mode():
        read(model, prompt, 30, 6)
    with torch.enable_grad():
        model(prompt[0], labels=prompt[0]).loss.backward()
    assert all(one.grad is not None for one in model.parameters())


@torch.no_grad()
@pytest.mark.parametrize("name", ["llama-gqa", "gpt2"])
def test_caches_that_cannot_pack_are_refused(
    name: str, make_case: MakeCase, prompt: Any, with_codecs: Any, stairs: Any
) -> None:
    case = make_case(name)
    plain = convert(case.model, case.plan)
    model = with_codecs(plain, (stairs, stairs))
    in_full, in_eight = (
        read(one, prompt, 20)[1] for one in (plain, with_codecs(plain, (EIGHT, EIGHT)))
    )
    sliding = Cache(layers=[DynamicSlidingWindowLayer(sliding_window=8) for _ in range(3)])
    refused = {
        "a StaticLayer cannot": StaticCache(config=model.config, max_cache_len=40),
        "a DynamicSlidingWindowLayer cannot": sliding,
        "holds 20 tokens in full": in_full,
        "layer 0 keeps keys or values in fewer bits, which a PackedLayer": in_eight,
    }
    for problem, cache in refused.items():
        with pytest.raises(ValueError, match=problem) as error:
            read(model, prompt, 36, cache=cache)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["mistral", "gemma2"])
def test_layers_with_a_window_are_refused_when_the_model_is_built(
    name: str, make_case: MakeCase, with_codecs: Any, stairs: Any
) -> None:
    case = make_case(name)
    model = convert(case.model, case.plan)
    with pytest.raises(ValueError, match=r"layer 0 .* which a DynamicSlidingWindowLayer cannot"):
        with_codecs(model, (stairs, stairs))


@pytest.mark.parametrize(
    ("change", "problem"), [({"group": 5}, "divisor of head_dim 12"), ({"rungs": []}, "the last")]
)
def test_codecs_that_cannot_be_are_refused(
    change: dict[str, Any], problem: str, make_case: MakeCase, with_codecs: Any, stairs: Any
) -> None:
    case = make_case("llama-gqa")
    model = convert(case.model, case.plan)
    with pytest.raises(ValueError, match=problem):
        with_codecs(model, (None, stairs | change))


@torch.no_grad()
def test_release_that_hides_its_cache_is_told(
    make_case: MakeCase,
    prompt: Any,
    with_codecs: Any,
    stairs: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = make_case("opt")
    model = with_codecs(convert(case.model, case.identity()), (None, stairs))
    monkeypatch.setattr(
        "qcqa.conversion.travelling.hooks_qcqa.SharedHeads._seen", lambda _self, it: it
    )
    with pytest.raises(RuntimeError, match=r"layer 0 cached all its bits.*: .* 5"):
        read(model, prompt, 36)
