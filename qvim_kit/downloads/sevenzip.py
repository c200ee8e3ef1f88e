"""7z archives for `archives.unpack`, under its rules; needs the optional package py7zr.

py7zr only reads the list of members and decompresses. Which names are written where is decided
here and in `archives`, as for zip and tar, before a byte is written.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from qvim_kit.downloads.members import ArchiveError, Member


def require_py7zr(what: str | Path) -> Any:
    """The module py7zr, or an `ArchiveError` that says how to install it."""
    try:
        import py7zr
    except ImportError as error:
        raise ArchiveError(
            f"{what}: a 7z archive needs the package py7zr: pip install py7zr"
        ) from error
    return py7zr


class SevenZip:
    """An open 7z archive, as `archives` uses it: ``members()``, then ``write()``.

    Args:
        archive: the file. Raises `ArchiveError` without py7zr, and py7zr's own errors for a
            damaged file.
    """

    def __init__(self, archive: Path):
        py7zr = require_py7zr(archive)
        self._files = ExitStack()
        try:
            # An open file, not a name: with a name py7zr decompresses in several threads.
            file = self._files.enter_context(archive.open("rb"))
            self.container = self._files.enter_context(py7zr.SevenZipFile(file))
        except BaseException:
            self._files.close()
            raise

    def __enter__(self) -> SevenZip:
        return self

    def __exit__(self, *_: Any) -> None:
        self._files.close()

    def members(self) -> Iterator[Member]:
        """Every entry; links, devices and encrypted ones with the reason they are refused."""
        encrypted = "encrypted" if self.container.needs_password() else None
        for info in self.container.files:
            mode = info.st_fmt or 0
            special = mode not in (0, stat.S_IFREG, stat.S_IFDIR)
            link = special or info.is_symlink or info.is_junction
            size = 0 if info.is_directory else info.uncompressed
            problem = "link or device" if link else encrypted
            yield Member(info.filename, size, info.is_directory, problem, info)

    def write(self, members: list[Member], stage: Path, max_bytes: int) -> None:
        """Write the checked members below ``stage``, which exists; counts bytes as it goes."""
        stage = stage.resolve()
        paths: dict[Path, Member] = {}
        for member in members:
            path = stage.joinpath(*member.parts)
            (path if member.is_folder else path.parent).mkdir(parents=True, exist_ok=True)
            if not member.is_folder:
                paths[path] = member
        with _Files(paths, max_bytes) as files:
            if paths:
                self.container.extractall(stage, factory=_factory(files))
        for path, member in paths.items():
            written = path.stat().st_size if path.is_file() else 0
            if written != member.size or not path.is_file():
                raise OSError(f"{member.name!r} holds {written} bytes, declares {member.size}")


def _factory(files: _Files) -> Any:
    from py7zr import WriterFactory

    class Factory(WriterFactory):
        def create(self, filename: str) -> Any:
            return files.begin(Path(filename))

    return Factory()


class _Files:
    """Takes what py7zr decompresses, one member after another, in place of a file for each."""

    def __init__(self, paths: dict[Path, Member], max_bytes: int):
        self.paths, self.left = paths, max_bytes
        self.file: BinaryIO | None = None

    def begin(self, path: Path) -> _Files:
        if path not in self.paths:
            raise OSError(f"{path} is no member that was checked")
        self.close()
        self.file = path.open("xb")
        return self

    def write(self, data: bytes) -> int:
        self.left -= len(data)
        if self.left < 0:
            raise OSError("it unpacks to more bytes than it declares")
        return self.file.write(data)

    def close(self) -> None:
        if self.file:
            self.file.close()
        self.file = None

    def __enter__(self) -> _Files:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    # py7zr asks for these where it offers what was written for reading again.
    def seekable(self) -> bool:
        return False

    def seek(self, *_: int) -> int:
        return 0

    def flush(self) -> None:
        pass
