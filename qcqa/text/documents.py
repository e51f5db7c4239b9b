"""The documents of a text file."""

from pathlib import Path

from qcqa.errors import EvaluationError
from qcqa.files.user_path import existing_file
from qcqa.packaged import DEMO_TEXT, demo_model_folder
from qcqa.reading.file import FileKind, read_text

_FILE = FileKind("a text file", EvaluationError, "convert it to UTF-8 first", most_bytes=None)


def read_documents(path: str | Path, *, separator: str | None = None) -> list[str]:
    """Return the documents of a text file in UTF-8.

    Parameters
    ----------
    path : str or Path
        The file, as :func:`~qcqa.files.user_path.existing_file` takes it.
    separator : str, optional
        What parts documents, such as a blank line (two line breaks). By default the file is one
        document, as is usual for perplexity.

    Raises
    ------
    EvaluationError
        If the file cannot be read, is no text or holds none.
    """
    path = existing_file(path, expected=_FILE.name, refusal=EvaluationError)
    text = read_text(path, _FILE)
    if "\0" in text:
        raise EvaluationError(f"{path} is no text: it holds null bytes", expected="text in UTF-8")
    parts = [text] if separator is None else text.split(separator)
    documents = [part.strip() for part in parts if part.strip()]
    if not documents:
        raise EvaluationError(f"{path} is empty", expected="a text file with text in it")
    return documents


def demo_documents() -> list[str]:
    """Return the held-out stories that travel with the demo model.

    Raises
    ------
    CheckpointError
        If the installation lacks the demo model.
    EvaluationError
        If it lacks its text.
    """
    return read_documents(demo_model_folder() / f"{DEMO_TEXT}.txt", separator="\n\n")
