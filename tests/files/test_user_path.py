"""What people paste is understood, and what cannot be read is refused in one line."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from qcqa.errors import EvaluationError, SettingsError
from qcqa.files.user_path import as_meant, existing_file, existing_path, is_folder, user_path


def test_what_is_pasted_is_the_path_that_was_meant(
    pasted: Callable[[Path], str], tmp_path: Path
) -> None:
    file = tmp_path / "my notes, 100 %.txt"
    file.write_text("text")
    typed = pasted(file)
    assert user_path(typed) == file
    assert existing_file(typed, expected="a text file") == file
    # A path that was cleaned stays as it is, also as a Path.
    assert user_path(user_path(typed)) == file


def test_what_cannot_be_read_is_refused_in_one_line(unreadable: str) -> None:
    with pytest.raises(EvaluationError) as refused:
        existing_file(unreadable, expected="a text file", refusal=EvaluationError)
    line = refused.value.one_line()
    assert "\n" not in line
    assert len(line) < 400


def test_what_is_no_path_is_left_as_it_is() -> None:
    assert [as_meant(one) for one in ("demo", " org/name\n", "./nowhere", '"demo"')] == [
        "demo", "org/name", "./nowhere", "demo",
    ]  # fmt: skip
    # One quote alone, or two that do not belong together, may be of the name.
    assert [as_meant(one) for one in ('5" disk', "'a\"", '"')] == ['5" disk', "'a\"", '"']


def test_a_file_without_permission_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "private.txt"
    file.write_text("text")
    # As for any user but root.
    monkeypatch.setattr(os, "access", lambda path, mode: (path, mode) != (file, os.R_OK))
    with pytest.raises(SettingsError, match="permissions"):
        existing_file(file, expected="a text file")


def test_folders_files_and_nothing_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert [is_folder(one) for one in (tmp_path, file, tmp_path / "none")] == [True, False, None]
    assert existing_path(f'"{tmp_path}"', expected="a folder") == tmp_path
    with pytest.raises(SettingsError, match="file is a file; expected a folder"):
        is_folder(file / "below")
