"""Runs as zip files: packed, and unpacked with distrust."""

import shutil
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath
from stat import S_ISLNK
from typing import BinaryIO

from qcqa.errors import RunError
from qcqa.files.writing import replacing
from qcqa.jobs.run import CALIBRATION, FITTED, Run
from qcqa.sizes import bytes_text

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
    try:
        with replacing(path) as new, new.open("wb") as file:
            write_archive(run, file, with_calibration=with_calibration)
    except OSError as error:
        raise RunError(f"cannot write {path} ({error.strerror})") from error


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
        if is_data(name)
        and not PurePosixPath(name).match("measured/source-*.safetensors")
        and (with_calibration or not name.startswith((f"{CALIBRATION}/", f"{FITTED}/")))
    }


def unpack(file: Path | BinaryIO, folder: Path, name: str) -> str:
    """Unpack the zip of a run and return the name of the run's directory in it.

    Parameters
    ----------
    file : Path or binary file
        The zip, from anywhere.
    folder : Path
        Takes the run's files; it is there.
    name : str
        What error messages call the zip.

    Raises
    ------
    RunError
        If it is no zip, damaged or too large, holds no run, or links or names that lead elsewhere.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            entries = _entries(archive, name)
            root = _root(entries, name)
            total = sum(info.file_size for info in entries.values())
            if total > MOST_BYTES or len(entries) > _MOST_FILES:
                raise RunError(
                    f"{name} holds {len(entries):,} files of {bytes_text(total)}",
                    expected=f"at most {_MOST_FILES:,} files of {bytes_text(MOST_BYTES)}",
                    remedy="if you trust it, unpack it yourself and load the folder",
                )
            refuse_without_room(total, folder, name)
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
        if info.is_dir() or not is_data(info.filename) or path.parts[0] == "__MACOSX":
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


def refuse_without_room(needed: int, folder: Path, name: str) -> None:
    """Refuse what has no room on a folder's disk; ``name`` is what error messages call it.

    Raises
    ------
    RunError
        If less than ``needed`` bytes are free.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise RunError(
            f"{name} needs {bytes_text(needed)}, and {bytes_text(free)} are free in "
            f"{folder.parent}",
            remedy="make room on that disk",
        )


def is_data(name: str) -> bool:
    """Return whether a file of a run is taken along, by its name."""
    return PurePosixPath(name).suffix in _DATA and not is_private(name)


def is_private(name: str) -> bool:
    """Return whether a file belongs to a process or a desktop, such as the worker's lock."""
    return any(part.startswith(".") for part in PurePosixPath(name).parts)
