"""Converted folders and fitted attention that are damaged: refused in one line, never half used."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from qcqa.conversion.folder import convert_checkpoint
from qcqa.conversion.live import converted_copy
from qcqa.conversion.loading import load
from qcqa.errors import CalibrationError, CheckpointError
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
        ({"head_dim": 10**12}, "cannot be opened"),
        ({"layers": [{"key": "0 0 9999999999", "value": "0 1 2"}] * 3}, "counted from 0"),
        ({"layers": []}, "3 layers by its config"),
        ({"prefixes": [None]}, "expected texts"),
    ],
)
def test_a_section_that_describes_no_model(
    changes: dict[str, Any], said: str, converted: Path
) -> None:
    path = converted / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"qcqa": config["qcqa"] | changes}))
    assert said in refusal(converted)


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
