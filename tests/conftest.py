"""What several tests need: tiny models, awkward paths, and a home for runs that is nobody's."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, set_seed

from qcqa.conversion.converted import Converted
from qcqa.jobs.config import ConversionConfig, EvaluationConfig, GenerationConfig, SensitivityConfig
from qcqa.jobs.conversions import CONVERTED
from qcqa.jobs.label import Label
from qcqa.jobs.new import write_new_run
from qcqa.jobs.outcomes import save_outcome
from qcqa.jobs.run import Run, open_run
from qcqa.jobs.status import RunStatus, State
from qcqa.jobs.store import create_run
from qcqa.jobs.worker import work
from qcqa.measure.benchmark import Benchmark
from qcqa.measure.generated import GenerationSettings
from qcqa.measure.sensitivity import SensitivitySettings
from qcqa.model.spec import ModelSpec
from qcqa.packaged import demo_model_folder, demo_run_folder
from qcqa.reduce.groups.gram import HeadGram, ModelGrams, gram_of_heads
from qcqa.search.strategy.config import SearchSettings


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test's runs apart from each other and from the user's."""
    monkeypatch.setenv("QCQA_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("QCQA_RUNS", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(autouse=True)
def _any_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let models run in their checkpoint's type, whichever types this processor is fast in."""
    for place in ("model.dtype", "jobs.machine"):
        monkeypatch.setattr(f"qcqa.{place}.measured_slowdown", lambda _dtype: 1.0)


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a random Llama of 4 layers and 12 heads."""
    folder = tmp_path_factory.mktemp("models") / "tiny-llama"
    set_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=48,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=12,
        num_key_value_heads=12,
        head_dim=4,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def searched_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished search of the demo model; nobody writes to it."""
    folder = tmp_path_factory.mktemp("searched") / "run"
    work(create_run(model="demo", methods=("optimal",), settings=SearchSettings(), folder=folder))
    return folder


@pytest.fixture(scope="session")
def outgrown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the demo model with a tokenizer that knows one word more than its embedding: zebra."""
    folder = tmp_path_factory.mktemp("models") / "outgrown"
    shutil.copytree(demo_model_folder(), folder, ignore=shutil.ignore_patterns("run", "tasks"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    # The rows are a few more than the words, as is usual.
    rows = json.loads((folder / "config.json").read_text())["vocab_size"]
    tokenizer.add_tokens([f"word{number}" for number in range(rows - len(tokenizer))])
    tokenizer.add_tokens(["zebra"])
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def random_grams() -> ModelGrams:
    """Return the Grams of 3 layers of 8 random heads."""
    rng = np.random.default_rng(0)

    def gram() -> np.ndarray:
        return gram_of_heads(rng.normal(size=(8, 4, 16)).astype(np.float32))

    spec = ModelSpec(
        source="random",
        revision=None,
        model_type="llama",
        num_layers=3,
        num_query_heads=8,
        num_kv_heads=8,
        head_dim=4,
        hidden_size=16,
        has_kv_bias=False,
        dtype="bfloat16",
    )
    layers = tuple(HeadGram(key=gram(), value=gram()) for _ in range(3))
    return ModelGrams(spec=spec, fingerprint="0" * 16, layers=layers)


@pytest.fixture(scope="session")
def make_gram() -> Callable[..., np.ndarray]:
    """Return a function that makes the Gram of random heads, round centres if any are asked."""

    def make(num_heads: int, seed: int = 0, *, centres: float = 0.6) -> np.ndarray:
        rng = np.random.default_rng(seed)
        count = max(2, num_heads // 3)
        centre = rng.normal(size=(count, 6, 40))[rng.integers(0, count, num_heads)]
        noise = rng.normal(size=(num_heads, 6, 40))
        size = rng.lognormal(0, 0.2, size=(num_heads, 1, 1))
        return gram_of_heads(((centres * centre + noise) * size).astype(np.float32))

    return make


@pytest.fixture(scope="session")
def all_partitions() -> Callable[[int], np.ndarray]:
    """Return a function that lists the labels of every partition, shape (Bell(H), H)."""

    def partitions(num_heads: int) -> np.ndarray:
        rows = [[0]]
        for _ in range(num_heads - 1):
            rows = [[*row, label] for row in rows for label in range(max(row) + 2)]
        return np.array(rows)

    return partitions


#: Each makes a path that cannot be read, below a folder, without ever opening it.
_UNREADABLE: dict[str, Callable[[Path], str]] = {
    "too long": lambda folder: str(folder / ("x" * 300)),
    "long in all": lambda folder: str(folder.joinpath(*["x" * 200] * 30)),
    "nothing there": lambda folder: str(folder / "nothing.txt"),
    "a folder": lambda folder: str(_made(folder / "folder")),
    "below a file": lambda folder: str(_file(folder) / "below.txt"),
    "a loop": lambda folder: str(_loop(folder)),
    "a pipe": lambda folder: str(_pipe(folder)),
    "a device": lambda _: "/dev/zero",
    "a null byte": lambda folder: f"{folder}/a\0b.txt",
    "of another machine": lambda _: "file://server/share/a.txt",
    "of nobody's home": lambda _: "~nobody-of-this-name/a.txt",
    "a link to nothing": lambda folder: str(_link(folder)),
    "an empty path": lambda _: " ",
}

#: Each makes of a path what is pasted for it.
_PASTED: dict[str, Callable[[Path], str]] = {
    "double quotes": lambda path: f'"{path}"',
    "single quotes": lambda path: f"'{path}'",
    "curly quotes": lambda path: (
        f"\N{LEFT DOUBLE QUOTATION MARK}{path}\N{RIGHT DOUBLE QUOTATION MARK}"
    ),
    "blanks and a line break": lambda path: f"  {path} \n",
    "a quoted path with blanks": lambda path: f' "{path} " ',
    "an address": lambda path: path.as_uri(),
    "a quoted address": lambda path: f'"{path.as_uri()}"',
    "from home": lambda path: f"~/{path.name}",
}


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _file(folder: Path) -> Path:
    (folder / "file.txt").write_text("text")
    return folder / "file.txt"


def _loop(folder: Path) -> Path:
    (folder / "one").symlink_to(folder / "other")
    (folder / "other").symlink_to(folder / "one")
    return folder / "one"


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def _link(folder: Path) -> Path:
    (folder / "link").symlink_to(folder / "gone")
    return folder / "link"


@pytest.fixture(params=_UNREADABLE)
def unreadable(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return a path, as it is typed, at which no text can be read."""
    folder = tmp_path / "awkward"
    folder.mkdir()
    return _UNREADABLE[request.param](folder)


@pytest.fixture(params=_PASTED)
def pasted(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Path], str]:
    """Return what makes of a path below ``tmp_path`` what is pasted for it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return _PASTED[request.param]


@pytest.fixture(scope="session")
def hostile_run() -> Callable[[Path, str], Run]:
    """Return a maker of runs in a folder whose every text is another's: names, errors, figures."""

    def make(folder: Path, text: str) -> Run:
        included = demo_run_folder()
        assert included is not None
        shutil.copytree(included, folder)
        _rewrite(folder / "config.json", name=text, model=text, calibration=text, device=text)
        (folder / "label.json").write_text(Label(name=text, note=text).model_dump_json())
        for path in (folder / "measured").glob("*.json"):
            row = json.loads(path.read_text())
            for figure in row["measured"]:
                figure["metric"] = (
                    figure["metric"].replace("heldout", text).replace("demo_recall", f"{text}2")
                )
            text_and_tasks = row["benchmark"] | {"text": text, "tasks": [text, "demo_recall"]}
            changes = {"measured": row["measured"], "benchmark": text_and_tasks}
            _rewrite(path, **changes, device=text, merge=text)
            if row["method"] == "gqa":
                unknown = path.with_stem(f"unknown-{path.stem}")
                shutil.copy(path, unknown)
                _rewrite(unknown, method=text)
        # A file's name holds no slash, and an address may do without.
        for path in (folder / "fronts").glob("optimal.*"):
            name = path.name.replace("optimal", text.replace("/", "")[:80])
            shutil.copy(path, path.with_name(name))
        for place, state in enumerate(("failed", "running", "cancelled", "finished")):
            _hostile_jobs(folder, place, state, text)
        status = RunStatus(state="failed", stage=text, error=text)
        (folder / "status.json").write_text(status.model_dump_json())
        return open_run(folder)

    return make


