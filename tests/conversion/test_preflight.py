"""What is said of a conversion before it starts holds when it is done."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from qcqa.conversion.folder import convert_checkpoint
from qcqa.errors import CheckpointError, ConversionError, PlanError
from qcqa.export import preflight as convert_preflight
from qcqa.export.preflight import conversion_source, preflight_conversion
from qcqa.model.checkpoint import Checkpoint
from qcqa.model.safetensors_file import SafetensorsFile
from qcqa.plan.file import save_plan
from qcqa.plan.plan import CalibrationText
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.latent.choice import Latent

MakeCase = Callable[[str], Any]


@pytest.fixture
def llama(make_case: MakeCase) -> Any:
    return make_case("llama-gqa")


def _weight_bytes(folder: Path) -> int:
    return sum(
        tensor.stop - tensor.start
        for path in folder.glob("*.safetensors")
        for tensor in SafetensorsFile(path).tensors.values()
    )


def test_written_weights_are_as_large_as_said(case: Any, tmp_path: Path) -> None:
    if case.plan.kv_bits == case.plan.model.kv_bits:
        pytest.skip("one KV head: nothing to merge")
    out = tmp_path / "out"
    needs = preflight_conversion(conversion_source(str(case.folder)), case.plan, out)
    convert_checkpoint(str(case.folder), case.plan, out)
    assert needs.weight_bytes == _weight_bytes(out)
    assert needs.source_bytes == _weight_bytes(case.folder) > needs.weight_bytes


@pytest.mark.parametrize("name", ["llama-gqa", "gptj"])
def test_maps_are_counted(name: str, make_case: Any, tmp_path: Path) -> None:
    case = make_case(name)
    planes = case.checkpoint.architecture.rotary_planes(
        case.checkpoint.config, case.checkpoint.spec.head_dim, layer=1
    )
    still = case.checkpoint.spec.head_dim - 2 * len(planes)
    ranks = tuple(1 + plane % 2 for plane in range(len(planes)))
    latents = LayerChoice((Latent(ranks, still),), (Latent(free=5),))
    plan = replace(case.plan, layers=(latents, LayerChoice(), latents))
    needs = preflight_conversion(conversion_source(str(case.folder)), plan, tmp_path / "out")
    convert_checkpoint(str(case.folder), plan, tmp_path / "out")
    assert needs.weight_bytes == _weight_bytes(tmp_path / "out") > needs.source_bytes
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == needs.weight_bytes
    assert sum("qcqa" in name for name in index["weight_map"]) == 2 * (6 if still else 4)


def test_nothing_is_written_and_no_torch_loaded(llama: Any, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    save_plan(llama.plan, plan)
    script = (
        "import sys; from pathlib import Path; from qcqa.plan.file import load_plan\n"
        "from qcqa.export.preflight import conversion_source, preflight_conversion\n"
        f"source = conversion_source({str(llama.folder)!r})\n"
        f"preflight_conversion(source, load_plan(Path({str(plan)!r})), "
        f"Path({str(tmp_path / 'out')!r}))\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "out").exists()


def test_a_refit_needs_the_model_in_float32(llama: Any, tmp_path: Path) -> None:
    text = CalibrationText("demo", "0" * 8, 100, 100)
    plans = (llama.plan, replace(llama.plan, calibration=text))
    plans += (replace(plans[1], refit=True),)
    needed = [
        preflight_conversion(
            conversion_source(str(llama.folder)), plan, tmp_path / "out"
        ).memory_bytes
        for plan in plans
    ]
    assert needed == sorted(set(needed))
    # The tiny model is stored in float32 itself.
    assert needed[1] - convert_preflight._MEMORY_BESIDE_WEIGHTS == _weight_bytes(llama.folder)


def test_too_little_memory_for_a_refit_is_one_line(
    llama: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convert_preflight, "free_memory_bytes", lambda: 600 * 2**20)
    fits = preflight_conversion(conversion_source(str(llama.folder)), llama.plan, tmp_path / "out")
    assert fits.can_be_opened
    monkeypatch.setattr(convert_preflight, "free_memory_bytes", lambda: 10 * 2**20)
    text = CalibrationText("demo", "0" * 8, 100, 100)
    plan = replace(llama.plan, calibration=text, refit=True)
    with pytest.raises(ConversionError, match=r"MiB of memory free; expected 512 MiB") as error:
        preflight_conversion(conversion_source(str(llama.folder)), plan, tmp_path / "out")
    assert "\n" not in error.value.one_line()


def test_free_memory_is_told_or_unknown() -> None:
    free = convert_preflight.free_memory_bytes()
    assert free is None or free > 2**20


def test_what_cannot_end_well_is_refused_in_one_line(
    llama: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"

    def refused(error: type[Exception], match: str, **changes: Any) -> None:
        asked = {"model": str(llama.folder), "plan": llama.plan, "folder": out} | changes
        with pytest.raises(error, match=match) as raised:
            preflight_conversion(conversion_source(asked.pop("model")), **asked)
        assert "\n" not in str(raised.value)

    refused(ConversionError, "is not empty", folder=llama.folder)
    (tmp_path / "file").write_text("mine")
    refused(ConversionError, "is a file", folder=tmp_path / "file")
    refused(ConversionError, "is a file", folder=tmp_path / "file" / "below")
    refused(ConversionError, "every head keeps its own", plan=llama.identity())
    refused(CheckpointError, "there is no folder", model=str(tmp_path / "gone"))
    other = replace(llama.plan, fingerprint="0" * 32)
    refused(PlanError, "search a plan for these weights", plan=other)

    class Usage(NamedTuple):
        free: int

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _path: Usage(free=2**20))
        refused(ConversionError, "make room")
    with monkeypatch.context() as patched:
        # Root may write anywhere.
        patched.setattr(os, "access", lambda _path, mode: not mode & os.W_OK)
        refused(ConversionError, "cannot be written to")


def test_a_shard_that_is_gone_is_missed(llama: Any) -> None:
    last = max(llama.folder.glob("*.safetensors"))
    last.unlink()
    with pytest.raises(CheckpointError, match=last.name):
        conversion_source(str(llama.folder))


def test_weights_of_a_model_on_the_hub_are_not_fetched(
    llama: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_hub = replace(llama.checkpoint, spec=replace(llama.checkpoint.spec, revision="0" * 40))
    monkeypatch.setattr(convert_preflight, "open_checkpoint", lambda *_a, **_k: of_hub)

    def fetch(_checkpoint: Checkpoint) -> str:
        raise AssertionError("reads weights")

    monkeypatch.setattr(Checkpoint, "fingerprint", fetch)
    source = conversion_source("some/model")
    assert preflight_conversion(source, llama.plan, tmp_path / "out").weight_bytes
