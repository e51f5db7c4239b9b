"""A folder that an earlier release converted: it loads as it is, and is brought up to date."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from qcqa.conversion.folder import convert_checkpoint
from qcqa.conversion.loading import load
from qcqa.conversion.refresh import refresh_converted
from qcqa.errors import CheckpointError, ConversionError

MakeCase = Callable[[str], Any]

#: As the code of earlier releases ends with transformers 5.24.
OLD_CODE = """
class QCQAForCausalLM:
    @classmethod
    def from_pretrained(cls, *args, **kwargs):
        next(iter(()))

    @classmethod
    def register_for_auto_class(cls, auto_class=None):
        pass
"""

OPEN = """
import sys
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], trust_remote_code=True)
print(type(model).__module__.rpartition(".")[2])
"""


def opened(folder: Path, modules: Path) -> subprocess.CompletedProcess[str]:
    """Open a folder where this library is not to be had."""
    return subprocess.run(
        [sys.executable, "-I", "-c", OPEN, str(folder)],
        capture_output=True,
        text=True,
        env=os.environ | {"HF_MODULES_CACHE": str(modules), "OMP_NUM_THREADS": "1"},
        check=False,
    )


@pytest.fixture
def old(make_case: MakeCase, tmp_path: Path) -> Path:
    """Return a converted folder whose code is an earlier release's, and so is its config."""
    case, folder = make_case("llama"), tmp_path / "old"
    (case.folder / "tokenizer_config.json").write_text('{"a": 1}')
    convert_checkpoint(str(case.folder), case.plan, folder)
    (folder / "modeling_qcqa.py").write_text(OLD_CODE)
    (folder / "cache_qcqa.py").unlink()
    edit(folder, lambda config: config.update(auto_map={"AutoModelForCausalLM": OLD_NAME}))
    (folder / "README.md").write_text("my own words")
    return folder


OLD_NAME = "modeling_qcqa.LlamaForCausalLM"


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_an_old_folder_opens_with_this_library_as_it_is(old: Path) -> None:
    before = contents(old)
    with torch.no_grad():
        assert load(old)(torch.arange(3, 9)[None]).logits.isfinite().all()
    assert contents(old) == before


def test_refreshed_it_opens_where_the_library_is_not(old: Path, tmp_path: Path) -> None:
    edit(old, lambda config: config["auto_map"].update(AutoModelForCausalLM=NEW_NAME))
    failed = opened(old, tmp_path / "modules")
    assert failed.returncode
    assert "StopIteration" in failed.stderr
    before = contents(old)

    changed = refresh_converted(old)

    assert set(changed) == {"modeling_qcqa.py", "cache_qcqa.py", "config.json"}
    after = contents(old)
    assert {name for name in after if after[name] != before.get(name)} == set(changed)
    done = opened(old, tmp_path / "modules")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "modeling_qcqa"
    assert refresh_converted(str(old)) == ()
    assert contents(old) == after


NEW_NAME = "modeling_qcqa.QCQAForCausalLM"


def test_the_config_keeps_all_but_the_form_of_the_section(old: Path) -> None:
    section = json.loads((old / "config.json").read_text())["qcqa"]
    edit(old, lambda config: config["qcqa"].update(no_longer_written=1))
    edit(old, lambda config: config["auto_map"].update(AutoTokenizer=["tok.Tok", None]))
    before = json.loads((old / "config.json").read_text())

    assert "config.json" in refresh_converted(old)

    after = json.loads((old / "config.json").read_text())
    assert after.pop("qcqa") == section
    assert after.pop("auto_map") == before.pop("auto_map") | {
        "AutoModelForCausalLM": NEW_NAME,
        "AutoModelForImageTextToText": NEW_NAME,
    }
    del before["qcqa"]
    assert after == before


def test_a_model_that_was_saved_again_is_refreshed_too(old: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    load(old).save_pretrained(saved)
    (saved / "modeling_qcqa.py").write_text(OLD_CODE)
    assert "modeling_qcqa.py" in refresh_converted(saved)
    done = opened(saved, tmp_path / "modules")
    assert done.returncode == 0, done.stderr


def test_what_a_link_leads_to_is_not_written_to(old: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text("mine")
    (old / "modeling_qcqa.py").unlink()
    (old / "modeling_qcqa.py").symlink_to(mine)
    refresh_converted(old)
    assert mine.read_text() == "mine"
    assert not (old / "modeling_qcqa.py").is_symlink()


def refusal(folder: Path, kind: type[Exception] = CheckpointError) -> str:
    before = contents(folder) if folder.is_dir() else None
    with pytest.raises(kind) as error:
        refresh_converted(folder)
    assert "\n" not in str(error.value)
    assert (contents(folder) if folder.is_dir() else None) == before
    return str(error.value)


def test_what_is_not_converted_is_refused(make_case: MakeCase, old: Path, tmp_path: Path) -> None:
    assert "has not been converted" in refusal(make_case("gpt2").folder)
    assert "no config.json" in refusal(tmp_path / "nowhere")
    assert "no config.json" in refusal(tmp_path)
    (old / "config.json").write_text("{")
    assert "is no JSON" in refusal(old)
    (old / "config.json").write_text("{}")
    assert "cannot be opened" in refusal(old)


@pytest.mark.parametrize("version", [4, 99])
def test_a_later_release_is_not_taken_back(version: int, old: Path) -> None:
    edit(old, lambda config: config["qcqa"].update(version=version))
    message = refusal(old)
    assert f"of version {version}" in message
    assert "update QCQA Explorer" in message
    with pytest.raises(CheckpointError, match="by a later release"):
        load(old)


@pytest.mark.parametrize(
    "section", [[], "text", {}, {"version": 1}, {"version": 1, "layers": 3}, {"version": None}]
)
def test_a_damaged_section_is_one_line(section: Any, old: Path) -> None:
    edit(old, lambda config: config.update(qcqa=section))
    assert "section 'qcqa'" in refusal(old)
    with pytest.raises(CheckpointError, match="section 'qcqa'"):
        load(old)


def test_a_folder_that_cannot_be_written_to(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda _path, mode: not mode & os.W_OK)
        assert "cannot be written to" in refusal(old, ConversionError)
    # In the way of what takes its place.
    (old / "modeling_qcqa.py").unlink()
    (old / "modeling_qcqa.py").mkdir()
    with pytest.raises(ConversionError, match=r"modeling_qcqa\.py cannot be written") as error:
        refresh_converted(old)
    assert "\n" not in str(error.value)
