"""Small models of another kind than the demo, on other text: to judge by, never to tune on.

``python -m tests.benchmarks.models_apart --family llama --minutes 12 --out DIR``

Trains a causal language model with plain multi-head attention, 4 layers of 8 heads of 32 channels,
on the source files of the running Python's standard library, and writes what a search needs: the
model's folder with its tokenizer, ``calibration.txt``, and ``test.txt``, from files that neither
the training nor the tokenizer has seen. ``training.json`` says how it was made.

    qcqa search DIR --preset best --calibration DIR/calibration.txt --out run
    qcqa evaluate --run run --text DIR/test.txt

The same Python, ``--steps`` and number of threads give the same model; ``--minutes`` finds the
steps by the machine's pace.
"""

import argparse
import hashlib
import json
import platform
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn.functional import cross_entropy
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.utils.logging import disable_progress_bar

#: Tests are much alike, and tables of codecs are no language.
_LEFT_OUT = {"site-packages", "test", "tests", "idle_test", "encodings", "lib2to3", "__pycache__"}
_END = "<end>"
#: Steps whose time tells the machine's pace.
_TRIAL_STEPS = 20
_REPORTED = 100


@dataclass(frozen=True, slots=True)
class Setup:
    """What decides the weights, besides the files and the machine's arithmetic."""

    family: str
    steps: int
    vocabulary: int = 2048
    layers: int = 4
    heads: int = 8
    hidden: int = 256
    context: int = 512
    batch_tokens: int = 4096
    rate: float = 2e-3
    seed: int = 0


def split_files(root: Path) -> dict[str, list[Path]]:
    """Return the source files for ``training``, ``calibration`` and ``test``.

    A hash of a file's name decides, so that files that other releases of Python add move none.
    """
    files = sorted(
        path
        for path in root.rglob("*.py")
        if not _LEFT_OUT.intersection(path.relative_to(root).parts)
    )
    split: dict[str, list[Path]] = {"training": [], "calibration": [], "test": []}
    for path in files:
        name = path.relative_to(root).as_posix()
        drawn = hashlib.sha256(name.encode()).digest()[0] % 16
        split["test" if drawn < 2 else "calibration" if drawn == 2 else "training"].append(path)
    return split


def texts_of(files: list[Path]) -> list[str]:
    """Return what the files hold; null bytes, which no text has, are left out."""
    texts = [path.read_text("utf-8", errors="ignore").replace("\0", "").strip() for path in files]
    return [text for text in texts if text]


