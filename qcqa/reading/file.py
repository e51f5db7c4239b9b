"""What a file is to be, and its bytes and text."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from qcqa.errors import QCQAError
from qcqa.files.user_path import why_unreadable

_MIB = 2**20


@dataclass(frozen=True, slots=True)
class FileKind:
    """What a file is to be, and which error says that it is not.

    Parameters
    ----------
    name : str
        For people, such as ``a plan.json``.
    refusal : type of QCQAError
        What every reader of such a file raises, whatever is wrong with it.
    remedy : str, optional
        What the user can do about it.
    most_bytes : int, optional
        A larger file is none of this kind, and is not read.
    takes_infinity : bool
        Whether its JSON may hold NaN and infinite numbers, as configs of transformers do.
    """

    name: str
    refusal: type[QCQAError]
    remedy: str | None = None
    most_bytes: int | None = 16 * _MIB
    takes_infinity: bool = False

    def damaged(self, path: Path | str, what: str, *, expected: str | None = None) -> QCQAError:
        """Return the error for a file that holds something else than it should."""
        return self.refusal(
            f"{path} is damaged: {what}", expected=expected or self.name, remedy=self.remedy
        )

    def unreadable(self, path: Path | str, why: str) -> QCQAError:
        """Return the error for a file that cannot be read at all."""
        return self.refusal(f"{path} cannot be read: {why}", expected=self.name, remedy=self.remedy)

    @contextmanager
    def understanding(self, path: Path | str) -> Iterator[None]:
        """Turn what the project's own types refuse of a file's content into the file's error."""
        try:
            yield
        except QCQAError as error:
            raise self.damaged(path, error.found, expected=error.expected) from error


@contextmanager
def opened(path: Path, kind: FileKind) -> Iterator[BinaryIO]:
    """Open a plain file for reading, unbuffered; what goes wrong while it is open is its error.

    Raises
    ------
    QCQAError
        If it is missing, a folder, a pipe, too large, or cannot be read.
    """
    if why := why_unreadable(path):
        raise kind.unreadable(path, why)
    try:
        with path.open("rb", buffering=0) as file:
            size = path.stat().st_size
            if kind.most_bytes is not None and size > kind.most_bytes:
                raise kind.damaged(
                    path,
                    f"it has {size:,} bytes",
                    expected=f"{kind.name} of at most {kind.most_bytes:,}",
                )
            yield file
    except OSError as error:
        raise kind.unreadable(path, str(error.strerror)) from error


def read_bytes(path: Path, kind: FileKind) -> bytes:
    """Return what a file holds.

    Raises
    ------
    QCQAError
        As :func:`opened`.
    """
    with opened(path, kind) as file:
        return file.read()


def read_text(path: Path, kind: FileKind) -> str:
    """Return the text of a file in UTF-8, whose lines end in line feeds alone.

    Raises
    ------
    QCQAError
        As :func:`opened`, or if it is no text in UTF-8.
    """
    text = as_text(read_bytes(path, kind), path, kind)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def as_text(content: bytes, path: Path | str, kind: FileKind) -> str:
    """Return bytes as text.

    Raises
    ------
    QCQAError
        If they are no UTF-8.
    """
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise kind.damaged(
            path,
            f"byte {error.start} is {content[error.start]:#04x}, which is no UTF-8",
            expected="text in UTF-8",
        ) from error
