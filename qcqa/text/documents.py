"""The documents of a text file."""

from pathlib import Path

from qcqa.errors import EvaluationError
from qcqa.packaged import DEMO_TEXT, demo_model_folder
from qcqa.user_path import existing_file


def read_documents(path: str | Path, *, separator: str | None = None) -> list[str]:
    """Return the documents of a text file in UTF-8.

    Parameters
    ----------
    path : str or Path
        The file, as :func:`~qcqa.user_path.existing_file` takes it.
    separator : str, optional
        What parts documents, such as a blank line (two line breaks). By default the file is one
        document, as is usual for perplexity.

    Raises
    ------
    EvaluationError
        If the file cannot be read, is no text or holds none.
    """
    path = existing_file(path, expected="a text file", refusal=EvaluationError)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise EvaluationError(f"{path} is no text in UTF-8", remedy="convert it first") from error
    except OSError as error:
        raise EvaluationError(
            f"{path} cannot be read ({error.strerror})", expected="a text file"
        ) from error
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
