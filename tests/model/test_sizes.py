"""Numbers that no file could hold are refused before anything of their size is made."""

import json
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from qcqa.errors import QCQAError
from qcqa.model.opening import open_checkpoint
from qcqa.plan.file import load_plan

PLAN = {
    "format": "qcqa-plan",
    "version": 2,
    "model": {
        "source": "x",
        "revision": None,
        "model_type": "llama",
        "num_layers": 1,
        "num_query_heads": 4,
        "num_kv_heads": 4,
        "head_dim": 4,
        "hidden_size": 16,
        "has_kv_bias": False,
        "dtype": "float32",
        "fingerprint": "0",
    },
    "method": "mha",
    "merge": "mean",
    "layers": [{"key": [], "value": []}],
    "kv_ratio": 1.0,
    "kv_bytes_per_token": 128.0,
    "predicted": {"wse": 0, "relative_wse": 0},
    "measured": [],
    "provenance": {},
}
CONFIG = {
    "model_type": "llama",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
}


@pytest.fixture
def _little_memory() -> Iterator[None]:
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50e6


def _refusal(read: Callable[[], object]) -> str:
    with pytest.raises(QCQAError) as refused:
        read()
    assert "\n" not in refused.value.one_line()
    return refused.value.one_line()


def _plan(tmp_path: Path, **changes: object) -> Path:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(PLAN | {"model": {**PLAN["model"], **changes}}))  # type: ignore[dict-item]
    return path


@pytest.mark.usefixtures("_little_memory")
@pytest.mark.parametrize("number", [10**7, 10**10, 10**20, 10**200])
def test_a_plan_of_more_heads_than_any_model_has(tmp_path: Path, number: int) -> None:
    path = _plan(tmp_path, num_kv_heads=number, num_query_heads=number)
    said = _refusal(lambda: load_plan(path))
    assert f"1 layers of {number} key/value heads" in said
    assert "at most 1048576 heads, and weights of fewer than 2^63 bytes" in said


@pytest.mark.parametrize("field", ["head_dim", "hidden_size"])
def test_a_plan_of_more_weights_than_files_hold(tmp_path: Path, field: str) -> None:
    path = _plan(tmp_path, **{field: 2**60})
    assert "fewer than 2^63 bytes" in _refusal(lambda: load_plan(path))


def test_the_plan_is_one_otherwise(tmp_path: Path) -> None:
    assert load_plan(_plan(tmp_path)).kv_ratio == 1


@pytest.fixture
def model(tmp_path: Path) -> Path:
    names = [f"model.layers.0.self_attn.{role}_proj.weight" for role in "kv"]
    weights = np.ones((16, 16), np.float32)
    save_file(dict.fromkeys(names, weights), tmp_path / "model.safetensors")
    return tmp_path


@pytest.mark.usefixtures("_little_memory")
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_hidden_layers": 10**9}, "1000000000 layers in the config of"),
        ({"num_hidden_layers": 10**20}, "whose files hold 2 tensors"),
        ({"hidden_size": 10**10, "head_dim": 4}, "has shape (16, 16)"),
        ({"num_attention_heads": 10**10, "num_key_value_heads": 10**10, "head_dim": 1}, "heads"),
        ({"head_dim": 10**12}, "has shape (16, 16)"),
        ({"num_key_value_heads": 1e999}, "num_key_value_heads = inf"),
    ],
)
def test_a_config_of_more_than_its_weights(
    model: Path, changes: dict[str, float], said: str
) -> None:
    (model / "config.json").write_text(json.dumps(CONFIG | changes))
    assert said in _refusal(lambda: open_checkpoint(str(model)))


@pytest.mark.parametrize("share", ["half", -1, 10**12, [1], 1e999])
def test_a_share_of_heads_that_cannot_rotate(tmp_path: Path, share: object) -> None:
    module = "gpt_neox.layers.0.attention.query_key_value"
    tensors = {"weight": np.ones((48, 16), np.float32), "bias": np.ones(48, np.float32)}
    save_file(
        {f"{module}.{name}": one for name, one in tensors.items()}, tmp_path / "model.safetensors"
    )
    config = {"model_type": "gpt_neox", "hidden_size": 16, "num_hidden_layers": 1}
    config |= {"num_attention_heads": 2, "rotary_pct": share, "rope_parameters": {}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert "tells how positions enter" in _refusal(lambda: open_checkpoint(str(tmp_path)))


def test_the_model_is_one_otherwise(model: Path) -> None:
    (model / "config.json").write_text(json.dumps(CONFIG))
    assert open_checkpoint(str(model)).spec.num_kv_heads == 4
