"""The maker of models to judge by: what it writes can be searched, and its texts never meet."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from qcqa.model.inspect import inspect_model
from tests.benchmarks.conftest import sources
from tests.benchmarks.models_apart import make, split_files


@pytest.mark.parametrize("family", ["llama", "opt"])
def test_model_opens_and_is_plain_multi_head_attention(apart: Path, family: str) -> None:
    folder = apart / family
    spec = inspect_model(str(folder)).spec
    assert (spec.num_layers, spec.num_kv_heads, spec.num_query_heads) == (4, 8, 8)
    assert (spec.head_dim, spec.hidden_size, spec.dtype) == (32, 256, "bfloat16")
    assert spec.has_kv_bias == (family == "opt")
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = (folder / "test.txt").read_text()
    ids = tokenizer(text, add_special_tokens=False).input_ids
    assert tokenizer.decode(ids) == text
    assert model(torch.tensor([ids[:50]])).logits.isfinite().all()


def test_no_file_is_in_two_parts_and_none_of_elsewhere(tmp_path: Path) -> None:
    root = sources(tmp_path)
    split = split_files(root)
    files = [path for part in split.values() for path in part]
    assert all(split.values())
    assert len(files) == len(set(files)) == 40
    (root / "added.py").write_text("x = 1\n")
    again = split_files(root)
    assert all(set(split[part]) <= set(again[part]) for part in split)


def test_texts_hold_their_own_files_alone(apart: Path) -> None:
    split = split_files(apart / "sources")
    for part in ("calibration", "test"):
        text = (apart / "llama" / f"{part}.txt").read_text()
        for of, files in split.items():
            for path in files:
                assert (path.read_text().strip() in text) == (of == part)


def test_same_steps_make_the_same_model(apart: Path, tmp_path: Path) -> None:
    make("llama", tmp_path / "again", steps=2, root=apart / "sources")
    one, other = (
        (folder / "model.safetensors").read_bytes()
        for folder in (apart / "llama", tmp_path / "again")
    )
    assert one == other
    assert json.loads((tmp_path / "again" / "training.json").read_text())["steps"] == 2
