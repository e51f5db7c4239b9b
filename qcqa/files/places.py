"""Folders to write into: whether they are empty, may be written to, and have room."""

import os
import shutil
from pathlib import Path

from qcqa.errors import ConversionError
from qcqa.files.user_path import is_folder
from qcqa.sizes import bytes_text


def require_empty(folder: Path) -> None:
    """Refuse a folder that holds anything.

    Raises
    ------
    ConversionError
        If it is neither new nor empty.
    """
    found = is_folder(folder, ConversionError)
    if found is False:
        raise ConversionError(f"{folder} is a file", expected="a new or an empty folder")
    if found and any(folder.iterdir()):
        raise ConversionError(
            f"{folder} is not empty",
            expected="a new or an empty folder",
            remedy="choose another one, or remove what is in it",
        )


def require_writable(folder: Path) -> None:
    """Refuse a folder that cannot be made.

    Raises
    ------
    ConversionError
        If this user may not write where it is to be.
    """
    place = _existing(folder)
    if not place.is_dir():
        raise ConversionError(f"{place} is a file", expected="a folder to write into")
    if not os.access(place, os.W_OK | os.X_OK):
        raise ConversionError(
            f"{place} cannot be written to", remedy="choose a folder that you may write to"
        )


def free_bytes(folder: Path) -> int:
    """Return the bytes that are free on the disk where a folder is, or is to be."""
    return shutil.disk_usage(_existing(folder)).free


def require_room(folder: Path, num_bytes: int) -> None:
    """Refuse a folder on a disk without room.

    Raises
    ------
    ConversionError
        If less than ``num_bytes`` is free.
    """
    free = free_bytes(folder)
    if free < num_bytes:
        raise ConversionError(
            f"{bytes_text(free)} free where {folder} is to be",
            expected=f"{bytes_text(num_bytes)} for the converted model",
            remedy="make room or choose a folder on another disk",
        )


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    places = (folder.absolute(), *folder.absolute().parents)
    return next(place for place in places if is_folder(place, ConversionError) is not None)
