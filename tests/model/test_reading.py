import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import GPT2Config, GPT2LMHeadModel, LlamaForCausalLM, Phi3Config, Phi3ForCausalLM

from qcqa.model.fingerprint import fingerprint
from qcqa.model.heads import LayerHeads
from qcqa.model.opening import open_checkpoint
from qcqa.reduce.groups.gram import gram_of_heads
from qcqa.reduce.groups.read_grams import read_grams


def bfloat16_bits(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    return torch.from_numpy(values).to(torch.bfloat16).view(torch.uint16).numpy()


CONVERTED: dict[str, tuple[Any, Any]] = {
    "F64": (lambda x: x.astype("<f8"), lambda x: x),
    "F32": (lambda x: x, lambda x: x),
    "F16": (lambda x: x.astype("<f2"), lambda x: x.astype("<f2").astype("<f4")),
    "BF16": (bfloat16_bits, lambda x: torch.from_numpy(x).bfloat16().float().numpy()),
}


@pytest.mark.parametrize("code", CONVERTED)
def test_every_float_type_is_read_exactly(hand_made: Any, code: str) -> None:
    store, expected = CONVERTED[code]
    originals = {}
    for shard in hand_made.shards.values():
        for name, (_, weights) in shard.items():
            originals[name] = weights
            shard[name] = (code, store(weights))
    checkpoint = open_checkpoint(hand_made.write())
    names = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
    assert checkpoint.spec.dtype == names[code]
    assert checkpoint.spec.kv_bytes_per_token() == 2 * 2 * 2 * 3 * {"F64": 8, "F32": 4}.get(code, 2)
    for layer in range(2):
        heads = checkpoint.read_layer(layer)
        for role, ours in (("k", heads.key), ("v", heads.value)):
            weights = originals[f"model.layers.{layer}.self_attn.{role}_proj.weight"]
            np.testing.assert_array_equal(ours, expected(weights).reshape(2, 3, 8), strict=True)
    item_bytes = {"F64": 8, "F32": 4}.get(code, 2)
    assert checkpoint.kv_tensor_bytes == 2 * 2 * 6 * 8 * item_bytes


def test_geometry_of_a_grouped_query_model(hand_made: Any) -> None:
    folder = hand_made.write()
    spec = open_checkpoint(folder).spec
    assert (spec.source, spec.revision, spec.model_type) == (folder, None, "llama")
    assert (spec.num_layers, spec.num_query_heads, spec.num_kv_heads) == (2, 4, 2)
    assert (spec.head_dim, spec.hidden_size, spec.has_kv_bias) == (3, 8, False)


def test_only_shards_with_keys_and_values_are_read(hand_made: Any) -> None:
    hand_made.shards["other.safetensors"] = {"lm_head.weight": ("F32", np.ones((4, 8), "<f4"))}
    folder = hand_made.write()
    (hand_made.folder / "other.safetensors").write_bytes(b"not read")
    read_grams(open_checkpoint(folder))
    (hand_made.folder / "other.safetensors").unlink()
    read_grams(open_checkpoint(folder))


def test_opening_reads_no_weights(hand_made: Any) -> None:
    hand_made.change(0, "k", lambda code, weights: (code, weights * np.nan))
    assert open_checkpoint(hand_made.write()).spec.num_layers == 2


@pytest.mark.parametrize("prefix", ["language_model.", "model.language_model."])
def test_language_model_of_a_multimodal_checkpoint(hand_made: Any, prefix: str) -> None:
    whole = open_checkpoint(hand_made.write())
    expected = read_grams(whole)
    hand_made.config = {"model_type": "some_vlm", "text_config": hand_made.config}
    for shard, tensors in hand_made.shards.items():
        strip = "model." if prefix.startswith("model.") else ""
        hand_made.shards[shard] = {
            prefix + name.removeprefix(strip): tensor for name, tensor in tensors.items()
        }
    checkpoint = open_checkpoint(hand_made.write())
    assert checkpoint.spec.model_type == "some_vlm"
    assert read_grams(checkpoint).fingerprint == expected.fingerprint


def test_grams_are_those_of_dense_weights(tiny_llama: Path) -> None:
    checkpoint = open_checkpoint(str(tiny_llama))
    done = []
    grams = read_grams(checkpoint, on_layer=lambda layer, total: done.append((layer, total)))
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]
    model = LlamaForCausalLM.from_pretrained(tiny_llama)
    for layer, gram in enumerate(grams):
        for ours, projection in ((gram.key, "k_proj"), (gram.value, "v_proj")):
            weight = getattr(model.model.layers[layer].self_attn, projection).weight
            heads = weight.detach().double().numpy().reshape(12, -1)
            np.testing.assert_allclose(ours, heads @ heads.T, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(3, 5), (32, 1000), (2, 4, 3000), (300, 129)])
