"""The source is opened with transformers' code alone, and nobody is asked for more."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from qcqa.errors import EvaluationError
from qcqa.model.opening import open_checkpoint
from qcqa.model.source_model import load_config, load_model, load_tokenizer, tokenizer_of
from qcqa.packaged import demo_model_folder

SCRIPT = """
import sys
from qcqa.model.opening import open_checkpoint
from qcqa.errors import QCQAError
from qcqa.model.source_model import load_tokenizer
try:
    load_tokenizer(open_checkpoint(sys.argv[1]))
except QCQAError as error:
    print(error)
"""


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """Return the demo model whose config, model and tokenizer all name code that must not run."""
    folder = tmp_path / "odd"
    shutil.copytree(demo_model_folder(), folder)
    (folder / "odd.py").write_text("raise SystemExit('the source has run')")
    entries = {
        "config.json": {"AutoConfig": "odd.Config", "AutoModelForCausalLM": "odd.Model"},
        "tokenizer_config.json": {"AutoTokenizer": [None, "odd.Tokenizer"]},
    }
    for name, auto_map in entries.items():
        content = json.loads((folder / name).read_text()) | {"auto_map": auto_map}
        if "Tokenizer" in str(auto_map):
            content["tokenizer_class"] = "OddTokenizer"
        (folder / name).write_text(json.dumps(content))
    return folder


def test_a_family_that_transformers_has_is_opened_with_its_code(odd: Path) -> None:
    checkpoint = open_checkpoint(str(odd))
    assert type(load_config(checkpoint)).__module__.startswith("transformers.")
    model = load_model(checkpoint, device="cpu", dtype="float32")
    assert type(model).__module__.startswith("transformers.")


def test_a_tokenizer_that_needs_code_is_refused_in_one_line(odd: Path) -> None:
    with pytest.raises(EvaluationError, match="is code of its own, which is not run here") as error:
        load_tokenizer(open_checkpoint(str(odd)))
    assert "\n" not in str(error.value)


def _without_model(tokenizer: dict[str, object]) -> None:
    del tokenizer["model"]


def _panicking(tokenizer: dict[str, object]) -> None:
    tokenizer["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "[X]", "type_id": 0}}],
        "pair": [],
        "special_tokens": {},
    }


@pytest.mark.parametrize("change", [_without_model, _panicking, dict.clear])
def test_a_damaged_tokenizer_is_one_line(
    tmp_path: Path, change: Callable[[dict[str, object]], None]
) -> None:
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(demo_model_folder() / name, tmp_path)
    path = tmp_path / "tokenizer.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(EvaluationError, match="has no tokenizer that can be used") as error:
        tokenizer_of(str(tmp_path))
    assert "\n" not in str(error.value)


def test_nobody_is_asked_on_standard_input(odd: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(odd)], input="y\n", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "is code of its own" in done.stdout
    assert "Do you wish" not in done.stdout + done.stderr
