"""Files are replaced whole or not at all."""

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from qcqa.files.writing import (
    append_line,
    remove_leftovers,
    replacing,
    replacing_folder,
    temporary_folder,
    write_text_atomically,
)


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


def test_what_the_dead_have_left_is_removed_and_what_the_living_write_stays(tmp_path: Path) -> None:
    left = [tmp_path / f".plan.json.{name}.tmp" for name in ("0123abcd", f"{os.getpid()}")]
    folder = tmp_path / ".plan.json.00000001.tmp"
    (folder / "below").mkdir(parents=True)
    others = [tmp_path / name for name in (".other.json.0123abcd.tmp", ".plan.json.mine.tmp")]
    for path in (*left, *others):
        path.write_text("half")
    outside = tmp_path / "outside"
    (tmp_path / ".plan.json.00000002.tmp").symlink_to(outside)
    with replacing(tmp_path / "plan.json") as living:
        living.write_text("new")
        write_text_atomically(tmp_path / "plan.json", "sooner")
        assert living.exists()
        assert not any(path.exists() for path in (*left, folder, outside))
    assert (tmp_path / "plan.json").read_text() == "new"
    assert {path.name for path in tmp_path.iterdir()} == {"plan.json", *(p.name for p in others)}


def test_leftovers_below_a_folder_are_those_of_nobody(tmp_path: Path) -> None:
    (tmp_path / "fronts").mkdir()
    left = tmp_path / "fronts" / ".gqa.parquet.99.tmp"
    left.write_text("half")
    with replacing(tmp_path / "fronts" / "mqa.parquet") as living:
        living.write_text("whole")
        remove_leftovers(tmp_path, below=True)
        assert not left.exists()
        assert living.exists()


def test_a_killed_process_leaves_nothing_that_stays(tmp_path: Path) -> None:
    writes = (
        "import os, signal, sys; from pathlib import Path; from qcqa.files.writing import *\n"
        "with replacing_folder(Path(sys.argv[1])) as new:\n"
        "    (new / 'weights').write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", writes, tmp_path / "out"], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1
    with replacing_folder(tmp_path / "out") as new:
        (new / "weights").write_bytes(b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "weights").read_bytes() == b"whole"


def test_what_a_killed_process_had_among_the_temporary_files_goes_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = (
        "import os, signal\n"
        "from qcqa.files.writing import temporary_folder\n"
        "with temporary_folder() as folder:\n"
        "    (folder / 'text').touch()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    subprocess.run(
        [sys.executable, "-c", writes], check=False, env=os.environ | {"TMPDIR": str(tmp_path)}
    )
    (left,) = tmp_path.iterdir()
    assert (left / "text").exists()
    with temporary_folder() as new, temporary_folder() as other:
        assert set(tmp_path.iterdir()) == {new, other}
        assert new.stat().st_mode & 0o777 == 0o700
    assert not any(tmp_path.iterdir())


def test_a_line_that_was_half_written_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    for before, after in (
        (None, ""),
        ("", ""),
        ("one\n", "one\n"),
        ("one\ntw", "one\n"),
        ("o", ""),
    ):
        if before is not None:
            path.write_text(before)
        append_line(path, "next")
        assert path.read_text() == f"{after}next\n"
    with pytest.raises(IsADirectoryError) as error:
        append_line(tmp_path, "next")
    assert error.value.filename == str(tmp_path)


def test_nothing_is_left_of_what_could_not_be_written(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"plan\.json") as error, replacing(tmp_path / "plan.json"):
        raise OSError(28, "No space left on device")
    assert error.value.errno == 28
    with suppress(KeyboardInterrupt), replacing_folder(tmp_path / "out") as new:
        (new / "weights").write_bytes(b"half")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
