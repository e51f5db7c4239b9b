"""Calibrate a model: read a text once and keep what merging, searching and refitting need."""

import shutil
from pathlib import Path

import torch
from transformers import PreTrainedModel

from qcqa.conversion.live import source_heads
from qcqa.errors import CalibrationError
from qcqa.files.user_path import is_folder, is_plain_file, user_path
from qcqa.model.checkpoint import Checkpoint
from qcqa.model.opening import open_checkpoint
from qcqa.model.source_model import load_config, load_float32, load_tokenizer
from qcqa.packaged import DEMO_TEXT, demo_model_folder
from qcqa.plan.plan import CalibrationText, Plan
from qcqa.progress import OnLayer
from qcqa.reduce.groups.merge import MERGES
from qcqa.reduce.groups.merge.grams import layer_grams
from qcqa.text.batches import make_batches
from qcqa.text.calibration_folder import CalibrationFolder, digest_of
from qcqa.text.calibration_windows import (
    DEFAULT_TOKENS,
    DEFAULT_WINDOW_TOKENS,
    IntArray,
    calibration_windows,
)
from qcqa.text.documents import read_documents
from qcqa.text.moments import second_moments
from qcqa.text.running import context_limit
from qcqa.text.token_ids import require_embedded

DEMO = "demo"

#: Tokens of a batch of the pass over the text: hidden states of a layer's attention at a time.
_BATCH_TOKENS = 4096


