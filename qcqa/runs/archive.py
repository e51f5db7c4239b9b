"""Runs as zip files, and copies of runs that others made, taken among the user's own."""

import re
import secrets
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath, PureWindowsPath
from stat import S_ISLNK
from typing import BinaryIO

from qcqa.errors import QCQAError, RunError
from qcqa.files import temporary_beside
from qcqa.runs.home import runs_folder
from qcqa.runs.jobs import jobs_of
from qcqa.runs.new import new_id
from qcqa.runs.run import BUNDLED_ID, CALIBRATION, FITTED, Run, open_run
from qcqa.runs.status import LIVE_STATES

#: A zip whose files are larger than this together, or more, is not unpacked: it may be a bomb.
MOST_BYTES = 4 * 2**30
_MOST_FILES = 100_000

#: What runs consist of. Nothing else is taken along: a task file, for instance, may name code,
#: which a resumed evaluation would run.
_DATA = frozenset({".csv", ".json", ".jsonl", ".md", ".parquet", ".safetensors", ".txt"})

#: What a damaged or made-up zip makes the standard library raise.
_BAD_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


def pack_run(run: Run, path: Path, *, with_calibration: bool = False) -> None:
    """Write a run into a zip file, atomically; see :func:`write_archive`.

    Raises
    ------
    RunError
        If a file cannot be read or written.
    """
    temporary = temporary_beside(path)
    try:
        with temporary.open("wb") as file:
            write_archive(run, file, with_calibration=with_calibration)
        temporary.replace(path)
    except OSError as error:
        raise RunError(f"cannot write {path} ({error.strerror})") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_archive(run: Run, file: BinaryIO, *, with_calibration: bool = False) -> None:
    """Write a run's whole directory as a zip, the same bytes for the same run.

    Left out is what a run makes again where it is needed: the source's scores of every question,
    and, unless asked for, the calibration, whose moments grow with the square of the hidden size,
    with the attention that was fitted on it.
    A run at work is packed as far as it is.

    Parameters
    ----------
    run : Run
        A search.
    file : binary file
        Open for writing.
    with_calibration : bool
        Whether the calibration comes along, for whoever converts plans without having its text.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, path in packed_files(run, with_calibration=with_calibration).items():
            # The same bytes whenever it is packed: the earliest date that a zip can hold.
            info = zipfile.ZipInfo(f"{run.id}/{name}", date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system, info.external_attr = 3, 0o644 << 16
            try:
                info.file_size = path.stat().st_size
                with path.open("rb") as source, archive.open(info, "w") as target:
                    shutil.copyfileobj(source, target)
            except FileNotFoundError:
                # Of a run at work: what was listed a moment ago may have been cleared away.
                continue


def packed_files(run: Run, *, with_calibration: bool = False) -> dict[str, Path]:
    """Return the files of a run's zip by their names inside the run's directory.

    Raises
    ------
    RunError
        If the run is no search.
    """
    _ = run.search
    # What was added to a run that came with the package lies elsewhere, and goes before.
    files = {
        path.relative_to(folder).as_posix(): path
        for folder in (run.folder, run.additions)
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }
    return {
        name: files[name]
        for name in sorted(files)
        if _is_data(name)
        and not PurePosixPath(name).match("measured/source-*.safetensors")
        and (with_calibration or not name.startswith((f"{CALIBRATION}/", f"{FITTED}/")))
    }


def load_run(source: Path | BinaryIO) -> Run:
    """Take a copy of a run, such as a colleague's, among the user's runs.

    It keeps its id where that is free. Everything is checked before any of it is seen there, and
    files that are no data are left behind.

    Parameters
    ----------
    source : Path or binary file
        A run directory, or the zip of one, as :func:`pack_run` writes it.

    Raises
    ------
    RunError
        If it is no run, damaged, of a newer format or too large, holds links or names that lead
        elsewhere, or cannot be written.
    """
    name = str(source) if isinstance(source, Path) else str(getattr(source, "name", "the file"))
    with _new_folder() as folder:
        if isinstance(source, Path) and source.is_dir():
            title = _copy(source.resolve(), folder)
        else:
            title = _unpack(source, folder, name)
        _check(folder, name)
        run = open_run(folder)
        for one in (run, *jobs_of(run)):
            _let_go(one)
        target = runs_folder() / _free_id(title, run.name)
        folder.rename(target)
    return open_run(target)


@contextmanager
def _new_folder() -> Iterator[Path]:
    """Make a folder among the runs that no list shows; it goes away unless it was renamed."""
    folder = runs_folder() / f".loading-{secrets.token_hex(4)}"
    try:
        folder.mkdir(parents=True)
        yield folder
    except OSError as error:
        where = error.filename or folder.parent
        raise RunError(f"cannot copy the run ({where}: {error.strerror})") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(source: Path, folder: Path) -> str:
    """Copy a run directory and return its name."""
    # Refuses any other folder before it is read whole.
    open_run(source)
    paths = [
        path for path in source.rglob("*") if not _is_private(path.relative_to(source).as_posix())
    ]
    for path in paths:
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise RunError(
                f"{path} is a link or no plain file", remedy="replace it by a copy of its content"
            )
    files = [path for path in paths if path.is_file() and _is_data(path.name)]
    _refuse_without_room(sum(path.stat().st_size for path in files), folder, str(source))
    for path in files:
        target = folder / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return source.name


def _unpack(file: Path | BinaryIO, folder: Path, name: str) -> str:
    """Unpack the zip of a run and return the name of the run's directory in it."""
    try:
        with zipfile.ZipFile(file) as archive:
            entries = _entries(archive, name)
            root = _root(entries, name)
            total = sum(info.file_size for info in entries.values())
            if total > MOST_BYTES or len(entries) > _MOST_FILES:
                raise RunError(
                    f"{name} holds {len(entries):,} files of {total / 2**30:,.1f} GiB",
                    expected=f"at most {_MOST_FILES:,} files of {MOST_BYTES / 2**30:.0f} GiB",
                    remedy="if you trust it, unpack it yourself and load the folder",
                )
            _refuse_without_room(total, folder, name)
            for path, info in entries.items():
                target = folder / path.relative_to(root)
                target.parent.mkdir(parents=True, exist_ok=True)
                # No more than the size that it states is ever read of an entry.
                with archive.open(info) as packed, target.open("xb") as unpacked:
                    shutil.copyfileobj(packed, unpacked)
    except FileNotFoundError as error:
        raise RunError(f"there is no file {name}", expected="a zip or folder of a run") from error
    except _BAD_ZIP as error:
        raise RunError(f"{name} is no zip file that can be read ({error})") from error
    return root.name