def test_gram_of_many_lengths(shape: tuple[int, ...]) -> None:
    heads = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    flat = heads.reshape(shape[0], -1).astype(np.float64)
    np.testing.assert_allclose(gram_of_heads(heads), flat @ flat.T, rtol=1e-5, atol=1e-4)


def test_reading_stops_where_the_caller_stops_it(tiny_llama: Path) -> None:
    def stop(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_grams(open_checkpoint(str(tiny_llama)), on_layer=stop)


def test_bytes_of_fused_and_transposed_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=8, n_embd=8, n_layer=1, n_head=2, n_positions=4))
    gpt2.save_pretrained(tmp_path / "gpt2")
    # Rows of a (in, out) weight hold queries too: all of it is read. Of the bias, two thirds.
    assert open_checkpoint(str(tmp_path / "gpt2")).kv_tensor_bytes == 8 * 24 * 4 + 16 * 4
    config = Phi3Config(
        vocab_size=8,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=1,
        pad_token_id=0,
    )
    Phi3ForCausalLM(config).save_pretrained(tmp_path / "phi3")
    assert open_checkpoint(str(tmp_path / "phi3")).kv_tensor_bytes == 2 * 2 * 8 * 4


def test_fingerprint_is_the_same_in_float32_and_bfloat16(hand_made: Any) -> None:
    rounded = {}
    for shard in hand_made.shards.values():
        for name, (_, weights) in shard.items():
            rounded[name] = bfloat16_bits(weights)
    in_float32 = open_checkpoint(hand_made.write()).fingerprint()
    for shard in hand_made.shards.values():
        for name in shard:
            shard[name] = ("BF16", rounded[name])
    checkpoint = open_checkpoint(hand_made.write())
    assert checkpoint.fingerprint() == in_float32
    assert read_grams(checkpoint).fingerprint == in_float32
    layers = [checkpoint.read_layer(layer) for layer in range(2)]
    assert fingerprint(layers) == in_float32
    assert len(in_float32) == 32


@pytest.mark.parametrize("role", ["key", "value"])
def test_fingerprint_sees_every_head(hand_made: Any, role: str) -> None:
    checkpoint = open_checkpoint(hand_made.write())
    layers = [checkpoint.read_layer(layer) for layer in range(2)]
    before = fingerprint(layers)
    seen = {before}
    for layer in range(2):
        for head in range(2):
            changed = {"key": layers[layer].key.copy(), "value": layers[layer].value.copy()}
            changed[role][head, 0, 3] += 1
            seen.add(fingerprint([*layers[:layer], LayerHeads(**changed), *layers[layer + 1 :]]))
    assert len(seen) == 5


@pytest.mark.parametrize("value", [1.0, 1.00390625, 1.01171875, -3.4e38, 1e-40])
def test_fingerprint_rounds_as_torch_does(value: float) -> None:
    exact = np.full((1, 1, 1), value, dtype=np.float32)
    rounded = torch.from_numpy(exact).bfloat16().float().numpy()
    assert fingerprint([LayerHeads(exact, exact)]) == fingerprint([LayerHeads(rounded, rounded)])


def test_reading_loads_neither_torch_nor_transformers(tiny_llama: Path) -> None:
    code = (
        "import sys\n"
        "from qcqa.model.opening import open_checkpoint\n"
        "from qcqa.reduce.groups.read_grams import read_grams\n"
        f"read_grams(open_checkpoint({str(tiny_llama)!r}))\n"
        "heavy = {'torch', 'transformers', 'huggingface_hub', 'pymoo'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
