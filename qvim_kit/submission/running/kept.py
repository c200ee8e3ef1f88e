"""What a run leaves behind, and what it must not: a log of bounded size, no stray folders."""

from __future__ import annotations

import os
import shutil
from collections import deque
from pathlib import Path
from typing import BinaryIO

from qvim_kit.submission.pages import ANSI

HEAD, TAIL, CHUNK = 5_000_000, 200_000, 65_536  # bytes


class KeptText:
    """A stream written to a file: its beginning, and its end where there is more.

    Args:
        path: of the file.
        head, tail: bytes of each that are kept.
    """

    def __init__(self, path: Path, head: int = HEAD, tail: int = TAIL):
        self.path, self.head, self.tail = path, head, tail
        path.write_bytes(b"")

    def read(self, stream: BinaryIO) -> None:
        """Take in a stream to its end; meant to run in a thread."""
        written, held, chunks = 0, 0, deque()
        with self.path.open("wb", buffering=0) as file:
            while chunk := os.read(stream.fileno(), CHUNK):
                if written < self.head:
                    written += file.write(chunk)
                    continue
                chunks.append(chunk)
                held += len(chunk)
                while held - len(chunks[0]) >= self.tail:
                    gone = len(chunks.popleft())
                    held, written = held - gone, written + gone
            left_out = written - file.tell()
            if left_out:
                file.write(f"\n… {left_out:,} bytes left out …\n".encode())
            file.write(b"".join(chunks))


def last_lines(path: Path, count: int = 40, width: int = 400) -> list[str]:
    """The last lines of a log, without terminal colours, each cut to a width."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        text = ANSI.sub("", file.read().decode("utf-8", "replace"))
    # Of a progress bar, which returns to the beginning of its line, only the last state.
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.rstrip().split("\n")]
    return [line[:width] for line in lines[-count:]]


def remove(folder: Path) -> None:
    """Remove a folder of a run's, also if it took away its own permissions; follows no links."""
    for parent, names, _ in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            if not path.is_symlink():
                path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def set_aside(path: Path) -> None:
    """Rename what an earlier run left, so that it is not taken for this run's."""
    if path.is_symlink() or path.exists():
        older = path.with_name(f"{path.stem}.previous{path.suffix}")
        if older.is_dir() and not older.is_symlink():
            remove(older)
        else:
            older.unlink(missing_ok=True)
        path.rename(older)
