"""What commands print gets out in any encoding, and into what takes no more in one line."""

import io
import os
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from qcqa.cli.main import main

_COMMANDS = [
    ("--help",),
    ("search", "--help"),
    ("runs", "show", "demo"),
    ("runs", "list"),
    ("inspect", "demo"),
    ("search", "demo", "--dry-run"),
    ("capacity", "demo", "--gpu", "H100 80GB"),
    ("groups", "demo", "--budget", "50%"),
]


def _called(arguments: tuple[str, ...], out: io.TextIOWrapper) -> tuple[int, str]:
    """Return the exit code and what was said on standard error."""
    err = io.TextIOWrapper(io.BytesIO(), encoding=out.encoding)
    code = 0
    with (
        patch.object(sys, "argv", ["qcqa", *arguments]),
        patch.object(sys, "stdout", out),
        patch.object(sys, "stderr", err),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        err.flush()
    assert isinstance(err.buffer, io.BytesIO)
    return code, err.buffer.getvalue().decode(errors="replace")


@pytest.mark.parametrize("arguments", _COMMANDS, ids=" ".join)
@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_every_command_prints_in_any_encoding(arguments: tuple[str, ...], encoding: str) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    code, err = _called(arguments, out)
    assert code == 0, err
    assert isinstance(out.buffer, io.BytesIO)
    assert "\\u" not in out.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize("arguments", [("--help",), ("runs", "show", "demo", "--json")])
def test_a_full_disk_behind_the_output_is_one_line(arguments: tuple[str, ...]) -> None:
    with open("/dev/full", "w", encoding="utf-8") as out:
        code, err = _called(arguments, out)
    assert code == 2
    assert err == "qcqa: the output cannot be used (No space left on device)\n"


@pytest.mark.parametrize("arguments", [("--help",), ("runs", "show", "demo", "--json")])
def test_a_reader_that_has_seen_enough_ends_the_command_quietly(arguments: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", encoding="utf-8") as out:
        code, err = _called(arguments, out)
    assert (code, err) == (1, "")


def test_a_name_that_is_no_utf8_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/model-\xff")
    os.mkdir(folder)
    for arguments in (
        ("inspect", folder),
        ("search", folder),
        ("search", "demo", "--out", f"{folder}/run"),
        ("plan", "demo", "--budget", "50%", "-o", f"{folder}/plan.json"),
    ):
        out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        code, err = _called(arguments, out)
        assert code == 2
        assert err.startswith("qcqa: ")
        assert err.endswith("is no UTF-8; expected a path in UTF-8; rename it\n")
        assert err.count("\n") == 1
