"""What cannot be read is refused in one line that says what was found and what to do."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qcqa.checkpoint import open_checkpoint, read_grams
from qcqa.errors import CheckpointError, UnsupportedModelError

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
    assert "qcqa/checkpoint/architectures" in message


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


def damaged(name: str, stored: bytes) -> bytes:
    header_bytes = int.from_bytes(stored[:8], "little")
    return {
        "ends early": stored[:-4],
        "ends early, within its header": stored[:100],
        "no safetensors file": b"\x80\x02PICKLE" + stored,
        "Git LFS": b"version https://git-lfs.github.com/spec/v1\n",
        "damaged safetensors header": stored[:8] + b"?" * header_bytes + stored[8 + header_bytes :],
        "192 for shape": stored.replace(b'"data_offsets": [0, 192]', b'"data_offsets": [0, 188]'),
    }[name]


@pytest.mark.parametrize(
    "words",
    [
        "ends early",
        "ends early, within its header",
        "no safetensors file",
        "Git LFS",
        "damaged safetensors header",
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
