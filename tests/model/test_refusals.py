"""What cannot be read is refused in one line that says what was found and what to do."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qcqa.errors import CheckpointError, UnsupportedModelError
from qcqa.model.opening import open_checkpoint
from qcqa.reduce.groups.read_grams import read_grams

FIRST, SECOND = (f"model-0000{number}-of-00002.safetensors" for number in (1, 2))
KEY = "model.layers.{}.self_attn.k_proj.weight"


def refusal(source: str, kind: type[CheckpointError] = CheckpointError) -> str:
    with pytest.raises(kind) as caught:
        open_checkpoint(source)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_unknown_family(hand_made: Any) -> None:
    hand_made.config["model_type"] = "deepseek_v3"
    message = refusal(hand_made.write(), UnsupportedModelError)
    assert "'deepseek_v3'" in message
    assert "gpt_neox" in message
    assert "llama" in message
    assert "qcqa/model/architectures" in message


def test_no_model_type(hand_made: Any) -> None:
    del hand_made.config["model_type"]
    assert "model_type None" in refusal(hand_made.write(), UnsupportedModelError)


@pytest.mark.parametrize("model_type", ["gpt2", "gpt_bigcode"])
@pytest.mark.parametrize("nested", [False, True])
def test_decoder_of_an_encoder_decoder(hand_made: Any, model_type: str, nested: bool) -> None:
    hand_made.config = {"model_type": model_type, "add_cross_attention": True}
    if nested:
        hand_made.config = {"model_type": "vlm", "text_config": hand_made.config}
    assert "add_cross_attention in its config" in refusal(hand_made.write(), UnsupportedModelError)


@pytest.mark.parametrize("nested", [False, True])
def test_quantized(hand_made: Any, nested: bool) -> None:
    hand_made.config["quantization_config"] = {"quant_method": "gptq"}
    if nested:
        hand_made.config = {"model_type": "vlm", "text_config": hand_made.config}
    message = refusal(hand_made.write(), UnsupportedModelError)
    assert "gptq" in message
    assert "quantized from" in message


@pytest.mark.parametrize("key", ["compression_config", "quantization"])
def test_quantized_by_a_key_of_another_tool(hand_made: Any, key: str) -> None:
    hand_made.config[key] = {"bits": 4, "group_size": 64}
    message = refusal(hand_made.write(), UnsupportedModelError)
    assert f"is quantized ({key} in its config)" in message


#: What quantizers make of ``x.weight``, and what that is called.
PACKED = [
    (("qweight", "qzeros", "scales", "g_idx"), "GPTQ"),
    (("qweight", "qzeros", "scales"), "GPTQ or AWQ"),
    (("weight_packed", "weight_scale", "weight_shape"), "compressed-tensors"),
    (("weight", "weight.absmax", "weight.quant_map"), "bitsandbytes, 4 bits"),
    (("weight", "weight.quant_state.bitsandbytes__nf4"), "bitsandbytes, 4 bits"),
    (("weight", "SCB"), "bitsandbytes, 8 bits"),
    (("weight", "weight_scale_inv"), "FP8"),
    (("weight", "weight_scale", "input_scale"), "FP8"),
    (("W_q", "scale", "zero"), "HQQ"),
    (("weight", "scales", "biases"), "MLX"),
    (("weight._data", "weight._scale"), "Quanto"),
    (("q_weight", "q_scale", "q_invperm"), "EXL2"),
]


@pytest.mark.parametrize(("tensors", "layout"), PACKED, ids=lambda one: str(one)[:30])
@pytest.mark.parametrize("first", [0, 1])
def test_quantized_by_its_tensors(
    hand_made: Any, tensors: tuple[str, ...], layout: str, first: int
) -> None:
    for shard in list(hand_made.shards.values())[first:]:
        for name in list(shard):
            stem = name.removesuffix("weight")
            del shard[name]
            shard |= {stem + one: ("I32", np.ones((2, 8), "<i4")) for one in tensors}
    message = refusal(hand_made.write(), UnsupportedModelError)
    assert f"is quantized ({layout}" in message
    assert "quantized from" in message


@pytest.mark.parametrize(
    ("file", "mark"),
    [
        ("gptq_model-4bit-128g.safetensors", "gptq_model-4bit-128g.safetensors"),
        ("model_int4.safetensors", "GPTQ"),
        ("pytorch_model.bin", "quantize_config.json"),
    ],
)
def test_quantized_in_a_file_of_another_name(hand_made: Any, file: str, mark: str) -> None:
    names = ("qweight", "qzeros", "scales", "g_idx")
    packed = {
        f"model.layers.0.self_attn.k_proj.{name}": ("I32", np.ones((2, 8), "<i4")) for name in names
    }
    hand_made.shards = {file: packed}
    folder = hand_made.write()
    (hand_made.folder / "model.safetensors.index.json").unlink()
    if mark == "quantize_config.json":
        (hand_made.folder / mark).write_text('{"bits": 4}')
    message = refusal(folder, UnsupportedModelError)
    assert "is quantized" in message
    assert mark in message


def test_integer_weights(hand_made: Any) -> None:
    name = hand_made.change(1, "v", lambda _code, weights: ("I8", weights.astype(np.int8)))
    message = refusal(hand_made.write(), UnsupportedModelError)
    assert f"{name} of" in message
    assert "stored as I8" in message


def test_missing_shard(hand_made: Any) -> None:
    folder = hand_made.write()
    (hand_made.folder / SECOND).unlink()
    message = refusal(folder)
    assert f"no file {SECOND}" in message
    assert "download the model again" in message


def test_missing_tensors(hand_made: Any) -> None:
    for role in ("k", "v"):
        del hand_made.shards[SECOND][f"model.layers.1.self_attn.{role}_proj.weight"]
    message = refusal(hand_made.write())
    assert f"no tensor {KEY.format(1)} and 1 more" in message


def test_tensor_that_the_index_promises_in_vain(hand_made: Any) -> None:
    folder = hand_made.write()
    index = json.loads((hand_made.folder / "model.safetensors.index.json").read_text())
    index["weight_map"][KEY.format(1)] = FIRST
    (hand_made.folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert f"no tensor {KEY.format(1)}" in refusal(folder)


def test_other_names_than_the_familys(hand_made: Any) -> None:
    hand_made.shards = {FIRST: {"transformer.x": ("F32", np.ones(2, "<f4"))}}
    message = refusal(hand_made.write())
    assert KEY.format(0) in message
    assert "the llama family" in message


#: What wrappers make of ``model.layers.0.x``, and what is to be removed from that.
WRAPPED = [
    ("_orig_mod.model.layers.{}.x", "'_orig_mod.'"),
    ("module.model.layers.{}.x", "'module.'"),
    ("base_model.model.model.layers.{}.x", "'base_model.model.'"),
    ("_fsdp_wrapped_module.model.layers.{}.x", "'_fsdp_wrapped_module.'"),
    ("module._orig_mod.model.layers.{}.x", "'module._orig_mod.'"),
    ("_orig_mod.layers.{}.x", "'_orig_mod.'"),
    ("student.model.layers.{}.x", "'student.'"),
    ("model.layers.{}._orig_mod.x", "'_orig_mod.'"),
    ("model.layers.{}._checkpoint_wrapped_module.x", "'_checkpoint_wrapped_module.'"),
    (
        "_fsdp_wrapped_module.model.layers.{}._fsdp_wrapped_module.x",
        "'_fsdp_wrapped_module.'",
    ),
    (
        "module.model.layers.{}._checkpoint_wrapped_module.x",
        "'module.' and '_checkpoint_wrapped_module.'",
    ),
]


@pytest.mark.parametrize(("template", "pieces"), WRAPPED, ids=[one for one, _ in WRAPPED])
@pytest.mark.parametrize("from_layer", [0, 1])
def test_names_that_a_wrapper_put_something_into(
    hand_made: Any, template: str, pieces: str, from_layer: int
) -> None:
    for layer, shard in list(enumerate(hand_made.shards.values()))[from_layer:]:
        renamed = {
            template.format(layer).replace(".x", name.partition(f".{layer}")[2]): tensor
            for name, tensor in shard.items()
        }
        shard.clear()
        shard.update(renamed)
    message = refusal(hand_made.write())
    assert f"hold {pieces}, which a wrapper put there" in message
    assert f"remove {pieces} from every name" in message
    assert "random weights" in message


def test_names_are_right_once_the_advice_was_followed(hand_made: Any) -> None:
    expected = open_checkpoint(hand_made.write()).fingerprint()
    whole = {name: dict(shard) for name, shard in hand_made.shards.items()}
    for shard in hand_made.shards.values():
        for name in list(shard):
            shard[f"module._orig_mod.{name}"] = shard.pop(name)
    removed = refusal(hand_made.write()).partition("remove '")[2].partition("'")[0]
    hand_made.shards = {
        file: {name.removeprefix(removed): tensor for name, tensor in shard.items()}
        for file, shard in hand_made.shards.items()
    }
    assert hand_made.shards.keys() == whole.keys()
    assert open_checkpoint(hand_made.write()).fingerprint() == expected


@pytest.mark.parametrize("ending", ["base_layer.weight", "lora_A.default.weight"])
def test_adapter_that_is_not_merged(hand_made: Any, ending: str) -> None:
    for shard in hand_made.shards.values():
        for name in list(shard):
            shard[f"base_model.model.{name.removesuffix('weight')}{ending}"] = shard.pop(name)
    message = refusal(hand_made.write())
    assert "an adapter that is not merged" in message
    assert "merge_and_unload" in message


def test_bias_of_some_layers_only(hand_made: Any) -> None:
    name = "model.layers.0.self_attn.k_proj.bias"
    hand_made.shards[FIRST][name] = ("F32", np.ones(6, "<f4"))
    assert "v_proj.bias and 2 more" in refusal(hand_made.write())


def test_wrong_shape(hand_made: Any) -> None:
    name = hand_made.change(1, "k", lambda code, weights: (code, weights[:5]))
    message = refusal(hand_made.write())
    assert f"{name} of" in message
    assert "(5, 8)" in message
    assert "(6, 8)" in message
    assert "2 key/value heads of 3" in message


@pytest.mark.parametrize(("role", "rows"), [("k", 3), ("v", 3), ("q", 6)])
@pytest.mark.parametrize("layer", [0, 1])
def test_layers_of_other_shapes(hand_made: Any, role: str, rows: int, layer: int) -> None:
    name = hand_made.change(layer, role, lambda code, weights: (code, weights[:rows]))
    message = refusal(hand_made.write(), UnsupportedModelError)
    assert "the geometry differs between layers" in message
    assert f"self_attn.{role}_proj.weight" in message
    assert name.rpartition(".self_attn")[0].rpartition(".")[2] in message
    assert "equal shapes" in message


@pytest.mark.parametrize(
    "by_layer",
    [
        {"per_layer_config": {"1": {"num_key_value_heads": 1}}},
        {"per_layer_config": {"1": {"head_dim": 4}}},
        {"per_layer_config": {"0": {"skip": ["self_attn"]}}},
        {"block_configs": [{"attention": {"n_heads_in_group": 2}}, {"attention": None}]},
        {"num_key_value_heads_per_layer": [2, 1]},
        {"num_attention_heads": {"0": 4, "1": 2}},
    ],
    ids=str,
)
@pytest.mark.parametrize("nested", [False, True])
def test_configs_that_say_that_layers_differ(
    hand_made: Any, by_layer: dict[str, Any], nested: bool
) -> None:
    hand_made.config |= by_layer
    if nested:
        hand_made.config = {"model_type": "vlm", "text_config": hand_made.config}
    message = refusal(hand_made.write(), UnsupportedModelError)
    assert "differs between layers" in message
    assert next(iter(by_layer)) in message


def test_layers_that_differ_in_their_windows_alone(hand_made: Any) -> None:
    hand_made.config["per_layer_config"] = {"1": {"sliding_window": 4}}
    assert open_checkpoint(hand_made.write()).spec.num_kv_heads == 2


def test_biases_that_the_config_does_not_name(hand_made: Any) -> None:
    for layer, shard in enumerate(hand_made.shards.values()):
        for role in ("k", "v"):
            name = f"model.layers.{layer}.self_attn.{role}_proj.bias"
            shard[name] = ("F32", np.ones(6, "<f4"))
    message = refusal(hand_made.write())
    assert "have biases; expected none, by its config" in message
    hand_made.config["attention_bias"] = True
    assert open_checkpoint(hand_made.write()).spec.has_kv_bias


def test_biases_that_the_config_names_in_vain(hand_made: Any) -> None:
    hand_made.config["attention_bias"] = True
    assert "have no biases; expected biases, by its config" in refusal(hand_made.write())


def test_key_norms_that_the_config_names_in_vain(hand_made: Any) -> None:
    hand_made.config["model_type"] = "qwen3"
    assert "no tensor model.layers.0.self_attn.k_norm.weight and 1 more" in refusal(
        hand_made.write()
    )


def test_more_layers_than_a_config_without_a_number_has(hand_made: Any) -> None:
    hand_made.config = {"model_type": "bloom", "hidden_size": 8, "n_head": 4}
    hand_made.shards = {
        FIRST: {
            f"transformer.h.{layer}.self_attention.query_key_value.{kind}": (
                "F32",
                np.ones(shape, "<f4"),
            )
            for layer in range(3)
            for kind, shape in (("weight", (24, 8)), ("bias", (24,)))
        }
    }
    assert "has a layer 2, and its config names no number of layers" in refusal(hand_made.write())
    hand_made.config["num_hidden_layers"] = 3
    assert open_checkpoint(hand_made.write()).spec.num_layers == 3


def test_query_heads_that_do_not_fit_the_query_weights(hand_made: Any) -> None:
    hand_made.config |= {"num_attention_heads": 8}
    message = refusal(hand_made.write())
    assert "12 rows" in message
    assert "24" in message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_attention_heads": 5}, ("5 query heads and 2 key/value heads",)),
        ({"head_dim": None, "num_attention_heads": 3}, ("hidden size 8 and 3 query heads",)),
        ({"num_attention_heads": 0}, ("num_attention_heads = 0", "positive whole number")),
        ({"hidden_size": "8"}, ("hidden_size = '8'", "positive whole number")),
        ({"num_hidden_layers": None}, ("no num_hidden_layers", "save_pretrained")),
        ({"num_key_value_heads": [2, 1]}, ("num_key_value_heads", "differs between layers")),
    ],
)
def test_geometry_that_cannot_be(
    hand_made: Any, changes: dict[str, Any], words: tuple[str, ...]
) -> None:
    hand_made.config |= changes
    message = refusal(hand_made.write())
    assert all(word in message for word in words)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers(hand_made: Any, bad: float) -> None:
    def spoil(code: str, weights: Any) -> Any:
        weights[4, 2] = bad
        return code, weights

    name = hand_made.change(1, "v", spoil)
    checkpoint = open_checkpoint(hand_made.write())
    with pytest.raises(CheckpointError) as caught:
        read_grams(checkpoint)
    message = str(caught.value)
    assert "value head 1 of layer 1" in message
    assert "1 weights that are NaN or infinite" in message
    assert name in message


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "pytorch_model.bin.index.json", "consolidated.00.pth"]
)
def test_pickles_only(hand_made: Any, name: str) -> None:
    folder = hand_made.write()
    for path in hand_made.folder.glob("model*"):
        path.unlink()
    (hand_made.folder / name).write_bytes(b"pickle")
    message = refusal(folder)
    assert name in message
    assert "save_pretrained" in message


def test_no_weights_at_all(hand_made: Any) -> None:
    folder = hand_made.write()
    for path in hand_made.folder.glob("model*"):
        path.unlink()
    assert "has no weights" in refusal(folder)


def test_shards_without_an_index(hand_made: Any) -> None:
    folder = hand_made.write()
    (hand_made.folder / "model.safetensors.index.json").unlink()
    assert "no model.safetensors.index.json" in refusal(folder)


def test_adapter_beside_the_weights(hand_made: Any) -> None:
    folder = hand_made.write()
    (hand_made.folder / "adapter_config.json").write_text("{}")
    (hand_made.folder / "adapter_model.safetensors").write_bytes(b"")
    message = refusal(folder)
    assert "an adapter beside its weights" in message
    assert "merge_and_unload" in message
    assert "remove the adapter's files" in message


def test_adapter_with_a_config_of_its_base_model(hand_made: Any) -> None:
    folder = hand_made.write()
    for path in hand_made.folder.glob("model*"):
        path.unlink()
    (hand_made.folder / "adapter_config.json").write_text("{}")
    (hand_made.folder / "adapter_model.safetensors").write_bytes(b"")
    message = refusal(folder)
    assert "an adapter without its base model" in message
    assert "merge_and_unload" in message


@pytest.mark.parametrize("name", ["model.fp16.safetensors", "consolidated.safetensors"])
def test_weights_under_another_name(hand_made: Any, name: str) -> None:
    hand_made.shards = {name: hand_made.shards[FIRST] | hand_made.shards[SECOND]}
    folder = hand_made.write()
    (hand_made.folder / "model.safetensors.index.json").unlink()
    message = refusal(folder)
    assert f"({name})" in message
    assert "expected model.safetensors" in message
    assert "rename" in message


@pytest.mark.parametrize("named", ["elsewhere.safetensors", "../model.safetensors", "x.bin"])
def test_weights_that_the_config_names_in_vain(hand_made: Any, named: str) -> None:
    hand_made.config["transformers_weights"] = named
    message = refusal(hand_made.write())
    assert f"no safetensors file {named}" in message


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("adapter_config.json", "merge_and_unload"),
        ("model-Q4.gguf", "GGUF"),
        ("x.txt", "no config"),
    ],
)
def test_folder_of_something_else(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_text("{}")
    assert words in refusal(str(tmp_path))


def test_file_instead_of_a_folder(hand_made: Any) -> None:
    folder = hand_made.write()
    assert "is a file" in refusal(f"{folder}/{FIRST}")


def test_no_such_folder(tmp_path: Path) -> None:
    message = refusal(str(tmp_path / "nowhere"))
    assert "no folder" in message
    assert "demo" in message


def test_revision_of_a_local_folder(hand_made: Any) -> None:
    folder = hand_made.write()
    with pytest.raises(CheckpointError, match="revision 'main' of the local folder"):
        open_checkpoint(folder, revision="main")


@pytest.mark.parametrize("text", ["{", "[1]"])
@pytest.mark.parametrize("name", ["config.json", "model.safetensors.index.json"])
def test_damaged_json(hand_made: Any, name: str, text: str) -> None:
    folder = hand_made.write()
    (hand_made.folder / name).write_text(text)
    message = refusal(folder)
    assert name in message
    assert "JSON" in message


@pytest.mark.parametrize("weight_map", [None, {"x": "../x.safetensors"}, {"x": 1}])
def test_damaged_index(hand_made: Any, weight_map: Any) -> None:
    folder = hand_made.write()
    path = hand_made.folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": weight_map}))
    assert "no weight_map" in refusal(folder)


def test_an_index_of_a_name_that_no_file_can_have(hand_made: Any) -> None:
    folder = hand_made.write()
    path = hand_made.folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"] = dict.fromkeys(index["weight_map"], "x" * 300 + ".safetensors")
    path.write_text(json.dumps(index))
    assert "which its index names" in refusal(folder)


def test_classes_that_are_no_names_say_nothing_of_the_head(hand_made: Any) -> None:
    folder = hand_made.write()
    path = hand_made.folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"architectures": 1}))
    assert open_checkpoint(folder).missing_head == open_checkpoint(hand_made.write()).missing_head


def damaged(name: str, stored: bytes) -> bytes:
    header_bytes = int.from_bytes(stored[:8], "little")
    return {
        "ends early": stored[:-4],
        "ends early, within its header": stored[:100],
        "no safetensors file": b"\x80\x02PICKLE" + stored,
        "Git LFS": b"version https://git-lfs.github.com/spec/v1\n",
        "safetensors header, is damaged": stored[:8]
        + b"?" * header_bytes
        + stored[8 + header_bytes :],
        "192 for shape": stored.replace(b'"data_offsets": [0, 192]', b'"data_offsets": [0, 188]'),
    }[name]


@pytest.mark.parametrize(
    "words",
    [
        "ends early",
        "ends early, within its header",
        "no safetensors file",
        "Git LFS",
        "safetensors header, is damaged",
        "192 for shape",
    ],
)
def test_damaged_shard(hand_made: Any, words: str) -> None:
    folder = hand_made.write()
    path = hand_made.folder / FIRST
    path.write_bytes(damaged(words, path.read_bytes()))
    message = refusal(folder)
    assert FIRST in message
    assert words in message


def test_shard_that_changes_while_it_is_read(hand_made: Any) -> None:
    checkpoint = open_checkpoint(hand_made.write())
    hand_made.change(0, "k", lambda code, weights: (code, weights.reshape(8, 6)))
    hand_made.write()
    with pytest.raises(CheckpointError, match="has changed since"):
        checkpoint.read_layer(0)


def test_shard_that_shrinks_while_it_is_read(hand_made: Any) -> None:
    checkpoint = open_checkpoint(hand_made.write())
    checkpoint.read_layer(0)
    path = hand_made.folder / FIRST
    path.write_bytes(path.read_bytes()[:-700])
    with pytest.raises(CheckpointError, match=f"ends early, within tensor {KEY.format(0)[:20]}"):
        checkpoint.read_layer(0)
