"""Turns a training checkpoint into a folder that ships: weights, tokenizer, data, report."""

import argparse
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from transformers import LlamaForCausalLM

from qcqa.demo.checkpoints import read_checkpoint
from qcqa.demo.evaluation_data import write_evaluation_data
from qcqa.demo.model import DemoShape, build_model, num_parameters
from qcqa.demo.pooled import mean_pooled
from qcqa.demo.report import TrainingFacts, write_report
from qcqa.demo.score import Scores, read_jsonl, score_model
from qcqa.demo.tokenizer import build_tokenizer, save_tokenizer

VARIANTS = {"source (MHA)": 8, "GQA mean, KV 0.5": 4, "GQA mean, KV 0.25": 2, "MQA mean": 1}


def hardware_kind(device: str) -> str:
    """Return the kind of hardware that this process trains on, without the machine's name."""
    if device == "cuda":
        return "one GPU"
    threads = torch.get_num_threads()
    return f"{threads} CPU core{'' if threads == 1 else 's'}"


def publish(
    checkpoint: Path,
    target: Path,
    *,
    device: str = "cpu",
    hardware: str | None = None,
    limit: int | None = None,
) -> dict[str, Scores]:
    """Write the model of a checkpoint, its data and its figures into a folder.

    Each file appears whole or not at all: readers of the folder never meet half a file.

    Parameters
    ----------
    checkpoint
        Directory of a training checkpoint.
    target
        Folder to fill; files of the same name are replaced.
    device
        Where it was trained, for the report.
    hardware
        What it was trained on, where this process cannot know.
    limit
        Score on about this many items of each kind only; for a look while the training goes on.

    Returns
    -------
    dict
        Scores of the model and of its mean-pooled variants.
    """
    weights, progress, settings = read_checkpoint(checkpoint)
    shape = DemoShape(**settings["shape"])
    model = build_model(shape, seed=0)
    model.load_state_dict(weights, strict=False)  # the tied head is the embedding
    model.tie_weights()
    torch.nn.Module.to(model, torch.bfloat16)  # its own is hidden from type checkers
    staging = target.with_name(target.name + ".new")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    model.save_pretrained(staging)
    save_tokenizer(staging)
    write_evaluation_data(staging)

    shipped = LlamaForCausalLM.from_pretrained(staging, dtype=torch.float32)
    tokenizer = build_tokenizer()
    scores = {
        name: score_model(
            shipped if groups == shape.num_heads else mean_pooled(shipped, groups),
            tokenizer,
            staging,
            limit=limit,
        )
        for name, groups in VARIANTS.items()
    }
    schedule = settings["schedule"]
    questions = read_jsonl(staging / "recall.jsonl")
    facts = TrainingFacts(
        command=default_command(settings, device),
        seed=settings["seed"],
        steps=progress.step,
        tokens=progress.tokens,
        wall_seconds=progress.wall_seconds,
        hardware=hardware or hardware_kind(device),
        parameters=num_parameters(model),
        shape=f"{shape.num_layers} layers x {shape.num_heads} heads of "
        f"{shape.hidden_size // shape.num_heads}, hidden size {shape.hidden_size}, "
        f"{model.config.vocab_size} tokens of vocabulary",
        finished=progress.step >= schedule["steps"],
    )
    report = write_report(
        facts,
        scores,
        chance=sum(1 / len(q["choices"]) for q in questions) / len(questions),
        questions=len(questions),
        pairs=len(read_jsonl(staging / "minimal_pairs.jsonl")),
    )
    (staging / "README.md").write_text(report, encoding="utf-8")
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(staging.iterdir()):
        path.chmod(0o644)  # safetensors writes for the owner alone
        os.replace(path, target / path.name)
    staging.rmdir()
    return scores


def default_command(settings: dict[str, object], device: str) -> str:
    """Return the training command that reproduces a checkpoint."""
    schedule = settings["schedule"]
    assert isinstance(schedule, dict)
    # The order of a sum, and so its rounding, depends on the number of threads.
    threads = f"OMP_NUM_THREADS={torch.get_num_threads()} " if device == "cpu" else ""
    return (
        f"{threads}python -m qcqa.demo.train --out runs/demo --seed {settings['seed']} "
        f"--steps {schedule['steps']} --decay-steps {schedule['decay_steps']} "
        f"--device {device} --publish assets/demo"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Publish a checkpoint by hand, while the training goes on."""
    parser = argparse.ArgumentParser(prog="python -m qcqa.demo.publish", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="the folder checkpoint/ of a training run")
    parser.add_argument("target", type=Path, help="the folder to fill")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--hardware", help="what it was trained on, for the report")
    parser.add_argument("--limit", type=int, help="score on about this many items of each kind")
    options = parser.parse_args(arguments)
    scores = publish(
        options.checkpoint,
        options.target,
        device=options.device,
        hardware=options.hardware,
        limit=options.limit,
    )
    for name, score in scores.items():
        row = asdict(score)
        row["pairs"] = round(score.pairs_overall, 4)
        print(name, row)


if __name__ == "__main__":
    main()
