"""Paths that people type, paste or drop: cleaned in one way, and refused in one line.

All that a user names comes through here before anything is started: a path may be quoted, longer
than the system takes, lead through a file or round in a circle, or be a pipe that never ends.
"""

import os
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from urllib.parse import urlsplit
from urllib.request import url2pathname

from qcqa.errors import QCQAError, SettingsError

#: A quoted path, as file managers and shells of Windows copy it.
_QUOTES = ('""', "''", "``", "\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}")

#: Longer paths are shown by their ends.
_MOST_SHOWN = 100


def as_meant(typed: str | Path, refusal: type[QCQAError] = SettingsError) -> str:
    """Return what a user means: without blanks and quotes around it, and no ``file://`` address.

    Parameters
    ----------
    typed : str or Path
        As it was typed or pasted: a path, or a name such as ``demo``.
    refusal : type of QCQAError
        What is raised.

    Raises
    ------
    QCQAError
        If nothing is left, it is an address of another machine, or holds a null byte or what is
        no UTF-8.
    """
    text = str(typed).strip()
    while len(text) > 1 and text[0] + text[-1] in _QUOTES:
        text = text[1:-1].strip()
    if text.lower().startswith("file:"):
        address = urlsplit(text)
        if address.netloc not in ("", "localhost"):
            raise refusal(f"{shown(text)} is a file of another machine", expected="a path here")
        text = url2pathname(address.path)
    if not text:
        raise refusal("an empty path", expected="the path of a file or folder")
    if "\0" in text:
        raise refusal(f"{shown(text)!r} holds a null byte", expected="a path")
    return require_utf8(text, refusal)


def require_utf8(path: str, refusal: type[QCQAError] = SettingsError) -> str:
    """Return a path that can be kept in files; the system allows more.

    Raises
    ------
    QCQAError
        If it holds bytes that are no UTF-8.
    """
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise refusal(
            f"{shown(path)!r} is no UTF-8", expected="a path in UTF-8", remedy="rename it"
        ) from error
    return path


def user_path(typed: str | Path, refusal: type[QCQAError] = SettingsError) -> Path:
    """Return the path that a user means, see :func:`as_meant`, with ``~`` filled in.

    Raises
    ------
    QCQAError
        If it can be no path.
    """
    text = as_meant(typed, refusal)
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise refusal(f"{shown(text)} begins with no user's home", expected="a path") from error


def is_folder(path: Path, refusal: type[QCQAError] = SettingsError) -> bool | None:
    """Return whether a folder is at a path; None where nothing is.

    Raises
    ------
    QCQAError
        If that cannot be known: the path is too long, leads through a file or round in a circle,
        or may not be followed.
    """
    mode = _mode(path, refusal)
    return None if mode is None else S_ISDIR(mode)


def is_plain_file(path: Path) -> bool:
    """Return whether a file that can be read to its end is at a path; no path is refused."""
    try:
        return S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def existing_file(
    typed: str | Path, *, expected: str, refusal: type[QCQAError] = SettingsError
) -> Path:
    """Return the path of a file that can be read.

    Parameters
    ----------
    typed : str or Path
        As :func:`as_meant` takes it.
    expected : str
        What is wanted, for people.
    refusal : type of QCQAError
        What is raised.

    Raises
    ------
    QCQAError
        If there is none, or something else is there: a folder, a pipe, a device.
    """
    path = user_path(typed, refusal)
    _mode(path, refusal)
    if why := why_unreadable(path):
        raise refusal(f"{shown(path)} cannot be read: {why}", expected=expected)
    return path


def why_unreadable(path: Path) -> str | None:
    """Return in words why nothing can be read at a path; None for a plain file that can."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "there is no file of that name"
    except OSError as error:
        return str(error.strerror).lower()
    except ValueError as error:
        # Letters that no name of a file can have.
        return str(error)
    if S_ISDIR(mode):
        return "it is a folder"
    if not S_ISREG(mode):
        # A pipe or a device may have no end.
        return "it is no plain file"
    return None if os.access(path, os.R_OK) else "its permissions forbid it"


def existing_path(
    typed: str | Path, *, expected: str, refusal: type[QCQAError] = SettingsError
) -> Path:
    """Return the path of a folder, or of a file as :func:`existing_file` does."""
    path = user_path(typed, refusal)
    return (
        path
        if is_folder(path, refusal)
        else existing_file(path, expected=expected, refusal=refusal)
    )


def shown(path: str | Path) -> str:
    """Return a path as messages show it: the middle of a long one is left out."""
    text = str(path)
    if len(text) <= _MOST_SHOWN:
        return text
    half = _MOST_SHOWN // 2
    return f"{text[:half]}\N{HORIZONTAL ELLIPSIS}{text[-half:]}"


def _mode(path: Path, refusal: type[QCQAError]) -> int | None:
    """Return what kind of thing is at a path, as ``stat`` tells it; None where nothing is."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        file = next((parent for parent in path.parents if is_plain_file(parent)), path.parent)
        raise refusal(
            f"{shown(file)} is a file", expected=f"a folder, for {shown(path)}"
        ) from error
    except OSError as error:
        raise refusal(f"{shown(path)} cannot be used: {str(error.strerror).lower()}") from error
    except ValueError as error:
        # Letters that no name of a file can have.
        raise refusal(f"{shown(path)!r} cannot be used: {error}") from error
