"""Files read by several threads, where whatever goes wrong in one is told with its name."""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

from qvim_kit.audio import AudioError

AT_ONCE = 16  # files: 20 MB of 10-s clips
SLOW = 60.0  # seconds after which a file that is still being read is named

Found = TypeVar("Found")


@contextmanager
def threads() -> Iterator[ThreadPoolExecutor]:
    """Threads for `read_each`. After Ctrl-C nobody waits for a file that hangs."""
    pool = ThreadPoolExecutor(min(AT_ONCE, os.cpu_count() or 1))
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def read_each(
    pool: ThreadPoolExecutor, work: Callable[[str], Found], paths: Sequence[str]
) -> list[Found | AudioError]:
    """``work(path)`` for each path, in order, or in its place what went wrong.

    An exception of whatever kind, a lack of memory say, costs only its own file. A file that
    hangs (a network that went away) cannot be given up, but is named in a warning after a minute.
    The decoders are libraries: one that crashes takes the program with it.
    """
    futures = [pool.submit(_guarded, work, path) for path in paths]
    late = wait(futures, timeout=SLOW).not_done
    if late:
        names = [path for path, future in zip(paths, futures, strict=True) if future in late]
        found = f"still being read after {SLOW:g} s: {', '.join(names)}"
        warnings.warn(f"{found}; Ctrl-C ends the wait", stacklevel=2)
    return [future.result() for future in futures]


def _guarded(work: Callable[[str], Found], path: str) -> Found | AudioError:
    try:
        _check_can_end(path)
        return work(path)
    except AudioError as error:
        return error
    except Exception as error:
        told = AudioError(path, f"cannot be used ({type(error).__name__}: {error})")
        told.__cause__ = error
        return told


def _check_can_end(path: str) -> None:
    """A pipe or a device may be waited for, or read, without end."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return  # whoever opens it says why it cannot
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise AudioError(path, "is a pipe or a device, expected an audio file")
