"""The demo model: a small Llama with plain multi-head attention."""

from dataclasses import dataclass

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from qcqa.demo.tokenizer import BOS, EOS, PAD, vocabulary_size

ROPE_THETA = 500_000.0


@dataclass(frozen=True, slots=True)
class DemoShape:
    """Geometry of the demo model."""

    hidden_size: int = 256
    num_layers: int = 6
    num_heads: int = 8
    intermediate_size: int = 512
    max_positions: int = 512

    def config(self) -> LlamaConfig:
        """Return the configuration for ``transformers``: as many K/V heads as query heads."""
        return LlamaConfig(
            vocab_size=vocabulary_size(),
            hidden_size=self.hidden_size,
            intermediate_size=self.intermediate_size,
            num_hidden_layers=self.num_layers,
            num_attention_heads=self.num_heads,
            num_key_value_heads=self.num_heads,
            head_dim=self.hidden_size // self.num_heads,
            max_position_embeddings=self.max_positions,
            tie_word_embeddings=True,
            rope_parameters={"rope_theta": ROPE_THETA, "rope_type": "default"},
            attention_bias=False,
            mlp_bias=False,
            pad_token_id=PAD,
            bos_token_id=BOS,
            eos_token_id=EOS,
        )


def build_model(shape: DemoShape, *, seed: int) -> LlamaForCausalLM:
    """Return a freshly initialised model; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(shape.config())


def num_parameters(model: torch.nn.Module) -> int:
    """Return the number of stored parameters (a tied embedding counts once)."""
    return sum(parameter.numel() for parameter in model.parameters())
