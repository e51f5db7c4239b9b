"""What comes along from a source: data by name, nothing through links, code only when asked for."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import transformers.utils
from huggingface_hub import constants
from transformers import AutoTokenizer
from transformers.models.auto.tokenization_auto import (
    TOKENIZER_MAPPING_NAMES,
    tokenizer_class_from_name,
)

from qcqa.conversion.companions import is_companion
from qcqa.conversion.folder import code_texts, convert_checkpoint
from qcqa.conversion.loading import load
from qcqa.errors import CheckpointError
from qcqa.model.families import known_architectures
from qcqa.model.opening import open_checkpoint
from qcqa.packaged import demo_model_folder

MakeCase = Callable[[str], Any]


@pytest.fixture
def llama(make_case: MakeCase) -> Any:
    return make_case("llama")


def written(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def put(folder: Path, **contents: Any) -> None:
    """Write JSON and text into files; ``__`` stands for the dot of an ending."""
    for name, content in contents.items():
        path = folder / name.replace("__", ".")
        path.write_text(content if isinstance(content, str) else json.dumps(content))


# Data ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("constant", ["CHAT_TEMPLATE_FILE", "LEGACY_PROCESSOR_CHAT_TEMPLATE_FILE"])
def test_chat_templates_of_transformers_are_listed(constant: str) -> None:
    assert is_companion(getattr(transformers.utils, constant))
    assert is_companion(f"{transformers.utils.CHAT_TEMPLATE_DIR}/tool_use.jinja")


def test_configs_of_transformers_processors_are_listed() -> None:
    names = {
        getattr(transformers.utils, name)
        for name in dir(transformers.utils)
        if name.endswith(("_NAME", "_FILE")) and not name.startswith(("CONFIG", "MODEL_CARD"))
    }
    data = {name for name in names if isinstance(name, str) and name.endswith("_config.json")}
    assert {"preprocessor_config.json", "processor_config.json"} <= data
    assert all(map(is_companion, data - {"adapter_config.json"}))


def test_vocabularies_of_all_tokenizers_are_listed() -> None:
    classes = {model_type: name for model_type, name in TOKENIZER_MAPPING_NAMES.items() if name}
    seen = set()
    for model_type, name in classes.items():
        try:
            files = tokenizer_class_from_name(name).vocab_files_names.values()
        except (AttributeError, ImportError):  # RAG's has none; sentencepiece is not installed
            continue
        seen.add(model_type)
        assert all(map(is_companion, files)), (model_type, set(files))
    # Families that are not in the mapping have nothing but tokenizer.json.
    known = set(known_architectures()) & set(classes)
    assert len(known) > 20
    assert known <= seen


@pytest.mark.parametrize(
    "name",
    [
        "tokenizer.model", "sentencepiece.bpe.model", "qwen.tiktoken", "tiktoken.model",
        "tokenizer.model.v3", "tekken.json", "tokenizer.4.40.0.json", "chat_template.json",
        "tool_template.jinja", "chat_templates/rag.jinja", "additional_chat_templates/x.jinja",
        "video_preprocessor_config.json", "LICENSE", "LICENSE.txt", "license.md", "LICENCE",
        "LICENSE-APACHE", "MODEL_LICENSE", "NOTICE", "Notice.txt", "USE_POLICY.md", "COPYING",
        "Model License Agreement.pdf",
    ],
)  # fmt: skip
def test_data_of_a_known_name(name: str) -> None:
    assert is_companion(name)


@pytest.mark.parametrize(
    "name",
    [
        "tokenizer_evil.py", "tokenizer.py", "vocab_x.py", "tokenizer.pkl", "vocab.pkl",
        "tokenizer.json.bak", "tokenizer_state.bin", "tokenizer.so", "chat_template.py",
        "LICENSE.py", "LICENSE_check.py", "NOTICE.pkl", "NOTICE.sh", "licensee.txt",
        "special_tokens_map.json.py", "modeling.py", "notes.txt", "README.md", "config.json",
        "chat_templates/run.py", "other/chat_template.jinja", "chat_templates/a/b.jinja",
        "model.safetensors", "adapter_config.json", "custom_generate/generate.py",
    ],
)  # fmt: skip
def test_no_other_file_comes_along(name: str) -> None:
    assert not is_companion(name)


def test_folders_of_chat_templates_come_along(llama: Any, tmp_path: Path) -> None:
    for folder in ("chat_templates", "additional_chat_templates", "other"):
        (llama.folder / folder).mkdir()
        (llama.folder / folder / "rag.jinja").write_text("{{ messages }}")
        (llama.folder / folder / "run.py").write_text("raise SystemExit")
    put(llama.folder, tokenizer__pkl="no", tokenizer_evil__py="no", vocab__txt="a")

    convert_checkpoint(str(llama.folder), llama.plan, tmp_path / "out")

    beside = written(tmp_path / "out")
    assert {"additional_chat_templates/rag.jinja", "chat_templates/rag.jinja"} <= beside
    assert "vocab.txt" in beside
    assert {one for one in beside if one.endswith((".py", ".pkl"))} == set(code_texts())


# Links --------------------------------------------------------------------------------------


def test_links_out_of_the_folder_are_left_out_and_said(llama: Any, tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "key.jinja").write_text("secret")
    (tmp_path / "secrets" / "LICENSE").symlink_to(tmp_path / "secrets" / "key.jinja")
    (llama.folder / "NOTICE").symlink_to(tmp_path / "secrets" / "key.jinja")
    (llama.folder / "LICENSE").symlink_to("../secrets/LICENSE")
    (llama.folder / "chat_templates").symlink_to(tmp_path / "secrets")
    (llama.folder / "vocab.txt").symlink_to("gone.txt")
    (llama.folder / "merges.txt").symlink_to("merges.txt")
    put(llama.folder, real__json="{}")
    (llama.folder / "vocab.json").symlink_to("real.json")

    came = convert_checkpoint(str(llama.folder), llama.plan, tmp_path / "out")

    [line] = came.left_out
    left = ("LICENSE", "NOTICE", "chat_templates/key.jinja", "merges.txt", "vocab.txt")
    assert line.startswith(f"{', '.join(left)}: ")
    assert not written(tmp_path / "out") & set(left)
    assert (tmp_path / "out" / "vocab.json").read_text() == "{}"
    assert not (tmp_path / "out" / "vocab.json").is_symlink()
    assert line in (tmp_path / "out" / "README.md").read_text()


def test_weights_and_config_may_be_links_to_another_disk(llama: Any, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    for path in (*llama.folder.glob("*.safetensors"), llama.folder / "config.json"):
        path.rename(disk / path.name)
        path.symlink_to(disk / path.name)

    came = convert_checkpoint(str(llama.folder), llama.plan, tmp_path / "out")

    assert came.left_out == ()
    assert load(tmp_path / "out").config.qcqa
    assert not any(path.is_symlink() for path in (tmp_path / "out").iterdir())


def cached(folder: Path, cache: Path) -> Path:
    """Lay a folder's files out as the Hub's cache does; return the snapshot."""
    repository, commit = cache / "models--org--model", "0123456789abcdef0123456789abcdef01234567"
    snapshot = repository / "snapshots" / commit
    (repository / "blobs").mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    for number, path in enumerate(path for path in folder.rglob("*") if path.is_file()):
        blob, link = repository / "blobs" / str(number), snapshot / path.relative_to(folder)
        blob.write_bytes(path.read_bytes())
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    return snapshot


@pytest.mark.parametrize("by_id", [False, True])
def test_a_snapshot_of_the_hubs_cache_is_made_of_links_to_its_blobs(
    by_id: bool, llama: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (llama.folder / "chat_templates").mkdir()
    (llama.folder / "chat_templates" / "rag.jinja").write_text("{{ messages }}")
    put(llama.folder, tokenizer__json="{}", LICENSE="free", tok__py="class Tok: pass")
    put(llama.folder, tokenizer_config__json={"auto_map": {"AutoTokenizer": ["tok.Tok", None]}})
    snapshot = cached(llama.folder, tmp_path / "cache")
    (tmp_path / "passwd").write_text("secret")
    (snapshot / "NOTICE").symlink_to(tmp_path / "passwd")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    source = "org/model" if by_id else str(snapshot)
    plan = replace(llama.plan, model=open_checkpoint(source).spec)

    came = convert_checkpoint(source, plan, tmp_path / "out", with_source_code=True)

    expected = {"LICENSE", "chat_templates/rag.jinja", "tok.py", "tokenizer.json"}
    assert expected <= written(tmp_path / "out")
    assert "NOTICE" not in written(tmp_path / "out")
    assert [line.split(":")[0] for line in came.left_out] == ["NOTICE"]


def test_blobs_of_anything_but_the_hubs_cache_are_outside(llama: Any, tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "private").write_text("secret")
    source = tmp_path / "snapshots" / "llama"
    source.parent.mkdir()
    llama.folder.rename(source)
    (source / "LICENSE").symlink_to("../../blobs/private")
    came = convert_checkpoint(str(source), llama.plan, tmp_path / "out")
    assert came.left_out
    assert "LICENSE" not in written(tmp_path / "out")


# Code ---------------------------------------------------------------------------------------

TOKENIZER = """
from transformers import PreTrainedTokenizerFast
from .words_of_model import WORD