def _entries(archive: zipfile.ZipFile, name: str) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """Return the files of a zip by their paths, none of which leads out of it.

    Raises
    ------
    RunError
        If one does, or is a link, or comes twice.
    """
    entries: dict[PurePosixPath, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        path = PurePosixPath(info.filename)
        leads_out = path.is_absolute() or ".." in path.parts or "\\" in info.filename
        if leads_out or PureWindowsPath(info.filename).drive or S_ISLNK(info.external_attr >> 16):
            raise RunError(
                f"{name} holds {info.filename!r}, which leads elsewhere",
                expected="plain files below one folder",
            )
        # The Mac's archiver adds a folder of its own.
        if info.is_dir() or not _is_data(info.filename) or path.parts[0] == "__MACOSX":
            continue
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            # Of the others the library unpacks more at a time than it is asked for.
            raise RunError(
                f"{name} is packed by another method than usual", expected="a plain zip (deflate)"
            )
        if path in entries:
            raise RunError(f"{name} holds {info.filename!r} twice", expected="each file once")
        entries[path] = info
    return entries


def _root(entries: dict[PurePosixPath, zipfile.ZipInfo], name: str) -> PurePosixPath:
    """Return the folder of the run in a zip: the only one, or the zip itself.

    Raises
    ------
    RunError
        If there is no run in it.
    """
    tops = {path.parts[0] for path in entries}
    roots = [PurePosixPath(), *(PurePosixPath(top) for top in tops if len(tops) == 1)]
    for root in roots:
        if root / "config.json" in entries:
            return root
    raise RunError(f"{name} holds no run", expected="one folder with a config.json")


def _refuse_without_room(needed: int, folder: Path, name: str) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise RunError(
            f"{name} needs {needed / 2**30:,.1f} GiB, and {free / 2**30:,.1f} GiB are free in "
            f"{folder.parent}"
        )


def _check(folder: Path, name: str) -> None:
    """Read all that there is of a run's result.

    Raises
    ------
    RunError
        If the folder is no run that can be opened, or its files do not fit together.
    """
    try:
        run = open_run(folder)
        run.status()
        _ = run.search
        if (folder / "fronts" / "lower_bound.parquet").exists():
            result = run.result()
            for method in result.fronts:
                result.wse(method)
    except QCQAError as error:
        # Not the folder where it lies for the moment, of which nobody knows.
        raise RunError(
            error.found.replace(str(folder), name), expected=error.expected, remedy=error.remedy
        ) from error
    except Exception as error:
        # Tables of any content may lie in a file from elsewhere, and what pandas or numpy raise on
        # them is not listed anywhere. Nothing of the run is kept, and the cause goes along.
        raise RunError(
            f"{name} is damaged: its result does not fit together ({type(error).__name__}: {error})"
        ) from error


def _let_go(run: Run) -> None:
    """Let no worker of elsewhere pass for one that is at work, or about to be, here."""
    try:
        status = run.status()
    except RunError:
        return
    if status.state in (*LIVE_STATES, "dead"):
        kept = {"state": "running", "pid": None, "queued": None}
        run.write_status(status.model_copy(update=kept))


def _free_id(wanted: str, name: str) -> str:
    is_plain = re.fullmatch(r"\w[\w.-]{0,120}", wanted) is not None
    is_free = wanted != BUNDLED_ID and not (runs_folder() / wanted).exists()
    return wanted if is_plain and is_free else new_id(name)


def _is_data(name: str) -> bool:
    return PurePosixPath(name).suffix in _DATA and not _is_private(name)


def _is_private(name: str) -> bool:
    """Return whether a file belongs to a process or a desktop, such as the worker's lock."""
    return any(part.startswith(".") for part in PurePosixPath(name).parts)
