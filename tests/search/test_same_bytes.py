"""One seed, one sequence of bytes: in every file but those that hold times."""

import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, LlamaForCausalLM

from qcqa.conversion.folder import convert_checkpoint
from qcqa.jobs.plans import plan_at
from qcqa.jobs.run import Run
from qcqa.jobs.store import create_run
from qcqa.jobs.worker import work
from qcqa.packaged import demo_model_folder
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.options import TwoStageOptions

#: What says when a run was made, and when which step of it was done.
_TIMES = {"config.json", "status.json", "events.jsonl"}

_QUICK = SearchSettings(
    two_stage=TwoStageOptions(
        population_size=8, generations=2, stage2_population_size=8, stage2_generations=2
    ),
    stage2_fitness="loss",
    workers=1,
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a random Llama of 2 layers and 4 heads that reads the demo's text."""
    folder, demo = tmp_path_factory.mktemp("same") / "model", demo_model_folder()
    torch.manual_seed(0)
    config = AutoConfig.from_pretrained(
        demo,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=8,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(demo / name, folder / name)
    text = (demo / "calibration.txt").read_text(encoding="utf-8")
    (folder.parent / "text.txt").write_text(text[:20_000], encoding="utf-8")
    return folder


def _search(model: Path, folder: Path) -> Run:
    run = create_run(
        model=str(model),
        methods=("qcqa-ac", "best"),
        settings=_QUICK,
        calibration=str(model.parent / "text.txt"),
        folder=folder,
    )
    work(run)
    return run


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".") and path.name not in _TIMES
    }


def test_two_searches_and_what_is_made_of_them_are_equal_to_the_byte(
    model: Path, tmp_path: Path
) -> None:
    one, other = (_search(model, tmp_path / name) for name in ("one", "other"))
    files, again = _files(one.folder), _files(other.folder)
    assert {Path(name).suffix for name in files} == {".parquet", ".safetensors", ".json", ".jsonl"}
    assert files.keys() == again.keys()
    assert [name for name in files if files[name] != again[name]] == []
    plan = plan_at(one, ("gqa", one.result().spec.kv_bits // 2))
    folders = [tmp_path / "converted" / name for name in ("one", "other")]
    for folder in folders:
        convert_checkpoint(str(model), plan, folder)
    assert _files(folders[0]) == _files(folders[1])
    # Of a checkpoint, config.json is data.
    configs = {(folder / "config.json").read_bytes() for folder in folders}
    assert len(configs) == 1
