"""A lock between processes, so that two that fetch one file take turns.

The operating system's own locks are used: they end with the process that holds them, so a crash
leaves none behind.
"""

from __future__ import annotations

import errno
import hashlib
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

PAUSE = 0.2  # seconds between two looks at a lock
NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)  # Windows has none


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of ``path`` against other processes; waits. It dies with its process.

    On a file system that knows no locks it does nothing.
    """
    name = hashlib.sha256(path.name.encode()).hexdigest()[:16]
    lock = path.with_name(f".{name}.lock")
    file, told = None, False
    while file is None:
        # Never through a link, which would make a file somewhere else.
        file = os.fdopen(os.open(lock, os.O_RDWR | os.O_CREAT | NOFOLLOW, 0o600), "r+b")
        if not _try_lock(file):
            if not told:
                print(f"Another process is using {path}; waiting for it", file=sys.stderr)
            told = True
            time.sleep(PAUSE)
        elif _is_at(file, lock):
            break
        file.close()
        file = None
    try:
        yield
    finally:
        if os.name == "nt":
            file.close()  # there an open file cannot be removed, by nobody
        with suppress(OSError):
            lock.unlink()  # while it is held: whoever waits for it notices and takes a new one
        file.close()


def _is_at(file: BinaryIO, path: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False


def _try_lock(file: BinaryIO) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
    return True
