"""The formats: files as they should be, and what is done with them when somebody opens them."""

import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from qcqa.charts.common.kv_axis import KvAxis
from qcqa.charts.jobs.progress import convergence, progress_figure
from qcqa.charts.jobs.run_settings import settings_of
from qcqa.charts.jobs.runs_table import runs_table
from qcqa.charts.jobs.stages import search_stages, stage_names
from qcqa.charts.quality.accuracy import accuracy_figure
from qcqa.charts.quality.accuracy_table import accuracy_table
from qcqa.charts.quality.measurements import figures_text
from qcqa.charts.quality.series import main_metric, metrics_of
from qcqa.cli.summary import comparison_json, result_json
from qcqa.errors import QCQAError
from qcqa.jobs.home import runs_folder
from qcqa.jobs.loading import load_run
from qcqa.jobs.measurements import measurements_of
from qcqa.jobs.pace import machine_pace
from qcqa.jobs.plans import plan_of_run
from qcqa.jobs.run import open_run
from qcqa.jobs.store import DamagedRun, delete_run, list_runs
from qcqa.model.inspect import inspect_model
from qcqa.model.opening import open_checkpoint
from qcqa.model.source_model import load_config, tokenizer_of
from qcqa.packaged import demo_model_folder, demo_run_folder
from qcqa.plan.budget import CacheLoad
from qcqa.plan.file import load_plan, plan_text, save_plan
from qcqa.text.calibration_folder import CalibrationFolder
from qcqa.text.running import context_limit
from qcqa.text.windows import encode, special_prefix
from tests.fuzz.addresses import NAME, open_page, prepare_pages, read_address, whole_address
from tests.fuzz.kept import TinyModel, kept_measurements, read_measurements

LOAD = CacheLoad(context_tokens=4096, batch_size=1, dtype="bfloat16")

#: Files of one format by their names in its folder.
Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Format:
    """A format.

    Parameters
    ----------
    name : str
        For people.
    files : mapping of str to bytes
        A whole example.
    mutated : tuple of str
        Which of the files are damaged, one at a time.
    read : callable
        Does with the folder what people do with it; raises a QCQAError where it is refused.
    prepare : callable
        Does what is done once, such as imports, before anything is bounded.
    """

    name: str
    files: Files
    mutated: tuple[str, ...]
    read: Callable[[Path], object]
    prepare: Callable[[], object] = lambda: None


def all_formats(scratch: Path) -> list[Format]:
    """Return the formats; examples that have to be made are made in ``scratch``."""
    model = _files(demo_model_folder(), ("config.json",))
    small = _small_model(scratch / "model")
    run = _small_run()
    tokenizer = ("tokenizer.json", "tokenizer_config.json")
    tiny = TinyModel.make(scratch / "tiny")
    fitted = tiny.fitted(scratch / "fitted")
    kept = kept_measurements(scratch / "kept")
    return [
        Format("plan", {"plan.json": _plan(scratch)}, ("plan.json",), _read_plan),
        Format("config", small, ("config.json",), _read_model),
        Format("config, GPT-NeoX", _neox(scratch / "neox"), ("config.json",), _read_model),
        Format("index", small, ("model.safetensors.index.json",), _read_model),
        Format("safetensors", small, ("model-1.safetensors",), _read_model),
        Format("run folder", run, tuple(run), _read_run),
        Format("zip of a run", run, tuple(run), _read_zip),
        Format("calibration", _calibration(scratch), ("tokens.safetensors",), _read_calibration),
        Format(
            "tokenizer",
            model | _files(demo_model_folder(), tokenizer),
            tokenizer,
            _read_tokenizer,
        ),
        Format("converted", tiny.config(), ("config.json",), tiny.read_config),
        Format("fitted attention", fitted, tuple(fitted), tiny.read_fitted),
        Format("kept scores", kept, tuple(kept), read_measurements),
        Format("address", whole_address(), (NAME,), read_address),
        Format("page", whole_address(), (NAME,), open_page, prepare_pages),
    ]


def _files(folder: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names}


