"""Calibrate a model: read a text once and keep what merging, searching and refitting need."""

from collections.abc import Callable
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from qcqa.calibrate import calibration_windows, make_batches, second_moments
from qcqa.calibrate.folder import CalibrationFolder, digest_of
from qcqa.calibrate.windows import DEFAULT_TOKENS, DEFAULT_WINDOW_TOKENS
from qcqa.checkpoint import Checkpoint, open_checkpoint
from qcqa.errors import CalibrationError
from qcqa.evaluate import DEMO_TEXT, read_documents
from qcqa.evaluate.running import context_limit_of_config
from qcqa.packaged import demo_model_folder
from qcqa.plan import CalibrationText

DEMO = "demo"

#: Tokens of a batch of the pass over the text: hidden states of a layer's attention at a time.
_BATCH_TOKENS = 4096

#: Takes the layers done and the number of all.
OnLayer = Callable[[int, int], None]


def calibrate_model(
    model: str,
    text: str,
    folder: Path,
    *,
    revision: str | None = None,
    max_tokens: int = DEFAULT_TOKENS,
    source: PreTrainedModel | None = None,
    on_layer: OnLayer | None = None,
) -> CalibrationText:
    """Read a text with a model and keep the second moments of every layer's attention input.

    What lies in the folder from an earlier call with the same arguments is not computed again.

    Parameters
    ----------
    model : str
        Local folder, Hub id, or ``demo``.
    text : str
        A text file, or ``demo`` for the demo's calibration stories. Never the text on which plans
        are evaluated.
    folder : Path
        Where the calibration is kept: ``L`` symmetric matrices of the hidden size, float64.
    revision : str, optional
        Branch, tag or commit on the Hub.
    max_tokens : int
        Tokens to read, at most.
    source : PreTrainedModel, optional
        The model, if it is at hand: float32.
    on_layer : callable, optional
        Called after each layer; raising from it ends the calibration, and what is there is kept.

    Raises
    ------
    CalibrationError
        If the text cannot be used.
    CheckpointError
        If the model cannot be read.
    """
    checkpoint = open_checkpoint(model, revision=revision)
    location = location_of(checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(location, revision=checkpoint.spec.revision or "main")
    config = AutoConfig.from_pretrained(location, revision=checkpoint.spec.revision or "main")
    limit = context_limit_of_config(config)
    windows = calibration_windows(
        tokenizer,
        _documents(text),
        max_tokens=max_tokens,
        window_tokens=min(DEFAULT_WINDOW_TOKENS, limit or DEFAULT_WINDOW_TOKENS),
    )
    kept, fingerprint = CalibrationFolder(folder), checkpoint.fingerprint()
    about = CalibrationText(text, digest_of(windows), sum(map(len, windows)))
    num_layers = checkpoint.spec.num_layers
    if kept.is_of(windows, fingerprint):
        if all(kept.has_moment(layer) for layer in range(num_layers)):
            return about
    else:
        kept.save_windows(windows, fingerprint)
    read = source or load_float32(checkpoint)
    batches = make_batches(windows, batch_tokens=_BATCH_TOKENS, device=read.device)
    moments = second_moments(read, batches, with_bias=checkpoint.spec.has_kv_bias)
    for layer, moment in enumerate(moments):
        kept.save_moment(layer, moment)
        if on_layer:
            on_layer(layer + 1, num_layers)
    return about


def load_float32(checkpoint: Checkpoint) -> PreTrainedModel:
    """Return a checkpoint's model in float32, in which merged attention is fitted."""
    return AutoModelForCausalLM.from_pretrained(
        location_of(checkpoint),
        revision=checkpoint.spec.revision or "main",
        dtype=torch.float32,
        use_safetensors=True,
    )


def location_of(checkpoint: Checkpoint) -> str:
    """Return where transformers finds a checkpoint: its folder, or its id on the Hub."""
    return str(checkpoint.folder) if checkpoint.folder.is_dir() else checkpoint.spec.source


def _documents(text: str) -> list[str]:
    if text == DEMO:
        return read_documents(demo_model_folder() / "calibration.txt", separator="\n\n")
    path = Path(text).expanduser()
    held_out = demo_model_folder() / f"{DEMO_TEXT}.txt"
    if path.is_file() and path.resolve() == held_out.resolve():
        raise CalibrationError(
            f"{text} is the text on which plans of the demo model are evaluated",
            expected="another text",
            remedy="use --calibration demo",
        )
    return read_documents(path)
