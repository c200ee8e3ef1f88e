"""Zip archives for `archives.unpack`: the standard library's reader, with a bound on its memory.

zipfile reads the list of members whole, and makes an object of each before any can be counted.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

LONGEST_LIST = 32 << 20  # bytes; 200 000 members with names of a hundred letters need as much


class _Sparing(io.BufferedReader):
    """A file of which nobody reads more than ``LONGEST_LIST`` bytes at once."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > LONGEST_LIST:
            raise zipfile.BadZipFile(f"its list of members has {size} bytes")
        return super().read(size)


class Zip(zipfile.ZipFile):
    """An open zip archive. Raises what zipfile raises, also for a list that is too long."""

    def __init__(self, archive: Path):
        self._file = _Sparing(io.FileIO(archive))
        try:
            super().__init__(self._file)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        super().close()
        self._file.close()
