"""What cannot be converted is refused in one line, and nothing is changed or left behind."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from qcqa.conversion.folder import convert_checkpoint
from qcqa.conversion.live import convert
from qcqa.conversion.loading import load
from qcqa.errors import CheckpointError, ConversionError, PlanError, UnsupportedModelError

MakeCase = Callable[[str], Any]


@pytest.fixture
def llama(make_case: MakeCase) -> Any:
    return make_case("llama")


def one_line(error: pytest.ExceptionInfo[Exception]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_plan_for_another_geometry(llama: Any, make_case: MakeCase, tmp_path: Path) -> None:
    other = make_case("llama-gqa")
    with pytest.raises(PlanError, match="num_kv_heads 3; expected num_kv_heads 6") as error:
        convert_checkpoint(str(llama.folder), other.plan, tmp_path / "out")
    assert one_line(error)
    with pytest.raises(PlanError, match="num_kv_heads 3; expected num_kv_heads 6"):
        convert(llama.model, other.plan)
    assert not (tmp_path / "out").exists()


def test_plan_for_other_weights(llama: Any, tmp_path: Path) -> None:
    plan = replace(llama.plan, fingerprint="0" * 32)
    weights = {name: tensor.clone() for name, tensor in llama.model.state_dict().items()}
    with pytest.raises(PlanError, match="fingerprint") as error:
        convert_checkpoint(str(llama.folder), plan, tmp_path / "out")
    assert one_line(error)
    with pytest.raises(PlanError, match="fingerprint"):
        convert(llama.model, plan)
    assert all(torch.equal(weights[name], now) for name, now in llama.model.state_dict().items())
    assert not (tmp_path / "out").exists()


def test_folder_that_holds_something(llama: Any, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(ConversionError, match="is not empty") as error:
        convert_checkpoint(str(llama.folder), llama.plan, tmp_path)
    assert one_line(error)
    with pytest.raises(ConversionError, match="is a file"):
        convert_checkpoint(str(llama.folder), llama.plan, tmp_path / "note.txt")


def test_folder_below_a_file(llama: Any, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(ConversionError, match=r"note\.txt is a file"):
        convert_checkpoint(str(llama.folder), llama.plan, tmp_path / "note.txt" / "out")


def test_disk_without_room(llama: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage(NamedTuple):
        free: int

    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(free=2**20))
    with pytest.raises(ConversionError, match=r"1 MiB free where .* expected 4\.\d+ MiB") as error:
        convert_checkpoint(str(llama.folder), llama.plan, tmp_path / "out")
    assert one_line(error)


def test_model_that_was_converted_already(llama: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert_checkpoint(str(llama.folder), llama.plan, out)
    with pytest.raises(UnsupportedModelError, match="has been converted already") as error:
        convert_checkpoint(str(out), llama.plan, tmp_path / "again")
    assert one_line(error)
    model = convert(llama.model, llama.plan)
    with pytest.raises(UnsupportedModelError, match="has been converted already"):
        convert(model, llama.plan)


def test_source_that_ends_early_leaves_nothing_behind(llama: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shard = max(llama.folder.glob("*.safetensors"))

    def cut(_written: int, _total: int) -> None:
        shard.write_bytes(shard.read_bytes()[:-64])

    with pytest.raises(CheckpointError, match="ends early") as error:
        convert_checkpoint(str(llama.folder), llama.plan, out, on_bytes=cut)
    assert one_line(error)
    assert not list(tmp_path.glob("*out*"))


def test_model_on_the_meta_device(llama: Any) -> None:
    with pytest.raises(UnsupportedModelError, match="on meta"):
        convert(llama.model.to("meta"), llama.plan)


def test_loading_what_is_not_converted(llama: Any, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="has not been converted") as error:
        load(llama.folder)
    assert one_line(error)
    with pytest.raises(CheckpointError, match="cannot be opened") as error:
        load(tmp_path / "nowhere")
    assert one_line(error)


def test_loading_a_section_of_another_version(llama: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert_checkpoint(str(llama.folder), llama.plan, out)
    config = json.loads((out / "config.json").read_text())
    config["qcqa"]["version"] = 99
    (out / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="expected version 3"):
        load(out)
