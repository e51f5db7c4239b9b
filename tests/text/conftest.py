"""The demo's tokenizer, and a tiny model with a text of random tokens."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, OPTConfig, OPTForCausalLM

from qcqa.packaged import demo_model_folder
from qcqa.text.batches import make_batches


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def demo_tokenizer():
    return AutoTokenizer.from_pretrained(str(demo_model_folder()))


@pytest.fixture(params=["llama", "opt"])
def model(request):
    torch.manual_seed(0)
    common = {
        "vocab_size": 64,
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "max_position_embeddings": 64,
    }
    if request.param == "llama":
        built = LlamaForCausalLM(LlamaConfig(intermediate_size=48, **common))
    else:
        built = OPTForCausalLM(OPTConfig(ffn_dim=48, word_embed_proj_dim=32, **common))
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.normal_(std=0.2)
    return built.eval()


@pytest.fixture
def batches():
    rng = np.random.default_rng(0)
    windows = [rng.integers(3, 64, size=size, dtype=np.int32) for size in [24] * 40 + [17] * 8]
    return make_batches(windows, batch_tokens=96)
