"""A word-level tokenizer, tiny models of several families that read it, and a text."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.cache_utils import Cache

from qcqa.conversion.travelling.cache_qcqa import SharedCache
from qcqa.model.opening import open_checkpoint
from qcqa.plan.plan import Plan, Prediction
from qcqa.reduce.groups.grouping import Grouping, LayerGrouping

WORDS = ["<pad>", "<bos>", "<eos>", "<unk>", *"abcdefghijklmnopqrstuvwxyz.?"]
CONTEXT = 64
COMMON = {
    "vocab_size": len(WORDS),
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "max_position_embeddings": CONTEXT,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GPT2 = {
    "vocab_size": len(WORDS),
    "n_embd": 24,
    "n_layer": 2,
    "n_head": 6,
    "n_positions": CONTEXT,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
FAMILIES = {
    "llama": ("llama", COMMON | {"num_key_value_heads": 6}),
    "llama-gqa": ("llama", COMMON | {"num_key_value_heads": 2}),
    "opt": ("opt", COMMON | {"ffn_dim": 32, "word_embed_proj_dim": 24}),
    "gpt2": ("gpt2", GPT2),
    "bloom": ("bloom", {"vocab_size": len(WORDS), "hidden_size": 24, "n_layer": 2, "n_head": 6}),
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Run tiny models on one thread: several cost more in waiting than they save."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def build(family: str, seed: int = 0) -> PreTrainedModel:
    """Build a tiny random model."""
    model_type, settings = FAMILIES[family]
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **settings))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2)
    return model


@pytest.fixture(scope="session")
def make_model() -> Callable[..., PreTrainedModel]:
    return build


@pytest.fixture
def model() -> PreTrainedModel:
    return build("llama")


@pytest.fixture(params=FAMILIES)
def any_model(request: pytest.FixtureRequest) -> PreTrainedModel:
    return build(request.param)


def _tokenizer(bos: bool) -> PreTrainedTokenizerBase:
    numbers = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<bos> $A <eos>", special_tokens=[("<bos>", 1), ("<eos>", 2)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        pad_token="<pad>",
    )


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerBase:
    """Return a tokenizer that adds BOS and EOS."""
    return _tokenizer(bos=True)


@pytest.fixture(scope="session")
def plain_tokenizer() -> PreTrainedTokenizerBase:
    """Return a tokenizer that adds nothing."""
    return _tokenizer(bos=False)


@pytest.fixture(scope="session")
def documents() -> list[str]:
    """Return 30 documents of 3 to 60 letters, each with its own favourites."""
    generator = torch.Generator().manual_seed(3)
    texts = []
    for _ in range(30):
        favourites = torch.rand(26, generator=generator) ** 4
        length = int(torch.randint(3, 61, (), generator=generator))
        letters = torch.multinomial(favourites, length, replacement=True, generator=generator)
        texts.append(" ".join(WORDS[4 + letter] for letter in letters.tolist()))
    return texts


def _unequal_plan(folder: Path) -> Plan:
    """Return a plan whose layers keep 2 and 5 key heads, 3 and 1 value heads."""
    checkpoint = open_checkpoint(str(folder))
    labels = (([0, 1, 0, 1, 0, 0], [0, 1, 2, 0, 1, 2]), ([0, 1, 2, 3, 4, 4], [0] * 6))
    return Plan(
        model=checkpoint.spec,
        fingerprint=checkpoint.fingerprint(),
        method="test",
        merge="mean",
        layers=tuple(
            LayerGrouping(*(Grouping.from_labels(np.array(one)) for one in layer)).choice
            for layer in labels
        ),
        predicted=Prediction(wse=0.0, relative_wse=0.0),
    )


@pytest.fixture(scope="session")
def unequal_plan() -> Callable[[Path], Plan]:
    """Return a maker of plans whose layers differ, for a model in a folder."""
    return _unequal_plan


class _Rounding:
    """A view of a cache that keeps whole numbers; tokens of the same call are seen as they came."""

    def __init__(self, cache: Any):
        self._cache = cache

    def update(self, keys: Tensor, values: Tensor, *args: Any, **kwargs: Any) -> Any:
        stored = self._cache.update(keys.round(), values.round(), *args, **kwargs)
        earlier = slice(None, stored[0].shape[-2] - keys.shape[-2])
        return tuple(
            torch.cat((rounded[..., earlier, :], states), dim=-2)
            for rounded, states in zip(stored, (keys, values), strict=True)
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)


def _round_cache(model: PreTrainedModel) -> PreTrainedModel:
    """Let a Llama's cache, shared or not, lose what is behind the point."""

    def view(_attention: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        seen = {
            name: _Rounding(one) if isinstance(one, (Cache, SharedCache)) else one
            for name, one in kwargs.items()
        }
        return args, seen

    for layer in model.get_decoder().layers:
        layer.self_attn.register_forward_pre_hook(view, with_kwargs=True)
    return model


@pytest.fixture(scope="session")
def round_cache() -> Callable[[PreTrainedModel], PreTrainedModel]:
    """Return what makes a model's cache lose something."""
    return _round_cache