class OddTokenizer(PreTrainedTokenizerFast):
    word = WORD
"""


@pytest.fixture
def odd(llama: Any) -> Any:
    """Return a model whose tokenizer is code of its own, and what else its configs name."""
    tokenizer = AutoTokenizer.from_pretrained(demo_model_folder(), trust_remote_code=False)
    tokenizer.save_pretrained(llama.folder)
    entry = [None, "tokenization_odd.OddTokenizer"]
    config = json.loads((llama.folder / "tokenizer_config.json").read_text())
    config |= {"tokenizer_class": "OddTokenizer", "auto_map": {"AutoTokenizer": entry}}
    models = {"AutoModelForCausalLM": "modeling_odd.OddModel", "AutoConfig": "modeling_odd.Config"}
    put(
        llama.folder,
        tokenization_odd__py=TOKENIZER,
        words_of_model__py="from .deeper import WORD",
        deeper__py="WORD = 'odd'",
        not_imported__py="raise SystemExit",
        modeling_odd__py="raise SystemExit('the source has run')",
        processing_odd__py="class Odd: pass",
        tokenizer_config__json=config,
        processor_config__json={
            "image_processor": {"auto_map": {"AutoImageProcessor": "processing_odd.Odd"}, "size": 3}
        },
        config__json=json.loads((llama.folder / "config.json").read_text())
        | {
            "auto_map": models | {"AutoTokenizer": entry},
            "custom_pipelines": {"text": {"impl": "modeling_odd.Pipeline"}},
        },
    )
    return llama


def test_code_stays_behind_and_so_does_all_that_names_it(odd: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    came = convert_checkpoint(str(odd.folder), odd.plan, out)

    assert {one for one in written(out) if one.endswith(".py")} == set(code_texts())
    for path in out.glob("*config.json"):
        assert "_odd" not in path.read_text()
    kept = json.loads((out / "processor_config.json").read_text())
    assert kept == {"image_processor": {"size": 3}}
    assert "custom_pipelines" not in json.loads((out / "config.json").read_text())
    [line] = came.left_out
    assert "\n" not in line
    assert "tokenization_odd.OddTokenizer in tokenizer_config.json" in line
    assert "processing_odd.Odd in processor_config.json" in line
    assert "--with-source-code" in line
    card = (out / "README.md").read_text()
    assert line in card
    assert "Nothing else here is code" in card
    assert 'AutoTokenizer.from_pretrained("this folder")' in card


OPEN = """
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1], trust_remote_code=True)
AutoModelForCausalLM.from_pretrained(sys.argv[1], trust_remote_code=True)
print(type(tokenizer).__name__, getattr(tokenizer, "word", None), len(tokenizer("a b").input_ids))
"""


def opened(folder: Path, modules: Path) -> str:
    """Open a folder's tokenizer and model as a stranger does, all code trusted."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", OPEN, str(folder)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=os.environ | {"HF_MODULES_CACHE": str(modules), "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_a_stranger_runs_is_what_the_card_says(odd: Any, tmp_path: Path) -> None:
    without, with_code = tmp_path / "without", tmp_path / "with"
    convert_checkpoint(str(odd.folder), odd.plan, without)
    came = convert_checkpoint(str(odd.folder), odd.plan, with_code, with_source_code=True)

    assert "odd" not in opened(without, tmp_path / "modules").lower()
    assert opened(with_code, tmp_path / "modules").startswith("OddTokenizer odd")

    code = ("deeper.py", "processing_odd.py", "tokenization_odd.py", "words_of_model.py")
    assert came.code == code
    assert came.left_out == ()
    beside = {one for one in written(with_code) if one.endswith(".py")}
    assert beside == {*code, *code_texts()}
    card = (with_code / "README.md").read_text()
    assert all(f"`{name}`" in card for name in code)
    assert "Nothing else here is code" not in card
    assert 'AutoTokenizer.from_pretrained("this folder", trust_remote_code=True)' in card
    assert "plan.json --with-source-code" in card
    named = json.loads((with_code / "config.json").read_text())["auto_map"]
    assert set(named) == {
        "AutoModelForCausalLM", "AutoModelForImageTextToText", "AutoTokenizer",
    }  # fmt: skip
    assert "_odd" not in named["AutoModelForCausalLM"]


