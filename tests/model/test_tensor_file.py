"""Arrays as safetensors: one content, one sequence of bytes."""

from pathlib import Path

import numpy as np
from safetensors import safe_open

from qcqa.model.tensor_file import write_tensors


def test_the_same_content_is_the_same_bytes_however_it_was_put_together(tmp_path: Path) -> None:
    arrays = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.array([1], dtype=np.int8)}
    about = {name: f"\N{MINUS SIGN}{name}" for name in "ihgfedcba"}
    path, seen = tmp_path / "a.safetensors", set()
    for _ in range(20):
        write_tensors(path, arrays, about)
        arrays, about = (dict(reversed(one.items())) for one in (arrays, about))
        seen.add(path.read_bytes())
    assert len(seen) == 1
    with safe_open(path, framework="numpy") as file:
        assert file.metadata() == about
        assert np.array_equal(file.get_tensor("b"), arrays["b"])
        assert file.get_tensor("a").dtype == np.int8


def test_nothing_need_be_said_about_arrays(tmp_path: Path) -> None:
    write_tensors(tmp_path / "a.safetensors", {"a": np.zeros(3)})
    with safe_open(tmp_path / "a.safetensors", framework="numpy") as file:
        assert not file.metadata()
        assert file.get_tensor("a").shape == (3,)
