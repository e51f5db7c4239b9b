"""Layers that see a window of tokens alone are left in full precision by what packs tokens."""

import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma2Config, Gemma2ForCausalLM

from qcqa.conversion.live import convert
from qcqa.measure.cache_bytes import cache_bytes_after
from qcqa.packaged import demo_model_folder
from qcqa.pick.plan import plan_of_result
from qcqa.search.calibrated_model import CalibratedModel
from qcqa.search.search import search_model
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.options import ExactOptions
from qcqa.text.documents import demo_documents


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """Return a tiny model of the demo's language whose layers slide, every other one."""
    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=2240,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        sliding_window=16,
    )
    Gemma2ForCausalLM(config).save_pretrained(tmp_path / "model")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(demo_model_folder() / name, tmp_path / "model")
    return tmp_path / "model"


def test_bits_only_where_all_tokens_are_seen(model_folder: Path, tmp_path: Path) -> None:
    text = tmp_path / "calibration.txt"
    text.write_text("\n".join(demo_documents()[:14]), encoding="utf-8")
    result = search_model(
        str(model_folder),
        methods=("bits-4", "bits", "heads-bits"),
        settings=SearchSettings(exact=ExactOptions(restarts=1), workers=1),
        calibrated=CalibratedModel(str(model_folder), str(text), tmp_path / "calibration"),
    )
    for method in ("bits-4", "bits", "heads-bits"):
        plan = plan_of_result(result, int(0.9 * result.spec.kv_bits), method=method)
        slides, sees_all = plan.layers[::2], plan.layers[1::2]
        assert not any(any(layer.codecs()) for layer in slides)
        assert any(any(layer.codecs()) for layer in sees_all)
        model = convert(AutoModelForCausalLM.from_pretrained(model_folder), plan)
        assert cache_bytes_after(model, 12) == plan.cache_bytes(12, dtype="float32")
    assert all(all(layer.codecs()) for layer in result.fronts["bits-4"].plan_layers(0)[1::2])
