"""Checkpoints of a training: safetensors for the tensors, JSON for the scalars, nothing pickled."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from qcqa.errors import RunError

_STATE = "training.json"
_TENSORS = "training.safetensors"


@dataclass(frozen=True, slots=True)
class Progress:
    """Scalars of a training that is under way.

    Attributes
    ----------
    step
        Steps done; the next batch is that of this step.
    tokens
        Tokens trained on so far.
    wall_seconds
        Time spent training, over all resumes.
    """

    step: int = 0
    tokens: int = 0
    wall_seconds: float = 0.0


def save_checkpoint(
    directory: Path,
    *,
    model: torch.nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    progress: Progress,
    settings: dict[str, Any],
) -> None:
    """Write a checkpoint atomically: a crash leaves the previous one whole.

    Parameters
    ----------
    directory
        Where the checkpoint stands; replaced.
    model, optimizers
        What to save, in float32.
    progress
        Scalars of the training.
    settings
        What a resume must agree on.
    """
    tensors = {f"model.{name}": value.detach() for name, value in model.named_parameters()}
    scalars: dict[str, dict[str, float]] = {}
    for index, optimizer in enumerate(optimizers):
        for key, state in optimizer.state_dict()["state"].items():
            for name, value in state.items():
                label = f"optimizer.{index}.{key}.{name}"
                if isinstance(value, torch.Tensor):
                    tensors[label] = value
                else:
                    scalars.setdefault(f"{index}.{key}", {})[name] = value
    fresh = directory.with_name(directory.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    save_file({name: value.contiguous() for name, value in tensors.items()}, fresh / _TENSORS)
    document = {
        "step": progress.step,
        "tokens": progress.tokens,
        "wall_seconds": progress.wall_seconds,
        "settings": settings,
        "optimizer_scalars": scalars,
    }
    (fresh / _STATE).write_text(json.dumps(document, indent=2) + "\n")
    old = directory.with_name(directory.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if directory.exists():
        os.rename(directory, old)
    os.rename(fresh, directory)
    shutil.rmtree(old, ignore_errors=True)


def find_checkpoint(directory: Path) -> Path | None:
    """Return the checkpoint to resume from, also when a crash fell between its two renames."""
    for candidate in (directory, directory.with_name(directory.name + ".old")):
        if (candidate / _STATE).is_file():
            return candidate
    return None


def load_checkpoint(
    directory: Path,
    *,
    model: torch.nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
) -> tuple[Progress, dict[str, Any]]:
    """Put a checkpoint back into a model and its optimizers.

    Returns
    -------
    tuple
        The progress, and the settings that the checkpoint was made with.
    """
    document = json.loads((directory / _STATE).read_text())
    tensors = load_file(directory / _TENSORS)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(tensors[f"model.{name}"])
    for index, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, Any]] = {}
        for label, value in tensors.items():
            parts = label.split(".", 3)
            if parts[0] == "optimizer" and int(parts[1]) == index:
                state.setdefault(int(parts[2]), {})[parts[3]] = value
        for key, values in document["optimizer_scalars"].items():
            owner, parameter_index = key.split(".")
            if int(owner) == index:
                state.setdefault(int(parameter_index), {}).update(values)
        optimizer.load_state_dict(
            {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
        )
    progress = Progress(document["step"], document["tokens"], document["wall_seconds"])
    return progress, document["settings"]


def read_checkpoint(
    directory: Path,
) -> tuple[dict[str, torch.Tensor], Progress, dict[str, Any]]:
    """Return the model's weights, the progress and the settings of a checkpoint.

    Raises
    ------
    RunError
        There is no checkpoint.
    """
    found = find_checkpoint(directory)
    if found is None:
        raise RunError(f"no checkpoint in {directory}", remedy="name a run's folder checkpoint/")
    document = json.loads((found / _STATE).read_text())
    weights = {
        name.removeprefix("model."): value
        for name, value in load_file(found / _TENSORS).items()
        if name.startswith("model.")
    }
    progress = Progress(document["step"], document["tokens"], document["wall_seconds"])
    return weights, progress, document["settings"]
