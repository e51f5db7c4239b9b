"""A tiny model that goes the whole way: built, converted, opened, its cache counted, a text."""

from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, set_seed

from qcqa.conversion.folder import convert_checkpoint
from qcqa.conversion.loading import load
from qcqa.measure.generate import generate_text, prompt_ids
from qcqa.measure.generated import GenerationSettings
from qcqa.measure.promised_cache import promised_cache
from qcqa.model.device import default_device
from qcqa.model.opening import open_checkpoint
from qcqa.model.source_model import load_tokenizer
from qcqa.plan.plan import Plan, Prediction
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.registry import site_from_json

_HEADS, _HEAD_DIM = 6, 8
#: Groups of unequal sizes, other ones for keys than for values and in each layer.
_LAYERS = (
    ([[0, 1, 2], [3, 5], [4]], [[0, 5], [1, 2, 3, 4]]),
    ([[0, 2, 3, 4, 5], [1]],) * 2,
)
_SETTINGS = GenerationSettings("Once upon a time", max_new_tokens=16)


class TinyProof:
    """A random Llama whose heads share, on the device where models run by default.

    Parameters
    ----------
    folder : Path
        Empty; source and converted model are written into it.
    """

    def __init__(self, folder: Path):
        self._source, self._converted = folder / "source", folder / "converted"
        # The demo model's travels with the package.
        self._tokenizer = load_tokenizer(open_checkpoint("demo"))
        self._plan: Plan
        self._model: PreTrainedModel

    def convert(self) -> str:
        """Write the source and the checkpoint that the plan makes of it; return what it is."""
        set_seed(0)
        config = LlamaConfig(
            vocab_size=len(self._tokenizer),
            hidden_size=_HEADS * _HEAD_DIM,
            intermediate_size=64,
            num_hidden_layers=len(_LAYERS),
            num_attention_heads=_HEADS,
            num_key_value_heads=_HEADS,
            head_dim=_HEAD_DIM,
        )
        LlamaForCausalLM(config).save_pretrained(self._source)
        checkpoint = open_checkpoint(str(self._source))
        sites = [
            [
                site_from_json([{"kind": "groups", "groups": groups}], checkpoint.spec)
                for groups in layer
            ]
            for layer in _LAYERS
        ]
        self._plan = Plan(
            model=checkpoint.spec,
            fingerprint=checkpoint.fingerprint(),
            method="optimal",
            merge="mean",
            layers=tuple(LayerChoice(*layer) for layer in sites),
            predicted=Prediction(wse=0.0, relative_wse=0.0),
        )
        convert_checkpoint(str(self._source), self._plan, self._converted)
        return f"{checkpoint.spec.num_stored_heads} heads to {self._plan.num_stored_heads}"

    def open(self) -> str:
        """Open the converted checkpoint; return where it runs."""
        self._model = load(self._converted)
        device = default_device()
        torch.nn.Module.to(self._model, device)  # its own is hidden from type checkers
        return f"on {device}"

    def count(self) -> str:
        """Count the live cache; return its bytes.

        Raises
        ------
        EvaluationError
            If they are not those that the plan promises.
        """
        held = promised_cache(self._model, self._plan, "the tiny model")
        source = self._plan.model.kv_bytes_per_token()
        return f"{held:g} bytes per token, as the plan promises; the source's holds {source}"

    def write(self) -> str:
        """Generate a text; return how long it is."""
        prompt = prompt_ids(self._tokenizer, _SETTINGS.prompt)
        figures = generate_text(
            self._model, self._tokenizer, prompt, _SETTINGS, on_token=lambda *_: None
        )
        return f"{figures.new_tokens} tokens after {figures.prompt_tokens}"
