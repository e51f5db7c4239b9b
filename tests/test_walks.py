"""How many files a reader passes on the ways that the project is for, as they are really run."""

import pkgutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import qcqa
from qcqa.export.convert import convert_by_plan
from qcqa.packaged import demo_model_folder
from qcqa.search.calibrated_model import CalibratedModel
from qcqa.search.plans import best_plan
from qcqa.search.search import search_model
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.options import ExactOptions, TwoStageOptions
from qcqa.text.documents import demo_documents

_PACKAGE = str(Path(qcqa.__file__).parent)

SETTINGS = SearchSettings(
    two_stage=TwoStageOptions(population_size=8, generations=2, stage2_generations=2),
    exact=ExactOptions(restarts=1),
    workers=1,
)


@pytest.fixture(scope="module", autouse=True)
def _all_is_imported() -> None:
    """Import all there is: what a module does when it is imported is no part of a walk."""
    for module in pkgutil.walk_packages(qcqa.__path__, "qcqa."):
        if not module.name.endswith("__main__"):
            import_module(module.name)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny model that reads the demo's language."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=2240,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=128,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((demo_model_folder() / name).read_bytes())
    return folder


@dataclass
class Walk:
    """Files of the package whose functions were called, and the most of them in one another."""

    passed: set[str] = field(default_factory=set)
    deepest: int = 0


@contextmanager
def _walk() -> Iterator[Walk]:
    """Follow the calls of this thread."""
    walk, under_way = Walk(), Counter[str]()

    def note(frame: FrameType, event: str, _argument: Any) -> None:
        # Bodies of modules and of classes are no functions.
        if event not in ("call", "return") or not frame.f_code.co_flags & CO_OPTIMIZED:
            return
        name = frame.f_code.co_filename
        if not name.startswith(_PACKAGE):
            return
        walk.passed.add(name)
        under_way[name] += 1 if event == "call" else -1
        walk.deepest = max(walk.deepest, sum(count > 0 for count in under_way.values()))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield walk
    finally:
        sys.setprofile(before)


def _from_checkpoint_to_front(model: Path, _tmp_path: Path) -> Walk:
    with _walk() as walk:
        search_model(str(model), methods=["qcqa-ac-wse"], settings=SETTINGS)
    return walk


def _from_plan_to_folder(model: Path, tmp_path: Path) -> Walk:
    result = search_model(str(model), methods=["optimal"], settings=SETTINGS)
    plan = best_plan(result.fronts["optimal"], result.grams, result.spec.kv_bits // 2)
    with _walk() as walk:
        convert_by_plan(str(model), plan, tmp_path / "out")
    return walk


def _from_text_to_best_front(model: Path, tmp_path: Path) -> Walk:
    text = tmp_path / "text.txt"
    text.write_text("\n".join(demo_documents()[:6]), encoding="utf-8")
    calibrated = CalibratedModel(str(model), str(text), tmp_path / "calibration")
    with _walk() as walk:
        search_model(str(model), methods=["best"], settings=SETTINGS, calibrated=calibrated)
    return walk


#: Takes a model's folder and one to write to.
Way = Callable[[Path, Path], Walk]

#: Files that are passed, and how many of them in one another, as they are now. Some 18 of each are
#: of a checkpoint that is read. Whoever raises a number has put a layer into the way.
MOST = {
    _from_checkpoint_to_front: (53, 11),
    _from_plan_to_folder: (47, 9),
    _from_text_to_best_front: (109, 19),
}


@pytest.mark.parametrize("way", MOST, ids=lambda way: way.__name__.strip("_"))
def test_no_walk_gets_longer(way: Way, model: Path, tmp_path: Path) -> None:
    walk = way(model, tmp_path)
    names = sorted(Path(name).relative_to(_PACKAGE).as_posix() for name in walk.passed)
    files, deep = MOST[way]
    assert len(names) <= files, names
    assert walk.deepest <= deep
