"""Tasks in YAML files: the demo's and a user's own, with their data beside them."""

from collections.abc import Mapping
from functools import partial
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

from qcqa.errors import EvaluationError
from qcqa.measure.task_code import refuse_code
from qcqa.packaged import demo_model_folder
from qcqa.reading.file import FileKind, read_bytes
from qcqa.reading.json_file import read_json, read_lines

_DATA = FileKind("JSON Lines", EvaluationError, most_bytes=None, takes_infinity=True)


def demo_task_files() -> dict[str, Path]:
    """Return the files of the tasks that travel with the demo model, by the tasks' names."""
    folder = demo_model_folder() / "tasks"
    return {f"demo_{path.stem}": path for path in sorted(folder.glob("*.yaml"))}


def read_task_file(path: Path, *, allow_code: bool) -> dict[str, Any]:
    """Return a task's config with its data found.

    Relative ``data_files`` are looked for beside the YAML file, wherever the program was started.
    JSON Lines are read into memory, so that nothing is copied to a cache of data sets.

    Parameters
    ----------
    path : Path
        A YAML file as lm-evaluation-harness takes it, for one task.
    allow_code : bool
        Whether what it names may be run, see :func:`~qcqa.measure.task_code.code_of_task`.

    Raises
    ------
    EvaluationError
        If it cannot be read, is no task, its data is missing, or it would run code.
    """
    if not allow_code:
        refuse_code(path)
    config, files = _read(path, allow_code=allow_code)
    if not files:
        return config
    if config.get("dataset_path") != "json":
        options = config["dataset_kwargs"] | {"data_files": files}
        return config | {"dataset_kwargs": options}
    _require_files(files, path)
    without = {key: value for key, value in config.items() if key != "dataset_kwargs"}
    return without | {"custom_dataset": partial(_json_data, files)}


def task_content(task: str) -> str:
    """Return a hash of what a YAML file's task asks, local data included; empty for other tasks.

    Raises
    ------
    EvaluationError
        If the file or its data cannot be read.
    """
    path = demo_task_files().get(task, Path(task))
    if path.suffix not in (".yaml", ".yml"):
        return ""
    _, files = _read(path, allow_code=False)
    local = [file for file in _flat(files) if "://" not in file]
    _require_files({"data": local}, path)
    digest = sha256()
    for name in (str(path), *local):
        digest.update(sha256(Path(name).read_bytes()).digest())
    return digest.hexdigest()


def _read(path: Path, *, allow_code: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a task's config as it stands, and its data files by split, with their folders.

    Where no code is allowed names of functions stay names.
    """
    yaml = import_module("yaml")
    loader = import_module("lm_eval.tasks._yaml_loader")
    try:
        config: dict[str, Any] = loader.load_yaml(path, resolve_func=allow_code)
    except (OSError, ValueError, ImportError, AttributeError, yaml.YAMLError) as error:
        raise EvaluationError(f"{path} cannot be read as a task ({error})") from error
    if not isinstance(config.get("task"), str):
        raise EvaluationError(
            f"{path} describes no single task",
            expected="a 'task' with a name",
            remedy="name the tasks of a group one by one",
        )
    options = config.get("dataset_kwargs")
    if not isinstance(options, dict) or "data_files" not in options:
        return config, {}
    files = _absolute(options["data_files"], path.parent.resolve())
    return config, files if isinstance(files, dict) else {"train": files}


def _require_files(files: Mapping[str, Any], path: Path) -> None:
    for file in _flat(files):
        if not Path(file).is_file():
            raise EvaluationError(f"{file} is missing", expected=f"the data of {path}")


def _absolute(files: Any, folder: Path) -> Any:
    """Return the same structure of file names, each with its folder; addresses stay."""
    if isinstance(files, Mapping):
        return {split: _absolute(part, folder) for split, part in files.items()}
    if isinstance(files, list):
        return [_absolute(file, folder) for file in files]
    return files if "://" in str(files) else str(folder / str(files))


def _flat(splits: Mapping[str, Any]) -> list[str]:
    return [
        file
        for files in splits.values()
        for file in (files if isinstance(files, list) else [files])
    ]


def _json_data(splits: Mapping[str, Any], **_metadata: Any) -> dict[str, Any]:
    """Return the data sets of the splits; the harness passes the task's metadata as well."""
    datasets = import_module("datasets")
    return {
        split: datasets.Dataset.from_list(
            [row for file in _flat({split: files}) for row in _rows(file)]
        )
        for split, files in splits.items()
    }


def _rows(path: str) -> list[dict[str, Any]]:
    """Return the objects of a file: one a line, or one list of all."""
    file = Path(path)
    is_list = read_bytes(file, _DATA).lstrip().startswith(b"[")
    return list(read_json(file, _DATA) if is_list else read_lines(file, _DATA))
