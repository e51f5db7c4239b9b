"""What is kept to be read again: a converted model, fitted attention, scores and rises."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

import qcqa
from qcqa.conversion.folder import convert_checkpoint
from qcqa.conversion.live import converted_copy
from qcqa.measure.layer_scores import LayerScores, load_layer_scores
from qcqa.measure.task_scores import Stratum, TaskScores, load_task_scores, save_task_scores
from qcqa.measure.text_scores import TextScores, load_text_scores
from qcqa.model.opening import open_checkpoint
from qcqa.plan.plan import Measurement, Plan, Prediction
from qcqa.reduce.bits.choice import Bits
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.groups.earlier import site_of_labels
from qcqa.reduce.latent.choice import Latent
from qcqa.reduce.registry import site_to_json
from qcqa.text.fitted import FittedFolder
from qcqa.text.fitted_attention import fitted_attention
from qcqa.text.known_rises import KnownRises
from qcqa.text.merged import attention_tensors, set_attention

_KEY = "k"
_CHANGES = [(site_to_json(site_of_labels(labels)), []) for labels in ((0, 0, 1, 1), (0, 1, 2, 2))]
_PLACES = np.arange(24, dtype=np.int32) // 2
_TEXT = TextScores(
    data="demo",
    digest="0" * 16,
    nll=np.ones(24, np.float32),
    is_right=np.ones(24, np.bool_),
    kl=np.ones(24, np.float32),
    is_same=np.ones(24, np.bool_),
    document=_PLACES,
    window=_PLACES,
)
_TASK = TaskScores(
    task="task",
    digest="0" * 16,
    means={("acc", "none"): (Stratum(0.5, np.ones(12)), Stratum(0.5, np.zeros(12)))},
    others=(Measurement("task/bleu", 0.5, 0.1, 12),),
)


@dataclass(frozen=True)
class TinyModel:
    """A random Llama of two layers and four heads, the plan of one, and what it was made to."""

    plan: Plan
    converted: Path
    #: By the plan, in memory.
    reduced: PreTrainedModel

    @classmethod
    def make(cls, folder: Path) -> "TinyModel":
        """Write it, and its conversion, into a new folder."""
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=16, hidden_size=16, intermediate_size=8, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=32,
        )  # fmt: skip
        model = LlamaForCausalLM(config).eval()
        model.save_pretrained(folder / "source")
        checkpoint = open_checkpoint(str(folder / "source"))
        plan = Plan(
            model=checkpoint.spec,
            fingerprint=checkpoint.fingerprint(),
            method="gqa",
            merge="mean",
            layers=(
                LayerChoice(site_of_labels((0, 0, 1, 1)), site_of_labels((0, 1, 0, 1))),
                LayerChoice((Latent((2, 1)),), (Latent(free=8), Bits(((4, None),), group=8))),
            ),
            predicted=Prediction(0.0, 0.0),
        )
        convert_checkpoint(str(folder / "source"), plan, folder / "converted")
        return cls(plan, folder / "converted", converted_copy(model, plan))

    def config(self) -> dict[str, bytes]:
        """Return the config of the converted model."""
        return {"config.json": (self.converted / "config.json").read_bytes()}

    def read_config(self, folder: Path) -> None:
        """Open the converted model with another config."""
        folder.mkdir(exist_ok=True)
        for path in self.converted.iterdir():
            if path.name != "config.json":
                os.symlink(path, folder / path.name)
        model = qcqa.load(folder)
        model(torch.ones(1, 4, dtype=torch.long))

    def fitted(self, folder: Path) -> dict[str, bytes]:
        """Return the plan's attention as it is kept."""
        layers = attention_tensors(self.reduced)
        FittedFolder(folder).save(
            self.plan, [{name: one.numpy() for name, one in layer.items()} for layer in layers]
        )
        (file,) = folder.iterdir()
        return {file.name: file.read_bytes()}

    def read_fitted(self, folder: Path) -> None:
        """Give the plan's model its kept attention."""
        kept = FittedFolder(folder)
        set_attention(self.reduced, fitted_attention(self.plan, kept, lambda: self.reduced))


def kept_measurements(folder: Path) -> dict[str, bytes]:
    """Return scores of a text, of tasks and of layers, and rises, as they are kept."""
    folder.mkdir()
    _TEXT.save(folder / "text.safetensors")
    save_task_scores({"task": _TASK}, folder / "task.safetensors")
    both = np.stack([_TEXT.kl, _TEXT.kl])
    LayerScores(both, both > 0, _TEXT.document, _TEXT.window, 1.0).save(
        folder / "layers.safetensors", _KEY
    )
    KnownRises(folder / "rises.jsonl").of(0, _CHANGES, float)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def read_measurements(folder: Path) -> None:
    """Read what is kept of measurements as those do that go on from it."""
    text = load_text_scores(folder / "text.safetensors")
    text.measurements(), text.samples(), _TEXT.compared_with(text)
    for task in load_task_scores(folder / "task.safetensors").values():
        task.measurements(), task.samples(), _TASK.compared_with(task)
    layers = load_layer_scores(folder / "layers.safetensors", _KEY) or LayerScores.none(2)
    if layers.num_windows:
        layers.effects([0, 1], 2)
    assert KnownRises(folder / "rises.jsonl").of(0, _CHANGES, float).shape == (2,)
