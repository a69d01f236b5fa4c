"""A lock on a folder that ends with the process that holds it, however that ends."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

HELD = errno.EACCES, errno.EAGAIN, errno.EDEADLK
"""What the system says where another process holds the lock. Any other error: this file system has no locks."""


class LockedError(Exception):
    """Another process holds the lock."""


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file, which is made where it is absent.

    Raises
    ------
    LockedError
        If another process, or another call in this one, holds it.
    """
    # It stays: a lock on a file that somebody else may remove would be two locks.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            _take(descriptor)
        except OSError as error:
            if error.errno in HELD:
                raise LockedError from error
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
