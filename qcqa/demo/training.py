"""The training of the demo model: optimizers, steps, checkpoints and exact resumes."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import LlamaForCausalLM

from qcqa.demo.batches import BatchMaker
from qcqa.demo.checkpoints import Progress, find_checkpoint, load_checkpoint, save_checkpoint
from qcqa.demo.initial import add_look_up_heads
from qcqa.demo.model import DemoShape, build_model, num_parameters
from qcqa.demo.schedule import Schedule
from qcqa.errors import RunError


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that decides the trained weights, besides the machine's arithmetic."""

    seed: int
    shape: DemoShape
    schedule: Schedule
    matrix_rate: float = 0.01
    other_rate: float = 2e-3
    answer_weight: float = 3.0

    def as_json(self) -> dict[str, Any]:
        """Return the settings as a checkpoint keeps them."""
        as_read_back: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return as_read_back


def make_optimizers(model: torch.nn.Module, settings: Settings) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices of the layers, AdamW for the embedding and the norms.

    Muon's orthogonal steps let a small model find its look-up heads many times sooner.
    """
    matrices: list[torch.nn.Parameter] = []
    others: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        is_matrix = parameter.ndim == 2 and "embed" not in name
        (matrices if is_matrix else others).append(parameter)
    return [
        torch.optim.Muon(matrices, lr=settings.matrix_rate, weight_decay=0.0),
        torch.optim.AdamW(
            others, lr=settings.other_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True
        ),
    ]


def set_rates(optimizers: Sequence[torch.optim.Optimizer], settings: Settings, step: int) -> None:
    """Set the learning rates of one step."""
    factor = settings.schedule.rate(step)
    rates = (settings.matrix_rate, settings.other_rate)
    for optimizer, rate in zip(optimizers, rates, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = rate * factor


@dataclass(frozen=True, slots=True)
class StepResult:
    """Loss (nats per token) and share of right look-ups of one step."""

    loss: float
    answer_accuracy: float


def train_step(
    model: LlamaForCausalLM,
    optimizers: Sequence[torch.optim.Optimizer],
    maker: BatchMaker,
    settings: Settings,
    step: int,
    device: torch.device,
) -> StepResult:
    """Take one optimizer step on the batch of that step."""
    rows, length = settings.schedule.shape(step)
    batch = maker.make(step, rows=rows, length=length, mix=settings.schedule.mix(step))
    ids, weights = batch.ids.to(device), batch.weights.to(device)
    with torch.autocast(device.type, torch.bfloat16):
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits  # (rows, length, V)
    logits, target = logits.float().flatten(0, 1), ids[:, 1:].flatten()
    losses = cross_entropy(logits, target, reduction="none")
    weights = weights.flatten()
    torch.autograd.backward((losses * weights).sum() / weights.sum())
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    set_rates(optimizers, settings, step)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    asked = weights > 1
    right = (logits.detach().argmax(-1) == target)[asked].float().mean()
    return StepResult(losses.detach().mean().item(), right.item() if bool(asked.any()) else 0.0)


def train(
    out: Path,
    settings: Settings,
    *,
    device: torch.device,
    resume: bool = False,
    save_every: int = 500,
    report: Callable[[str], None] = print,
    stop_at: int | None = None,
) -> tuple[LlamaForCausalLM, Progress]:
    """Train to the end of the schedule, or until ``stop_at`` steps are done.

    Parameters
    ----------
    out
        Directory of the checkpoint and of the log of progress, ``progress.jsonl``.
    settings
        What to train and how.
    device
        Where to train.
    resume
        Go on from the checkpoint in ``out``.
    save_every
        Steps between checkpoints.
    report
        Receives one line of progress every hundred steps.
    stop_at
        Step after which to write a checkpoint and return early.

    Raises
    ------
    RunError
        There is a checkpoint in ``out`` and this is no resume, or it was made with other settings.
    """
    out.mkdir(parents=True, exist_ok=True)
    model = build_model(settings.shape, seed=settings.seed)
    add_look_up_heads(model, seed=settings.seed)
    torch.nn.Module.to(model, device)  # its own is hidden from type checkers
    optimizers = make_optimizers(model, settings)
    maker = BatchMaker(settings.seed, settings.answer_weight)
    progress = Progress()
    found = find_checkpoint(out / "checkpoint")
    if found is not None and not resume:
        raise RunError(f"{out} holds a checkpoint", remedy="add --resume, or name another --out")
    if found is not None:
        progress, made_with = load_checkpoint(found, model=model, optimizers=optimizers)
        check_settings(made_with, settings.as_json(), step=progress.step)
    last = settings.schedule.steps if stop_at is None else min(stop_at, settings.schedule.steps)
    report(f"{num_parameters(model):,} parameters, step {progress.step} of {last}, {device}")
    model.train()
    recent: list[StepResult] = []
    clock, seen = time.monotonic(), progress.tokens
    while progress.step < last:
        began = time.monotonic()
        recent.append(train_step(model, optimizers, maker, settings, progress.step, device))
        rows, length = settings.schedule.shape(progress.step)
        progress = Progress(
            progress.step + 1,
            progress.tokens + rows * length,
            progress.wall_seconds + time.monotonic() - began,
        )
        if progress.step % 100 == 0 or progress.step == last:
            speed = (progress.tokens - seen) / (time.monotonic() - clock)
            clock, seen = time.monotonic(), progress.tokens
            _log(out, report, progress, recent, speed, last)
            recent = []
        if progress.step % save_every == 0 or progress.step == last:
            save_checkpoint(
                out / "checkpoint",
                model=model,
                optimizers=optimizers,
                progress=progress,
                settings=settings.as_json(),
            )
    return model, progress


def check_settings(made_with: dict[str, Any], wanted: dict[str, Any], *, step: int) -> None:
    """Refuse a resume that would not equal an undisturbed training with the wanted settings.

    What lies ahead may change: longer stories, fewer drills, and the number of steps as long as
    the decay of either has not begun.
    """
    before, now = dict(made_with), dict(wanted)
    old, new = dict(before.pop("schedule")), dict(now.pop("schedule"))
    decay_starts = [schedule["steps"] - schedule["decay_steps"] for schedule in (old, new)]
    for schedule in (old, new):
        if step <= min(decay_starts):
            del schedule["steps"], schedule["decay_steps"]
        for key in ("lengths", "drills", "quizzes", "reflexives"):
            schedule[key] = [pair for pair in schedule[key] if pair[0] < step]
    if before != now or old != new:
        raise RunError(
            f"the checkpoint at step {step} was made with {made_with}",
            expected=f"{wanted}",
            remedy="use the same settings, or another --out",
        )


def _log(
    out: Path,
    report: Callable[[str], None],
    progress: Progress,
    recent: Sequence[StepResult],
    tokens_per_second: float,
    last: int,
) -> None:
    loss = sum(result.loss for result in recent) / len(recent)
    recall = sum(result.answer_accuracy for result in recent) / len(recent)
    row = {
        "step": progress.step,
        "tokens": progress.tokens,
        "wall_seconds": round(progress.wall_seconds, 1),
        "loss": round(loss, 4),
        "answer_accuracy": round(recall, 4),
        "tokens_per_second": round(tokens_per_second),
    }
    with (out / "progress.jsonl").open("a") as log:
        log.write(json.dumps(row) + "\n")
    left = (last - progress.step) * progress.wall_seconds / max(1, progress.step) / 60
    report(
        f"step {progress.step}/{last}  {progress.tokens / 1e6:.2f}M tokens  loss {loss:.3f}  "
        f"answers {recall:.1%}  {tokens_per_second:,.0f} tok/s  {left:.0f} min left"
    )