def calibrate_model(
    model: str,
    text: str,
    folder: Path,
    *,
    revision: str | None = None,
    max_tokens: int = DEFAULT_TOKENS,
    device: str = "auto",
    with_grams: bool = True,
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
        are evaluated. Or the folder of an earlier calibration of this model.
    folder : Path
        Where the calibration is kept: ``L`` symmetric matrices of the hidden size, float64, and
        Grams of about the same size.
    revision : str, optional
        Branch, tag or commit on the Hub.
    max_tokens : int
        Tokens to read, at most.
    device : str
        Where the model runs, unless it is at hand: ``auto``, ``cpu``, ``cuda`` …
    with_grams : bool
        Whether to keep what a search needs of each layer, while its second moment is at hand.
    source : PreTrainedModel, optional
        The model, if it is at hand: float32.
    on_layer : callable, optional
        Called after each layer; raising from it ends the calibration, and what is there is kept.

    Raises
    ------
    CalibrationError
        If the text cannot be used.
    QCQAError
        If the model, its tokenizer or the text cannot be read.
    """
    checkpoint = open_checkpoint(model, revision=revision)
    checkpoint.require_language_model()
    if (earlier := _earlier(text)) is not None:
        about = _whole(checkpoint, earlier)
        if earlier.resolve() != folder.resolve():
            shutil.copytree(earlier, folder, dirs_exist_ok=True)
        return about
    about, windows = _read_text(checkpoint, text, max_tokens)
    kept, fingerprint = CalibrationFolder(folder), checkpoint.fingerprint()
    num_layers = checkpoint.spec.num_layers
    if kept.is_of(windows, fingerprint):
        if all(kept.has_moment(layer) for layer in range(num_layers)):
            return about
    else:
        kept.save_windows(windows, fingerprint)
    read = source or load_float32(checkpoint, device)
    batches = make_batches(windows, batch_tokens=_BATCH_TOKENS, device=read.device)
    moments = second_moments(read, batches, with_bias=checkpoint.spec.has_kv_bias)
    for layer, moment in enumerate(moments):
        kept.save_moment(layer, moment)
        if with_grams:
            save_grams(read, layer, kept)
        if on_layer:
            on_layer(layer + 1, num_layers)
    return about


def look_at_calibration(
    model: str, text: str, *, revision: str | None = None, max_tokens: int = DEFAULT_TOKENS
) -> CalibrationText:
    """Return what :func:`calibrate_model` would, and refuse what it would; loads no weights.

    Raises
    ------
    CalibrationError
        If the text is too short, or the folder of an earlier calibration cannot serve.
    EvaluationError
        If the text cannot be read, or the model has no embedding for one of its tokens.
    QCQAError
        If the model or its tokenizer cannot be opened.
    """
    checkpoint = open_checkpoint(model, revision=revision)
    checkpoint.require_language_model()
    if (earlier := _earlier(text)) is not None:
        return _whole(checkpoint, earlier)
    return _read_text(checkpoint, text, max_tokens)[0]


def _read_text(
    checkpoint: Checkpoint, text: str, max_tokens: int
) -> tuple[CalibrationText, tuple[IntArray, ...]]:
    """Return what is said of a text, and its windows of tokens."""
    documents = _documents(text)
    config, tokenizer = load_config(checkpoint), load_tokenizer(checkpoint)
    limit = context_limit(config)
    windows = calibration_windows(
        tokenizer,
        documents,
        max_tokens=max_tokens,
        window_tokens=min(DEFAULT_WINDOW_TOKENS, limit or DEFAULT_WINDOW_TOKENS),
    )
    require_embedded(windows, tokenizer, config, what="the calibration text")
    num_tokens = sum(map(len, windows))
    return CalibrationText(text, digest_of(windows), num_tokens, max_tokens), windows


def _earlier(text: str) -> Path | None:
    """Return the folder of an earlier calibration, where that is named in place of a text."""
    path = user_path(text, CalibrationError)
    return path if text != DEMO and is_folder(path, CalibrationError) else None


@torch.no_grad()
def save_grams(source: PreTrainedModel, layer: int, calibration: CalibrationFolder) -> None:
    """Keep the Grams of one layer, whose second moment is there.

    Parameters
    ----------
    source : PreTrainedModel
        The model that was calibrated, float32.
    layer : int
        Number of the layer.
    calibration : CalibrationFolder
        Of the model.
    """
    needs = MERGES["svd"].needs
    weights, context = source_heads(source, layer, needs=needs, moments=calibration.moment)
    layer_grams(weights, context).save(calibration.grams(layer), mark=calibration.mark())


def _whole(checkpoint: Checkpoint, kept: Path) -> CalibrationText:
    """Return what an earlier calibration has read.

    Raises
    ------
    CalibrationError
        If it is of another model, or not whole.
    """
    calibration = CalibrationFolder(kept)
    windows = calibration.windows()
    num_layers = checkpoint.spec.num_layers
    is_whole = all(calibration.has_moment(layer) for layer in range(num_layers))
    if not is_whole or not calibration.is_of(windows, checkpoint.fingerprint()):
        raise CalibrationError(
            f"{kept} is no whole calibration of {checkpoint.spec.source}",
            expected="what qcqa calibrate has written for this model",
            remedy=f"qcqa calibrate {checkpoint.spec.source} --text FILE -o FOLDER",
        )
    num_tokens = sum(map(len, windows))
    return CalibrationText(str(kept), digest_of(windows), num_tokens, num_tokens)


def calibration_of_plan(
    plan: Plan,
    model: str,
    folder: Path,
    *,
    text: str | None = None,
    revision: str | None = None,
    source: PreTrainedModel | None = None,
    on_layer: OnLayer | None = None,
) -> CalibrationFolder:
    """Return the calibration that a plan rests on, made again if it is not there.

    Parameters
    ----------
    plan : Plan
        Made for this model.
    model, revision, source, on_layer
        As in :func:`calibrate_model`.
    folder : Path
        Where the calibration is looked for, and kept.
    text : str, optional
        Where the text is now, if it has moved.

    Raises
    ------
    CalibrationError
        If the plan names no text, or the text is not the one that it was made with.
    QCQAError
        If the text or the model cannot be read.
    """
    place, wanted = require_text_of_plan(plan, model, text=text, revision=revision)
    calibrate_model(
        model,
        place,
        folder,
        revision=revision,
        max_tokens=wanted.max_tokens,
        with_grams=False,
        source=source,
        on_layer=on_layer,
    )
    return CalibrationFolder(folder)


def require_text_of_plan(
    plan: Plan, model: str, *, text: str | None = None, revision: str | None = None
) -> tuple[str, CalibrationText]:
    """Return where the text is that a plan was made with, and what was read; loads no weights.

    Parameters
    ----------
    plan, model, text, revision
        As in :func:`calibration_of_plan`.

    Raises
    ------
    CalibrationError
        If the plan names no text, or it is gone, or another by now.
    QCQAError
        If the text or the model cannot be read.
    """
    wanted = plan.calibration
    if wanted is None:
        raise CalibrationError(
            "a plan that refits and names no calibration text",
            remedy="search again with --calibration FILE",
        )
    place = text or wanted.text
    if place != DEMO and is_folder(user_path(place, CalibrationError), CalibrationError) is None:
        raise CalibrationError(
            f"no calibration text at {place}",
            expected="the text that the plan was made with",
            remedy="say where it is with --calibration FILE",
        )
    found = look_at_calibration(model, place, revision=revision, max_tokens=wanted.max_tokens)
    if found.digest != wanted.digest:
        raise CalibrationError(
            f"{place} gives other tokens than the plan was made with",
            expected=f"the text with the digest {wanted.digest}",
            remedy="give that text with --calibration FILE, or search again",
        )
    return place, wanted


def _documents(text: str) -> list[str]:
    if text == DEMO:
        return read_documents(demo_model_folder() / "calibration.txt", separator="\n\n")
    path = user_path(text, CalibrationError)
    held_out = demo_model_folder() / f"{DEMO_TEXT}.txt"
    if is_plain_file(path) and path.resolve() == held_out.resolve():
        raise CalibrationError(
            f"{text} is the text on which plans of the demo model are evaluated",
            expected="another text",
            remedy="use --calibration demo",
        )
    return read_documents(path)
