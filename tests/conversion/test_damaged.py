"""Converted folders and fitted attention that are damaged: refused in one line, never half used."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from qcqa.conversion.folder import convert_checkpoint
from qcqa.conversion.live import converted_copy
from qcqa.conversion.loading import load
from qcqa.conversion.travelling.modeling_qcqa import QCQAForCausalLM
from qcqa.errors import CalibrationError, CheckpointError
from qcqa.reduce.groups.grouping import Grouping, LayerGrouping
from qcqa.text.merged import attention_tensors, set_attention

MakeCase = Callable[[str], Any]


@pytest.fixture
def llama(make_case: MakeCase) -> Any:
    return make_case("llama-gqa")


@pytest.fixture
def converted(llama: Any, tmp_path: Path) -> Path:
    convert_checkpoint(str(llama.folder), llama.plan, tmp_path / "out")
    return tmp_path / "out"


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as error:
        load(folder)
    return error.value.one_line()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"layout": "x"}, "layout 'x'"),
        ({"modules": {"key": "k"}}, "expected key and value"),
        ({"modules": {"key": "{layer:>9999999999}", "value": "v"}}, "{layer} for the number"),
        ({"num_kv_heads": 0}, "num_kv_heads 0"),
        ({"head_dim": 10**12}, "head_dim is 12 by the config"),
        ({"layers": [{"key": "0 0 9999999999", "value": "0 1 2"}] * 3}, "counted from 0"),
        ({"layers": []}, "num_hidden_layers is 3 by the config: expected 0"),
        ({"prefixes": [None]}, "expected texts"),
        ({"transposed": 1}, "transposed 1"),
        ({"takes_fewer_heads": "no"}, "takes_fewer_heads 'no'"),
    ],
)
def test_a_section_that_describes_no_model(
    changes: dict[str, Any], said: str, converted: Path
) -> None:
    path = converted / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"qcqa": config["qcqa"] | changes}))
    assert said in refusal(converted)


#: Of other models than the weights and the section: what a converted folder's config says instead.
OTHERS: list[tuple[str, dict[str, Any], str]] = [
    # Shared projections are cut to size, so that their weights fit all the same.
    ("llama-gqa", {"num_key_value_heads": 6}, "makes 72 numbers for heads of 12 by the config"),
    ("llama-gqa", {"num_key_value_heads": 1}, "makes 12 numbers for heads of 12 by the config"),
    ("llama-gqa", {"num_attention_heads": 3, "head_dim": 24}, "num_attention_heads is 3"),
    ("llama-gqa", {"num_hidden_layers": 4}, "num_hidden_layers is 4 by the config: expected 3"),
    ("gpt2", {"n_head": 12}, "num_attention_heads is 12"),
    ("gpt2", {"n_head": -1}, "num_attention_heads is -1"),
    ("gpt_neox", {"num_attention_heads": 3}, "num_attention_heads is 3"),
    ("stablelm-norm", {"head_dim": 16}, "head_dim is 16 by the config: expected 8"),
    ("mistral", {"hidden_size": 24, "head_dim": None}, "head_dim is 4 by the config: expected 8"),
    ("falcon-gqa", {"num_kv_heads": 2}, "makes 80 numbers for heads of 8 by the config"),
    ("falcon-gqa", {"num_kv_heads": None}, "makes 144 numbers for heads of 8 by the config"),
    ("falcon-mqa", {"new_decoder_architecture": True}, "heads_per_cached_head is 6"),
]

#: The same of the section.
OTHER_SECTIONS: list[tuple[str, dict[str, Any], str]] = [
    ("llama", {"heads_per_cached_head": 3}, "heads_per_cached_head is 1 by the config: expected 3"),
    ("llama", {"heads_per_cached_head": 10**12}, "heads_per_cached_head is 1 by the config"),
    ("falcon-gqa", {"heads_per_cached_head": 1}, "heads_per_cached_head is 2 by the config"),
    ("llama", {"num_query_heads": 3}, "num_attention_heads is 6 by the config: expected 3"),
    ("llama", {"head_dim": 4}, "head_dim is 8 by the config: expected 4"),
    ("gpt_neox", {"head_dim": 4}, "makes 144 numbers for heads of 8 by the config"),
    ("gpt2", {"transposed": False}, "makes 0 numbers"),
    ("olmo2", {"key_norm": "layers.{layer}.self_attn.q_norm"}, "q_norm has 48 scales"),
    ("llama", {"key_norm": "layers.{layer}.self_attn.k_proj"}, "scales: expected the norm of 6"),
    (
        "llama",
        {"num_kv_heads": 12, "layers": [{"key": "0 " * 12, "value": "0 1 " * 6}] * 3},
        "makes 48 numbers for heads of 8 by the config: expected 96",
    ),
]


@pytest.fixture
def convert_all(make_case: MakeCase, tmp_path: Path) -> MakeCase:
    """Return what converts a tiny model in every layer, so that all of its projections are cut."""

    def converted(name: str) -> Path:
        case = make_case(name)
        layers = case.plan.layers[1:2] * len(case.plan.layers)
        convert_checkpoint(str(case.folder), replace(case.plan, layers=layers), tmp_path / "out")
        return tmp_path / "out"

    return converted


@pytest.mark.parametrize(
    ("name", "changes", "section", "said"),
    [(name, changes, {}, said) for name, changes, said in OTHERS]
    + [(name, {}, changes, said) for name, changes, said in OTHER_SECTIONS],
)
def test_a_config_and_a_section_of_two_models(
    name: str, changes: dict[str, Any], section: dict[str, Any], said: str, convert_all: MakeCase
) -> None:
    folder = convert_all(name)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | changes | {"qcqa": config["qcqa"] | section}))
    assert said in refusal(folder)
    # Transformers alone comes here.
    with pytest.raises(ValueError, match=re.escape(said)):
        QCQAForCausalLM.from_pretrained(folder)


@pytest.mark.parametrize("damage", [{"layers": None}, {"layers": [5]}, {"prefixes": 5}])
def test_transformers_alone_says_what_is_damaged(damage: dict[str, Any], converted: Path) -> None:
    path = converted / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"qcqa": config["qcqa"] | damage}))
    with pytest.raises(ValueError, match="the section 'qcqa' holds what it cannot"):
        QCQAForCausalLM.from_pretrained(converted)
    del config["qcqa"]["layers"]
    path.write_text(json.dumps(config))
    with pytest.raises(ValueError, match="the section 'qcqa' has no 'layers'"):
        QCQAForCausalLM.from_pretrained(converted)


def test_no_section_makes_code_take_fewer_heads_than_it_can(
    make_case: MakeCase, tmp_path: Path
) -> None:
    case, folder = make_case("stablelm"), tmp_path / "out"
    layer = LayerGrouping.shared(Grouping.contiguous(6, 2)).choice
    convert_checkpoint(str(case.folder), replace(case.plan, layers=(layer,) * 3), folder)
    ids = torch.arange(3, 9)[None]
    with torch.no_grad():
        before = load(folder)(ids).logits
        path = folder / "config.json"
        config = json.loads(path.read_text())
        assert config["qcqa"]["takes_fewer_heads"] is False
        config["qcqa"]["takes_fewer_heads"] = True
        path.write_text(json.dumps(config))
        assert torch.equal(load(folder)(ids).logits, before)


def test_weights_that_are_missing_are_not_drawn_at_random(converted: Path) -> None:
    (file,) = [one for one in converted.glob("*.safetensors") if "q_proj" in str(load_file(one))][
        :1
    ]
    tensors = load_file(file)
    name = next(one for one in tensors if "q_proj" in one)
    del tensors[name]
    save_file(tensors, file, {"format": "pt"})
    assert f"has no weights for {name}" in refusal(converted)


@pytest.mark.parametrize("damage", ["gone", "other shape"])
def test_fitted_attention_of_another_model(damage: str, llama: Any, tmp_path: Path) -> None:
    layers = [dict(one) for one in attention_tensors(converted_copy(llama.model, llama.plan))]
    name = next(one for one in layers[1] if "k_proj.weight" in one)
    if damage == "gone":
        del layers[1][name]
    else:
        layers[1][name] = torch.zeros(3, 2)
    with pytest.raises(CalibrationError, match="of layer 1; expected") as error:
        set_attention(converted_copy(llama.model, llama.plan), layers)
    assert "\n" not in str(error.value)
    with pytest.raises(CalibrationError, match="of layer 1; expected"):
        convert_checkpoint(
            str(llama.folder), llama.plan, tmp_path / "out", fitted=layers.__getitem__
        )
    assert not (tmp_path / "out").exists()