@pytest.mark.parametrize(
    "reference",
    [
        "missing.Tok",
        "../outside.Tok",
        "{tmp}/outside.Tok",
        "linked.Tok",
        "importing.Tok",
        "org/other--tok.Tok",
        "no_class",
    ],
)
def test_code_that_is_not_in_the_folder_is_refused_before_any_work(
    reference: str, llama: Any, tmp_path: Path
) -> None:
    put(tmp_path, outside__py="class Tok: pass")
    (llama.folder / "linked.py").symlink_to(tmp_path / "outside.py")
    put(llama.folder, importing__py="from ./../outside import Tok")
    reference = reference.format(tmp=tmp_path)
    put(llama.folder, tokenizer_config__json={"auto_map": [reference, None]})
    with pytest.raises(CheckpointError, match="is no file of the model") as error:
        convert_checkpoint(str(llama.folder), llama.plan, tmp_path / "out", with_source_code=True)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()
    came = convert_checkpoint(str(llama.folder), llama.plan, tmp_path / "out")
    assert reference in came.left_out[0]
    assert json.loads((tmp_path / "out" / "tokenizer_config.json").read_text()) == {}


def test_asking_for_code_where_there_is_none_changes_nothing(llama: Any, tmp_path: Path) -> None:
    put(llama.folder, tokenizer_config__json='{"model_max_length": 1e30}')
    came = convert_checkpoint(
        str(llama.folder), llama.plan, tmp_path / "out", with_source_code=True
    )
    assert (came.code, came.left_out) == ((), ())
    assert (tmp_path / "out" / "tokenizer_config.json").read_text() == '{"model_max_length": 1e30}'
    assert "Nothing else here is code" in (tmp_path / "out" / "README.md").read_text()