def _rewrite(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _hostile_jobs(folder: Path, place: int, state: State, text: str) -> None:
    """Add a job of every kind, in one state, whose texts are all ``text``."""
    point = ("gqa", 24576)
    told = {"name": text, "created": "2026-01-01T00:00:00+00:00"}
    written = folder / "conversions" / f"conversions-{place}" / text.replace("/", "")[:80]
    jobs = {
        "evaluations": EvaluationConfig(
            **told, points=(point,), benchmark=Benchmark(text=text, tasks=(text,)), device=text
        ),
        "conversions": ConversionConfig(**told, point=point, folder=str(written)),
        "generations": GenerationConfig(
            **told, points=(point,), settings=GenerationSettings(text), device=text
        ),
        "sensitivity": SensitivityConfig(
            **told, point=point, settings=SensitivitySettings(text), device=text
        ),
    }
    for kind, config in jobs.items():
        job = write_new_run(folder / kind / f"{kind}-{place}", config)
        job.write_status(RunStatus(state=state, stage=text, total=2, error=text))
        words = [
            {"model": 0, "method": text, "label": text, "kv_ratio": 1.0}
            | {"promised_bytes_per_token": 1},
            {"model": 0, "token_id": 1, "text": text},
        ]
        lines = [json.dumps({"event": "progress", "generated": word}) for word in words]
        (job.folder / "events.jsonl").write_text("\n".join(lines))
    written.mkdir()
    save_outcome(Converted(str(written), 2, 1, 1.0, 1.0), written.parent / CONVERTED)