def _plan(scratch: Path) -> bytes:
    demo = open_run(demo_run_folder() or scratch, bundled=True)
    plan = plan_of_run(demo, demo.result().spec.kv_bits // 2, method="heads-bits", rows=())
    return plan_text(plan).encode()


def _small_model(folder: Path) -> dict[str, bytes]:
    """Return a grouped-query Llama of two layers in one shard."""
    folder.mkdir()
    sizes = {"q_proj": (16, 16), "k_proj": (8, 16), "v_proj": (8, 16), "o_proj": (16, 16)}
    tensors = {
        f"model.layers.{layer}.self_attn.{name}.weight": np.ones(shape, dtype=np.float16)
        for layer in range(2)
        for name, shape in sizes.items()
    }
    save_file(tensors, folder / "model-1.safetensors")
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 4,
        "vocab_size": 64,
        "max_position_embeddings": 128,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        "tie_word_embeddings": True,
    }
    index = {"weight_map": dict.fromkeys(tensors, "model-1.safetensors")}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _neox(folder: Path) -> dict[str, bytes]:
    """Return a model whose projections are fused and whose heads rotate in part."""
    folder.mkdir()
    module = "gpt_neox.layers.0.attention."
    tensors = {
        f"{module}query_key_value.weight": np.ones((48, 16), dtype=np.float32),
        f"{module}query_key_value.bias": np.ones(48, dtype=np.float32),
    }
    save_file(tensors, folder / "model.safetensors")
    config = {
        "model_type": "gpt_neox",
        "architectures": ["GPTNeoXForCausalLM"],
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "attention_bias": True,
        "rotary_pct": 0.5,
        "rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5},
        "tie_word_embeddings": True,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _small_run() -> dict[str, bytes]:
    """Return what the included run holds of a few methods, as a run of the user's own."""
    folder = demo_run_folder()
    if folder is None:
        raise AssertionError("the checkout has an included run")
    kept = ("gqa", "bits.", "lower_bound", "error_bound")
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.parent.name != "fitted"
        and (path.parent.name != "fronts" or path.name.startswith(kept))
        and not path.name.startswith("source-")
    }
    rows = [name for name in files if name.startswith("measured/")]
    for name in rows[2:]:
        del files[name]
    events = files["events.jsonl"].splitlines(keepends=True)
    files["events.jsonl"] = b"".join(events[:20] + events[-20:])
    files["label.json"] = b'{"format": "qcqa-run-label", "version": 1, "name": "x", "note": "y"}'
    return files


def _calibration(scratch: Path) -> dict[str, bytes]:
    folder = CalibrationFolder(scratch / "calibration")
    folder.save_windows([np.arange(9, dtype=np.int32), np.arange(4, dtype=np.int32)], "0" * 16)
    return {"tokens.safetensors": (folder.path / "tokens.safetensors").read_bytes()}


def _read_plan(folder: Path) -> None:
    plan = load_plan(folder / "plan.json")
    _ = (plan.digest, plan.kv_ratio, plan.reductions, plan.num_stored_heads)
    save_plan(plan, folder / "again.json")
    assert load_plan(folder / "again.json") == plan


def _read_model(folder: Path) -> None:
    inspect_model(str(folder))
    checkpoint = open_checkpoint(str(folder))
    checkpoint.fingerprint()
    spec, config = checkpoint.spec, checkpoint.config
    for layer in range(spec.num_layers):
        checkpoint.architecture.rotary_planes(config, spec.head_dim, layer)
    checkpoint.architecture.svd_limits(config)
    context_limit(load_config(checkpoint))
    for layer in range(checkpoint.spec.num_layers):
        checkpoint.read_layer(layer)


def _read_run(folder: Path) -> None:
    """List the run, show it, and delete it."""
    place = runs_folder() / "20260101-000000-run-0000"
    shutil.rmtree(runs_folder(), ignore_errors=True)
    shutil.copytree(folder, place)
    found = next((one for one in list_runs() if one.folder == place), None)
    if found is None:  # without a config.json it is any folder
        return
    runs_table([found])
    try:
        if isinstance(found, DamagedRun):
            raise found.error
        found.status().seconds_left()
        _look_at(found.folder)
    finally:
        delete_run(found)
        assert not place.exists()


def _look_at(folder: Path) -> None:
    run = open_run(folder)
    result, rows, events = run.result(), run.measured(), run.events()
    plan_text(plan_of_run(run, result.spec.kv_bits // 2, result=result, rows=rows))
    if metric := main_metric(rows):
        accuracy_figure(rows, metric, KvAxis(result.spec, LOAD), fronts=result.fronts)
        accuracy_table(rows, metrics_of(rows))
    for measured in measurements_of(run):
        figures_text(measured)
    comparison_json(result, {0.5: result.spec.kv_bits // 2}, LOAD, rows)
    result_json(result)
    settings_of(run)
    machine_pace([run])
    search_stages(stage_names(run.search.methods, run.search.settings), events, finished=False)
    convergence(events)
    progress_figure(events)


def _read_zip(folder: Path) -> None:
    path = folder.with_name("run.zip")
    with zipfile.ZipFile(path, "w") as file:
        for one in folder.rglob("*"):
            file.write(one, Path("20260101-000000-run-0000") / one.relative_to(folder))
    shutil.rmtree(runs_folder(), ignore_errors=True)
    try:
        _look_at(load_run(path).folder)
    finally:
        path.unlink()


def _read_calibration(folder: Path) -> None:
    calibration = CalibrationFolder(folder)
    calibration.windows()
    calibration.mark()


def _read_tokenizer(folder: Path) -> None:
    tokenizer = tokenizer_of(str(folder))
    special_prefix(tokenizer)
    encode(tokenizer, "The cat of the two dogs sees a bird. 17 apples \N{SNOWMAN}")


__all__ = ["Format", "QCQAError", "all_formats"]
