"""What several tests need: a tiny model on disk, and a home for runs that is nobody's own."""

from pathlib import Path

import numpy as np
import pytest
from transformers import LlamaConfig, LlamaForCausalLM, set_seed

from qcqa.gram import HeadGram, ModelGrams, gram_of_heads
from qcqa.model_spec import ModelSpec
from qcqa.runs.store import create_run
from qcqa.runs.worker import work
from qcqa.search.config import SearchSettings


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test's runs apart from each other and from the user's."""
    monkeypatch.setenv("QCQA_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("QCQA_RUNS", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a random Llama of 4 layers and 12 heads."""
    folder = tmp_path_factory.mktemp("models") / "tiny-llama"
    set_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=48,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=12,
        num_key_value_heads=12,
        head_dim=4,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def searched_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished search of the demo model; nobody writes to it."""
    folder = tmp_path_factory.mktemp("searched") / "run"
    work(create_run(model="demo", methods=("optimal",), settings=SearchSettings(), folder=folder))
    return folder


@pytest.fixture
def random_grams() -> ModelGrams:
    """Return the Grams of 3 layers of 8 random heads."""
    rng = np.random.default_rng(0)

    def gram() -> np.ndarray:
        return gram_of_heads(rng.normal(size=(8, 4, 16)).astype(np.float32))

    spec = ModelSpec(
        source="random",
        revision=None,
        model_type="llama",
        num_layers=3,
        num_query_heads=8,
        num_kv_heads=8,
        head_dim=4,
        hidden_size=16,
        has_kv_bias=False,
        dtype="bfloat16",
    )
    layers = tuple(HeadGram(key=gram(), value=gram()) for _ in range(3))
    return ModelGrams(spec=spec, fingerprint="0" * 16, layers=layers)
