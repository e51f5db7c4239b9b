"""A reduction of one class and one row is searched, kept, carried out, measured and shown."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest
import torch
from streamlit.testing.v1 import AppTest
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
from typer.testing import CliRunner

from qcqa.cli.main import cli
from qcqa.conversion.live import convert
from qcqa.conversion.loading import load
from qcqa.errors import ReductionError
from qcqa.jobs.run import Run
from qcqa.jobs.store import create_run
from qcqa.jobs.worker import work
from qcqa.measure.benchmark import Benchmark
from qcqa.measure.evaluate import evaluate_plans
from qcqa.measure.promised_cache import promised_cache
from qcqa.model.spec import ModelSpec
from qcqa.packaged import demo_model_folder
from qcqa.plan.file import load_plan
from qcqa.reduce.choice import SiteKind
from qcqa.reduce.facts import SiteFacts
from qcqa.reduce.registry import REDUCTIONS, Reduction
from qcqa.reduce.stored import Rung, Stored
from qcqa.search.method_sets import all_searched, that_reduce
from qcqa.search.methods import METHODS, Method
from qcqa.search.presets import PRESETS
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.options import ExactOptions
from qcqa.text.documents import demo_documents

#: Tokens that are packed together, and channels or tokens that share a scale.
BLOCK = 8


@dataclass(frozen=True)
class Blur:
    """States in steps of which there are few; kept as bits are, which converted models can read."""

    steps: int
    kind: ClassVar[str] = "blur"

    @property
    def label(self) -> str:
        return f"{self.steps} steps"

    @property
    def short(self) -> str:
        return str(self.steps)

    @property
    def bits(self) -> int:
        return self.steps.bit_length() - 1

    @classmethod
    def offered(cls, _options: None, _facts: SiteFacts) -> tuple[Self, ...]:
        return cls(256), cls(16)

    def stored(self, before: Stored) -> Stored:
        rung = Rung(self.bits + Fraction(32, BLOCK))
        return replace(before, window=BLOCK, block=BLOCK, rungs=(rung,))

    def to_json(self) -> dict[str, Any]:
        return {"steps": self.steps}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], _spec: ModelSpec) -> Self:
        return cls(content["steps"])

    def require(self, _kind: SiteKind, spec: ModelSpec) -> None:
        if spec.head_dim % BLOCK:
            raise ReductionError(f"heads of {spec.head_dim}", expected=f"a multiple of {BLOCK}")

    def reads(self) -> None:
        return None

    def map_shape(self, _num_heads: int) -> None:
        return None

    def codec(self) -> Mapping[str, Any]:
        sizes = {"block": BLOCK, "group": BLOCK, "window": BLOCK, "rotated": False}
        return {"kind": "bits", "rungs": [[self.bits, None]], **sizes}


@pytest.fixture(autouse=True)
def _rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add the reduction and a method that uses it."""
    monkeypatch.setitem(REDUCTIONS, "blur", Reduction("blur", "steps", Blur, Blur.offered))
    insists = METHODS["bits"].insists
    row = Method("blur", "Best blur", "Few steps.", "exact", insists=insists, reductions=("blur",))
    monkeypatch.setitem(METHODS, "blur", row)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return the folder of a tiny model that reads the demo's language."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=2240,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=128,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2)
    model.save_pretrained(tmp_path / "source")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(demo_model_folder() / name, tmp_path / "source")
    return tmp_path / "source"


@pytest.fixture
def run(source: Path, tmp_path: Path) -> Run:
    """Return a finished search of the method, judged by what was measured on a text."""
    text = tmp_path / "calibration.txt"
    text.write_text("\n".join(demo_documents()[:14]), encoding="utf-8")
    settings = SearchSettings(exact=ExactOptions(restarts=1), workers=1)
    made = create_run(
        model=str(source), methods=("blur",), settings=settings, calibration=str(text)
    )
    work(made)
    return made


def test_all_that_a_reduction_needs(
    run: Run, source: Path, tmp_path: Path, open_app: Callable[..., AppTest]
) -> None:
    for known in (all_searched(), that_reduce((), ("blur",)), PRESETS["best"].methods):
        assert known[-1] == "blur"
    front = run.result().fronts["blur"]
    assert len(front) > 3
    assert front.error[0] > 0

    def qcqa(*arguments: object) -> str:
        told = CliRunner().invoke(cli, [*map(str, arguments)])
        assert told.exit_code == 0, told.output
        return told.output

    file = tmp_path / "plan.json"
    qcqa("plan", run.folder, "--budget", "45%", "-m", "blur", "-o", file)
    plan = load_plan(file)
    assert plan.reductions == ("blur",)
    assert json.loads(file.read_text())["layers"][0]["key"][0]["kind"] == "blur"
    assert "steps" in qcqa("groups", run.folder, "--budget", "45%", "-m", "blur")
    assert "Best blur" in qcqa("runs", "show", run.folder)

    live = convert(AutoModelForCausalLM.from_pretrained(source), plan)
    qcqa("convert", source, "--plan", file, "--out", tmp_path / "out")
    on_disk = load(tmp_path / "out")
    ids = torch.randint(3, 64, (2, 40), generator=torch.Generator().manual_seed(0))
    for model in (live, on_disk):
        assert promised_cache(model, plan, "blur") < 0.7 * plan.model.kv_bytes_per_token()
    assert torch.equal(live(ids).logits, on_disk(ids).logits)
    assert "steps" in (tmp_path / "out" / "README.md").read_text()

    (test := tmp_path / "test.txt").write_text("\n".join(demo_documents()[20:26]))
    benchmark = Benchmark(text=str(test), window_tokens=64)
    _, row = evaluate_plans(
        str(source), [plan], benchmark, device="cpu", dtype="float32", folder=run.measured_folder
    )
    assert row.reductions == ("blur",)
    told = qcqa("plan", run.folder, "--budget", "45%", "-m", "blur", "-o", file)
    assert "no measured figures" not in told
    assert row.measured == load_plan(file).measured

    for page in ("search", "runs", "explore", "groupings", "evaluate", "export"):
        app = open_app(page, budget="45", method="blur")
        shown = str(app) + str([chart.proto.spec for chart in app.get("plotly_chart")])
        if page not in ("search", "runs"):
            assert "Best blur" in shown, page
        if page in ("explore", "groupings"):
            assert "steps" in shown, page
