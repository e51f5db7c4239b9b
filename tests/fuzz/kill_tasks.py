"""The commands that are killed: how each is called, gone on with, and what must come of it."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, LlamaForCausalLM

# Imported before any fork.
import qcqa.export.convert
import qcqa.measure.evaluate
import qcqa.measure.generate_by_plans
import qcqa.search.calibrated_model  # noqa: F401
from qcqa.jobs.generations import texts_of_generation
from qcqa.jobs.jobs import jobs_of
from qcqa.jobs.run import open_run
from qcqa.packaged import demo_model_folder

#: What says when something happened, or how long it took: no two runs agree on it.
TIMES = frozenset({"status.json", "events.jsonl", "config.json", "log.txt", ".worker.lock"})

_QUICK = ("--population", "8", "--generations", "3", "--stage2-population", "8",
          "--stage2-generations", "3", "--workers", "1")  # fmt: skip


@dataclass(frozen=True)
class Task:
    """A command that is killed.

    Parameters
    ----------
    name : str
        Of the command.
    prepare : callable
        Makes what the command needs: for its folder, in the campaign's place.
    command : callable
        Returns its arguments, for its folder.
    go_on : callable
        Returns the arguments of what goes on after a kill; none where the work was done.
    result : callable
        Returns the files that must be equal, by name.
    stage : callable
        Returns in words where it was killed.
    after : str or None
        The task whose result it works on.
    is_whole_or_not_there : bool
        Whether the folder appears when it is complete.
    """

    name: str
    prepare: Callable[[Path, Path], None]
    command: Callable[[Path], list[str]]
    go_on: Callable[[Path], list[str]]
    result: Callable[[Path], dict[str, bytes]]
    stage: Callable[[Path], str]
    after: str | None = None
    is_whole_or_not_there: bool = False


def make_model(folder: Path, *, megabytes: int = 0) -> None:
    """Write a random Llama of 2 layers and 4 heads that reads the demo's text.

    Parameters
    ----------
    folder : Path
        Where.
    megabytes : int
        Of a tensor that no layer reads: it takes long to be written, and no more to be searched.
    """
    torch.manual_seed(0)
    demo = demo_model_folder()
    config = AutoConfig.from_pretrained(
        demo, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=4, head_dim=8,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    if megabytes:
        path = folder / "model.safetensors"
        tensors = load_file(path) | {"unread.weight": torch.rand(megabytes * 250_000)}
        save_file(tensors, path, {"format": "pt"})
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(demo / name, folder / name)
    for name in ("calibration", "heldout"):
        text = (demo / f"{name}.txt").read_text(encoding="utf-8")
        (folder.parent / f"{name}.txt").write_text(text[:20_000], encoding="utf-8")


def _beside(folder: Path, name: str) -> str:
    """Return a path in the place of the campaign, from that of a task or a trial."""
    place = folder.parent.parent if folder.parent.name == "trials" else folder.parent
    return str(place / name)


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in TIMES
    }


def _nothing(folder: Path, _place: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)


def _search(preset: str) -> Task:
    def command(folder: Path) -> list[str]:
        text = ["--calibration", _beside(folder, "calibration.txt")]
        model = _beside(folder, "model")
        return ["search", model, "--preset", preset, *_QUICK, *text, "--out", str(folder)]

    def go_on(folder: Path) -> list[str]:
        if not (folder / "config.json").exists():
            return command(folder)
        done = open_run(folder).status().state == "finished"
        return [] if done else ["runs", "resume", str(folder)]

    return Task(preset, _nothing, command, go_on, _files, _last_stage)


def _last_stage(folder: Path) -> str:
    if not (folder / "config.json").exists():
        return "before there is a run"
    run = open_run(folder)
    jobs = jobs_of(run)
    run = jobs[0] if jobs else run
    if run.status().state == "finished":
        return "after the end"
    stages = [event["stage"] for event in run.events() if "stage" in event]
    return stages[-1].split(":")[0] if stages else "before the first step"


def _copy_of_search(folder: Path, place: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(place / "paper", folder)


def _job(name: str, *options: str, result: Callable[[Path], dict[str, bytes]]) -> Task:
    def command(folder: Path) -> list[str]:
        texts = [_beside(folder, one) if one.endswith(".txt") else one for one in options]
        return [name, "--run", str(folder), *texts]

    def go_on(folder: Path) -> list[str]:
        jobs = jobs_of(open_run(folder))
        if not jobs:
            return command(folder)
        done = jobs[0].status().state == "finished"
        return [] if done else ["runs", "resume", str(jobs[0].folder)]

    def stage(folder: Path) -> str:
        return _last_stage(folder) if jobs_of(open_run(folder)) else "before there is a job"

    return Task(name, _copy_of_search, command, go_on, result, stage, after="paper")


def _texts(folder: Path) -> dict[str, bytes]:
    """Return what was generated, without the time that it took."""
    (job,) = jobs_of(open_run(folder), "generation")
    texts = [asdict(one) for one in texts_of_generation(job)]
    for one in texts:
        for name in [name for name in one["figures"] if name.endswith("seconds")]:
            one["figures"].pop(name)
    return {"texts": json.dumps(texts, sort_keys=True).encode()}


def _convert() -> Task:
    def command(folder: Path) -> list[str]:
        return ["convert", "--run", _beside(folder, "paper"), "--budget", "50%", "-m", "gqa",
                "-o", str(folder)]  # fmt: skip

    def go_on(folder: Path) -> list[str]:
        return [] if folder.exists() else command(folder)

    def stage(folder: Path) -> str:
        if folder.exists():
            return "after the end"
        is_begun = any(folder.parent.glob(f".{folder.name}.*.tmp"))
        return "while it writes" if is_begun else "before it writes"

    return Task(
        "convert",
        _nothing,
        command,
        go_on,
        _files,
        stage,
        after="paper",
        is_whole_or_not_there=True,
    )


TASKS = (
    _search("paper"),
    _search("best"),
    _job("evaluate", "-m", "gqa", "-m", "qcqa-ac", "--budgets", "50%", "--limit", "10", "--text",
         "heldout.txt", result=lambda folder: _files(folder / "measured")),
    _convert(),
    _job("generate", "-m", "gqa", "--budget", "50%", "--prompt", "Marco likes", "--max-new-tokens",
         "16", result=_texts),
)  # fmt: skip
