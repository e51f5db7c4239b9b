"""Trains the demo model: ``python -m qcqa.demo.train --out DIR``.

Seeded, shows its progress, writes checkpoints and resumes exactly. One CPU core takes about an
hour, a GPU minutes. Other hardware or another number of threads sums in another order and rounds
differently: the stories are the same everywhere, the weights bit for bit only on the same set-up.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from qcqa.demo.model import DemoShape
from qcqa.demo.publish import publish
from qcqa.demo.schedule import Schedule
from qcqa.demo.training import Settings, train
from qcqa.errors import QCQAError

# From which step on: tokens per row, and shares of the kinds of documents.
LENGTHS = ((0, 64), (400, 128), (2000, 256))
DRILLS = ((0, 0.5), (500, 0.2), (2000, 0.08))
QUIZZES = ((0, 0.0), (2500, 0.35), (4000, 0.15))
REFLEXIVES = ((0, 0.0), (6000, 0.25))


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not a positive number")
    return number


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line of the training."""
    parser = argparse.ArgumentParser(prog="python -m qcqa.demo.train", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="run directory")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=_positive, default=6800)
    parser.add_argument("--decay-steps", type=_positive, default=2600)
    parser.add_argument("--warmup-steps", type=_positive, default=200)
    parser.add_argument("--batch-tokens", type=_positive, default=2048)
    parser.add_argument("--save-every", type=_positive, default=500)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    parser.add_argument(
        "--publish", type=Path, help="at the end, write the model and its data here"
    )
    return parser.parse_args(arguments)


def settings_of(options: argparse.Namespace) -> Settings:
    """Return the settings that a command line asks for."""
    return Settings(
        seed=options.seed,
        shape=DemoShape(),
        schedule=Schedule(
            steps=options.steps,
            warmup_steps=options.warmup_steps,
            decay_steps=options.decay_steps,
            batch_tokens=options.batch_tokens,
            lengths=LENGTHS,
            drills=DRILLS,
            quizzes=QUIZZES,
            reflexives=REFLEXIVES,
        ),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, and publish where asked to."""
    options = parse(arguments)
    try:
        train(
            options.out,
            settings_of(options),
            device=torch.device(options.device),
            resume=options.resume,
            save_every=options.save_every,
            report=lambda line: print(line, flush=True),
        )
    except QCQAError as error:
        print(error.one_line(), file=sys.stderr)
        sys.exit(2)
    if options.publish is not None:
        publish(options.out / "checkpoint", options.publish, device=options.device)


if __name__ == "__main__":
    main()
