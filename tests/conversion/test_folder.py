"""The folder that a conversion writes is a complete checkpoint."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from qcqa.conversion.card import model_card
from qcqa.conversion.folder import convert_checkpoint
from qcqa.conversion.live import convert
from qcqa.conversion.loading import load
from qcqa.plan.file import load_plan
from qcqa.plan.plan import Measurement

MakeCase = Callable[[str], Any]


@pytest.fixture
def llama(make_case: MakeCase) -> Any:
    return make_case("llama")


def test_folder_holds_all_that_a_model_needs(llama: Any, tmp_path: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "LICENSE.txt"):
        (llama.folder / name).write_text(name)
    for name in ("pytorch_model.bin", "notes.txt", "modeling_other.py", "README.md"):
        (llama.folder / name).write_text("not taken along")
    out = tmp_path / "deep" / "out"

    convert_checkpoint(str(llama.folder), llama.plan, out)

    names = {path.name for path in out.iterdir()}
    shards = {path.name for path in llama.folder.glob("*.safetensors")}
    assert len(shards) > 1
    assert names == shards | {
        "model.safetensors.index.json",
        "config.json",
        "generation_config.json",
        "plan.json",
        "README.md",
        "bits_qcqa.py",
        "blocks_qcqa.py",
        "cache_qcqa.py",
        "families_qcqa.py",
        "maps_qcqa.py",
        "selection_qcqa.py",
        "packed_qcqa.py",
        "modeling_qcqa.py",
        "section_qcqa.py",
        "hooks_qcqa.py",
        "releases_qcqa.py",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "LICENSE.txt",
    }
    assert load_plan(out / "plan.json") == llama.plan
    assert (out / "tokenizer.json").read_text() == "tokenizer.json"


def test_index_and_shards_agree(llama: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    progress = []

    convert_checkpoint(
        str(llama.folder), llama.plan, out, on_bytes=lambda *bytes_: progress.append(bytes_)
    )

    index = json.loads((out / "model.safetensors.index.json").read_text())
    tensors = {}
    for shard in out.glob("*.safetensors"):
        for name, tensor in load_file(shard).items():
            assert index["weight_map"][name] == shard.name
            tensors[name] = tensor
    assert set(tensors) == set(index["weight_map"])
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    assert index["metadata"]["total_size"] == size
    assert progress[-1] == (size, size)
    assert progress == sorted(progress)


def test_identity_plan_writes_the_same_bytes(llama: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"

    convert_checkpoint(str(llama.folder), llama.identity(), out)

    for shard in llama.folder.glob("*.safetensors"):
        before, after = load_file(shard), load_file(out / shard.name)
        assert set(before) == set(after)
        assert all(torch.equal(before[name], after[name]) for name in before)


def test_one_file_and_an_empty_folder(llama: Any, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    llama.model.save_pretrained(whole)
    out.mkdir()

    convert_checkpoint(str(whole), llama.plan, out)

    assert not (out / "model.safetensors.index.json").exists()
    assert load_file(out / "model.safetensors")
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_checkpoint_that_was_saved_without_its_head(
    name: str, make_case: MakeCase, tmp_path: Path
) -> None:
    case = make_case(name)
    case.model.config.tie_word_embeddings = True
    case.model.tie_weights()
    case.model.base_model.save_pretrained(tmp_path / "base")
    out = tmp_path / "out"

    convert_checkpoint(str(tmp_path / "base"), case.plan, out)

    ids = torch.arange(3, 9)[None]
    loaded = load(out, attn_implementation="eager")
    live = convert(case.model, case.plan)
    with torch.no_grad():
        assert torch.equal(loaded(ids).logits, live(ids).logits)


def test_card_says_what_it_is_and_costs(llama: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"

    convert_checkpoint(str(llama.folder), llama.plan, out)

    card = (out / "README.md").read_text()
    assert "{" not in card.split("```json")[0].replace("{}", "")
    for part in (
        "**random**",
        "**mean**",
        f"| KV ratio | {llama.plan.kv_ratio:.4g} |",
        f"{llama.plan.kv_bytes_per_token:g} bytes | {llama.plan.model.kv_bytes_per_token()} bytes",
        "WSE 1, 0.5",
        "less than 0.9",
        "Nothing was measured",
        "trust_remote_code=True",
        "qcqa convert llama --plan plan.json",
    ):
        assert part in card
    assert str(tmp_path) not in card


def test_card_holds_the_measured_figures_and_the_settings(llama: Any) -> None:
    figures = (Measurement("text/perplexity", 12.25, 0.5, 800), Measurement("speed", 7.0))
    card = model_card(replace(llama.plan, measured=figures, provenance={"seed": 3}))
    assert "| text: perplexity | 12.25 | 0.5 | 800 |" in card
    assert "| speed | 7 | — | — |" in card
    assert "Nothing was measured" not in card
    assert json.loads(card.split("```json")[1].split("```")[0]) == {"seed": 3}


SCRIPT = """
import json, sys
import torch
from transformers import AutoModelForCausalLM

assert not any(name.split(".")[0] == "qcqa" for name in sys.modules)
sys.modules["qcqa"] = None  # what has it installed cannot use it either
texts = []
for folder in sys.argv[1:]:
    model = AutoModelForCausalLM.from_pretrained(
        folder, trust_remote_code=True, attn_implementation="eager"
    )
    ids = torch.arange(3, 9)[None]
    text = model.generate(ids, do_sample=False, max_new_tokens=8, min_new_tokens=8, pad_token_id=0)
    texts.append(text[0].tolist())
print(json.dumps(texts))
"""


def test_opens_and_generates_the_same_without_this_library(
    make_case: MakeCase, tmp_path: Path
) -> None:
    folders, texts = [], []
    for name in ("llama", "gpt_neox", "gpt2"):
        case = make_case(name)
        folders.append(case.folder / "converted")
        convert_checkpoint(str(case.folder), case.plan, folders[-1])
        model = convert(case.model, case.plan)
        length = {"max_new_tokens": 8, "min_new_tokens": 8}
        ids = torch.arange(3, 9)[None]
        text = model.generate(ids, do_sample=False, pad_token_id=0, **length)
        texts.append(text[0].tolist())

    done = subprocess.run(
        [sys.executable, "-I", "-c", SCRIPT, *map(str, folders)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"HF_MODULES_CACHE": str(tmp_path / "modules"), "OMP_NUM_THREADS": "1"},
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == texts


def test_load_runs_no_code_of_the_folder(llama: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert_checkpoint(str(llama.folder), llama.plan, out)
    (out / "modeling_qcqa.py").write_text("raise SystemExit('executed')")

    model = load(out)

    assert model.dtype == torch.float32
    assert not model.training
