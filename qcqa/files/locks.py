"""Locks on files and folders that end with the process that holds them, however it ends.

They are the kernel's (``flock``), so no number of a process and no clock is asked: a copy of a
folder brings none along, and a process that got the number of a dead one holds nothing. A look at
a lock takes it *shared*: any number of looks go together, and only a holder stands in their way.
Windows shares none, so there a look takes the lock for a moment and, where it is taken, looks
again: what another look holds is free the next time.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_SECONDS_BETWEEN_TRIES = 0.02


class BusyError(Exception):
    """Somebody else holds the lock."""


@contextmanager
def hold(path: Path, *, timeout: float = 0.0, inherited: int | None = None) -> Iterator[int]:
    """Hold the lock on a file, made where it is missing, or on a folder; yield its descriptor.

    Parameters
    ----------
    path : Path
        The file or folder.
    timeout : float
        Seconds to wait for whoever holds it.
    inherited : int, optional
        Descriptor of ``path`` through which the process that started this one has it already.

    Raises
    ------
    BusyError
        If it is held by others.
    OSError
        If it cannot be opened, or the file system knows no locks.
    """
    descriptor = _opened(path) if inherited is None else inherited
    # Not for processes that this one starts: it is free as soon as this one is gone.
    os.set_inheritable(descriptor, False)
    try:
        _wait_for(descriptor, path, timeout)
        yield descriptor
    finally:
        with suppress(OSError):
            os.close(descriptor)


def is_held(path: Path) -> bool:
    """Return whether a living process holds the lock on a file or folder; takes it from nobody.

    What is missing, or cannot be opened or locked, is held by nobody.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return False
    try:
        tries = 5 if sys.platform == "win32" else 1
        for number in range(tries):
            if _take(descriptor, shared=True):
                return False
            time.sleep(number * _SECONDS_BETWEEN_TRIES)
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _wait_for(descriptor: int, path: Path, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    try:
        while not _take(descriptor, shared=False):
            if time.monotonic() >= deadline:
                raise BusyError(f"{path} is held by another process")
            time.sleep(_SECONDS_BETWEEN_TRIES)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o666)


if sys.platform == "win32":
    import msvcrt

    def _take(descriptor: int, *, shared: bool) -> bool:  # noqa: ARG001  # it shares none
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _take(descriptor: int, *, shared: bool) -> bool:
        how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