def build_tokenizer(texts: list[str], setup: Setup) -> PreTrainedTokenizerFast:
    """Return byte pairs that were learned on the texts of the training."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=setup.vocabulary,
        special_tokens=[_END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token=_END, pad_token=_END, model_max_length=setup.context
    )


def build_model(setup: Setup) -> PreTrainedModel:
    """Return a freshly initialised model."""
    torch.manual_seed(setup.seed)
    shared = {
        "vocab_size": setup.vocabulary,
        "hidden_size": setup.hidden,
        "num_hidden_layers": setup.layers,
        "num_attention_heads": setup.heads,
        "max_position_embeddings": setup.context,
        "tie_word_embeddings": True,
        "pad_token_id": 0,
        "bos_token_id": None,
        "eos_token_id": 0,
    }
    if setup.family == "opt":
        ffn = 4 * setup.hidden
        return OPTForCausalLM(
            OPTConfig(**shared, ffn_dim=ffn, word_embed_proj_dim=setup.hidden, dropout=0.0)
        )
    intermediate = 8 * setup.hidden // 3 // 64 * 64
    return LlamaForCausalLM(
        LlamaConfig(**shared, num_key_value_heads=setup.heads, intermediate_size=intermediate)
    )


def batches(tokens: torch.Tensor, setup: Setup) -> Iterator[torch.Tensor]:
    """Yield rows of tokens (B, T) from anywhere in the training text.

    Every fourth batch is as long as the context; attention to half of it takes half as long.
    """
    drawn = torch.Generator().manual_seed(setup.seed)
    for step in count():
        length = setup.context if step % 4 == 0 else setup.context // 2
        rows = setup.batch_tokens // length
        starts = torch.randint(len(tokens) - length, (rows,), generator=drawn)
        yield tokens[starts[:, None] + torch.arange(length)]


def train(model: PreTrainedModel, tokens: torch.Tensor, setup: Setup, steps: int) -> float:
    """Train for the first so many of the setup's steps; return the seconds that a step took.

    They are those of the processors, which a busy machine does not stretch, over the threads.
    """
    matrices = [weight for weight in model.parameters() if weight.ndim > 1]
    others = [weight for weight in model.parameters() if weight.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
        lr=setup.rate,
        betas=(0.9, 0.95),
    )
    model.train()
    drawn, losses, started = batches(tokens, setup), [], time.process_time()
    for step in range(steps):
        rise, fall = (step + 1) / 100, (setup.steps - step) / (0.8 * setup.steps)
        for group in optimizer.param_groups:
            group["lr"] = setup.rate * min(1.0, rise, fall)
        ids = next(drawn)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(input_ids=ids[:, :-1], use_cache=False).logits
        loss = cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if len(losses) == _REPORTED:
            took = (time.process_time() - started) / torch.get_num_threads() / (step + 1)
            mean = sum(losses) / len(losses)
            print(f"step {step + 1} of {steps}, {took:.2f} s each, loss {mean:.3f}", flush=True)
            losses.clear()
    return (time.process_time() - started) / torch.get_num_threads() / steps


def steps_in(minutes: float, tokens: torch.Tensor, setup: Setup) -> int:
    """Return how many steps fit into the time, by the pace of a few on a model of its own."""
    # The first steps load and compile what later ones find.
    train(build_model(setup), tokens, setup, 3)
    return max(1, round(60 * minutes / train(build_model(setup), tokens, setup, _TRIAL_STEPS)))


def make(
    family: str,
    out: Path,
    *,
    minutes: float = 12,
    steps: int | None = None,
    root: Path | None = None,
) -> Setup:
    """Make a model and its texts in a folder.

    Parameters
    ----------
    family : str
        ``llama`` (rotary embedding, no biases) or ``opt`` (learned positions, biases).
    out : Path
        The folder.
    minutes : float
        About how long to train, where ``steps`` does not say.
    steps : int, optional
        Of the training.
    root : Path, optional
        Where the source files are; by default those of the running Python.
    """
    split = split_files(root or Path(sysconfig.get_paths()["stdlib"]))
    texts = {part: texts_of(files) for part, files in split.items()}
    setup = Setup(family, steps or 1)
    tokenizer = build_tokenizer(texts["training"], setup)
    encoded = tokenizer([text + _END for text in texts["training"]], verbose=False).input_ids
    tokens = torch.tensor([token for ids in encoded for token in ids])
    if steps is None:
        setup = Setup(family, steps_in(minutes, tokens, setup))
    model, started = build_model(setup), time.perf_counter()
    train(model, tokens, setup, setup.steps)
    out.mkdir(parents=True, exist_ok=True)
    model.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)
    for part in ("calibration", "test"):
        (out / f"{part}.txt").write_text("\n\n".join(texts[part]) + "\n", encoding="utf-8")
    about = {
        **asdict(setup),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "minutes": round((time.perf_counter() - started) / 60, 1),
        "parameters": model.num_parameters(),
        "training_tokens": len(tokens),
        "files": {part: len(files) for part, files in split.items()},
    }
    (out / "training.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return setup


def main() -> None:
    """Make the model that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--family", choices=("llama", "opt"), required=True)
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--steps", type=int, help="in place of --minutes: the same model again")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    disable_progress_bar()
    make(options.family, options.out, minutes=options.minutes, steps=options.steps)


if __name__ == "__main__":
    main()
