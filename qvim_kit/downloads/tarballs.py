"""Tar archives for `archives.unpack`: the standard library's reader, made safe to point anywhere.

What is guarded against here hangs or fills the memory before the first member is seen, see
CVE-2024-6232 and CVE-2025-8194; newer versions of Python know part of it by themselves.
"""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

from qvim_kit.downloads.members import ArchiveError

MODES = {"tar": "r:", "gz": "r:gz", "xz": "r:xz"}
LONGEST_HEADER = 1 << 20  # bytes; tarfile reads one into memory whole
LONGEST_NUMBER = 256  # digits; for n of them tarfile takes n² steps


class TarHeader(tarfile.TarInfo):
    """A header that is refused where it is out of all proportion."""

    @classmethod
    def frombuf(cls, buf: bytes, encoding: str, errors: str) -> tarfile.TarInfo:
        info = super().frombuf(buf, encoding, errors)
        if info.size < 0 or (info.type in b"xgXLK" and info.size > LONGEST_HEADER):
            raise tarfile.ReadError(f"header of kind {info.type!r} declares {info.size} bytes")
        if info.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.ReadError("sparse files are not unpacked")
        return info

    def _proc_pax(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        """Look at an extended header before tarfile reads it."""
        place = archive.fileobj.tell()
        content = archive.fileobj.read(self.size)
        archive.fileobj.seek(place)
        if max(map(len, re.findall(rb"\d+", content)), default=0) > LONGEST_NUMBER:
            raise tarfile.ReadError(f"header with a number of more than {LONGEST_NUMBER} digits")
        if b"GNU.sparse." in content:  # the map of holes can fill the memory
            raise tarfile.ReadError("sparse files are not unpacked")
        return super()._proc_pax(archive)

    def _block(self, count: int) -> int:
        """Whole blocks; a size below 0, from an extended header, would lead backwards for ever."""
        if count < 0:
            raise tarfile.ReadError(f"header declares {count} bytes")
        return super()._block(count)


def open_tar(archive: Path, kind: str) -> tarfile.TarFile:
    """The archive, of one of the kinds in ``MODES``; raises what tarfile raises."""
    return tarfile.open(archive, MODES[kind], tarinfo=TarHeader)


def check_end(container: tarfile.TarFile, archive: Path) -> None:
    """Raise `ArchiveError` unless the archive ends where the last member has been read.

    tarfile stops in silence at a damaged header or at a cut between two members, and gzip and xz
    compare their checksums only when read to the end.
    """
    container.fileobj.seek(container.offset)
    if container.fileobj.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
        raise ArchiveError(f"{archive}: damaged or cut short; delete it and download it again")
    for _ in range(1024):
        if not container.fileobj.read(1 << 20):
            return
    raise ArchiveError(f"{archive}: more than 1 GiB follows the last member; refused")
