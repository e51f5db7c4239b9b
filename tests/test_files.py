"""Files are replaced whole or not at all."""

from pathlib import Path

import pytest

from qcqa.files import write_text_atomically


def test_a_file_that_cannot_be_written_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "plan.json").mkdir()
    with pytest.raises(IsADirectoryError) as error:
        write_text_atomically(tmp_path / "plan.json", "new")
    assert error.value.filename == str(tmp_path / "plan.json")
    with pytest.raises(FileNotFoundError) as missing:
        write_text_atomically(tmp_path / "gone" / "plan.json", "new")
    assert missing.value.filename == str(tmp_path / "gone" / "plan.json")
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


def test_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    for text in ("old", "new"):
        write_text_atomically(path, text)
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
