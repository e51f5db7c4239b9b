"""The README of the demo model: what it is, what it reaches, what sharing heads costs it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qcqa.demo.score import Scores

_INTRODUCTION = """# The demo model

A small Llama with plain multi-head attention, made for QCQA Explorer: something real to search,
convert and measure without a download. It reads and continues small English stories: who has what,
where things are, how many there are, and questions about what was said earlier. The stories, the
model and every figure on this page are made by the training command below.

| file | what it holds |
|---|---|
| `config.json`, `generation_config.json` | its geometry (`LlamaForCausalLM`) |
| `model.safetensors` | its weights in bfloat16 |
| `tokenizer.json`, `tokenizer_config.json` | a word-level tokenizer, opened by `AutoTokenizer` |
| `heldout.txt` | held-out stories, separated by blank lines |
| `minimal_pairs.jsonl` | grammatical sentences and their spoilt twins (after BLiMP) |
| `recall.jsonl` | questions whose answer stands far back in the story |
| `calibration.txt` | stories of the training distribution, other seed, for data-aware merging |
| `tasks/` | minimal pairs and recall as tasks of the lm-eval harness |
| `run/` | a finished search of the model, which the dashboard shows first |

One (adjective, noun) and one (subject, verb) pair in ten never occurs in training. Every held-out
story holds such a pair, and so does every minimal pair.
"""


_METHOD = """Muon for the matrices, AdamW for the rest; rows of 64, then 128, then 256 tokens.
Random weights learn to look back only after very many tokens, so training starts with some heads
that attend to the previous tokens and some that match and copy (`qcqa/demo/initial.py`), and
stories are mixed with drills: roll calls, echoes, quizzes, and late in the training sentences with
reflexive pronouns (`qcqa/demo/drills.py`). What each step trains on follows from the seed and the
step alone. The shares of the drills were chosen with the scores below in view."""


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """What the report says about the training.

    Attributes
    ----------
    command
        The command line that reproduces the model.
    seed, steps, tokens
        Seed, optimizer steps and tokens trained on.
    wall_seconds
        Time spent in training steps.
    hardware
        The kind of hardware, as in ``2 CPU cores``.
    parameters
        Number of weights.
    shape
        One line on the geometry.
    finished
        Whether the schedule ran to its end.
    """

    command: str
    seed: int
    steps: int
    tokens: int
    wall_seconds: float
    hardware: str
    parameters: int
    shape: str
    finished: bool


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|---" + "|---:" * (len(header) - 1) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def _rows(scores: Mapping[str, Scores]) -> list[list[str]]:
    columns = list(scores.values())
    first = columns[0]
    rows = [
        ["held-out loss (nats per token)", *(f"{s.loss:.3f}" for s in columns)],
        ["next-token accuracy", *(f"{s.accuracy:.1%}" for s in columns)],
        ["minimal pairs", *(f"{s.pairs_overall:.1%}" for s in columns)],
        ["recall, among the choices", *(f"{s.recall:.1%}" for s in columns)],
        ["recall, whole vocabulary", *(f"{s.recall_exact:.1%}" for s in columns)],
    ]
    rows += [
        [
            f"recall at a distance of {key} tokens",
            *(f"{s.recall_by_distance[key]:.1%}" for s in columns),
        ]
        for key in sorted(first.recall_by_distance, key=_range_start)
    ]
    rows += [
        [f"recall: {key}", *(f"{s.recall_by_kind[key]:.1%}" for s in columns)]
        for key in first.recall_by_kind
    ]
    rows += [[f"pairs: {key}", *(f"{s.pairs[key]:.1%}" for s in columns)] for key in first.pairs]
    return rows


def _range_start(name: str) -> int:
    word = name.split()[0].split("-")[0]
    return int(word) if word.isdigit() else 0


def write_report(
    facts: TrainingFacts, scores: Mapping[str, Scores], *, chance: float, questions: int, pairs: int
) -> str:
    """Return the README as Markdown.

    Parameters
    ----------
    facts
        About the training.
    scores
        Name of a variant to its scores; the first is the model itself.
    chance
        Recall of a guess among the choices.
    questions, pairs
        How many of each there are.
    """
    state = "" if facts.finished else " (**training still under way**)"
    training = (
        f"* {facts.shape}; {facts.parameters:,} parameters\n"
        f"* {facts.tokens:,} tokens in {facts.steps:,} steps, seed {facts.seed}{state}\n"
        f"* {facts.wall_seconds / 60:.0f} minutes on {facts.hardware}"
    )
    about = (
        "Of the shipped weights, rounded to bfloat16 and computed in float32. The other columns "
        "are the same weights with neighbouring key and value heads replaced by their mean, the "
        "plain way to share heads: the model needs its heads."
    )
    notes = (
        f"{pairs} minimal pairs, by total log-probability (chance 50%; the overall figure is the "
        f"mean over paradigms). {questions} recall questions (chance {chance:.0%}); distance is "
        "counted from the word in the story to its place in the answer. Standard error of recall "
        f"over all questions: at most {50 / questions**0.5:.1f} points."
    )
    parts = (
        _INTRODUCTION.rstrip(),
        "## Training",
        training,
        f"    {facts.command}",
        _METHOD,
        "## Figures",
        about,
        _table(["metric", *scores], _rows(scores)),
        notes,
    )
    return "\n\n".join(parts) + "\n"
