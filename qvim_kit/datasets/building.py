"""Folders that a program fills: beside their place, and moved there when complete.

For `build_mini`, `build_captioned` and `imitate_sounds`. What somebody else put into the place is
refused, never removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from qvim_kit.datasets.tables import DatasetError

RECIPE = "recipe.txt"


class Recipe(NamedTuple):
    """What the sounds of a folder are made from; kept in it, a stale folder is built again.

    Args:
        builder: the first line, by which a folder is known as this builder's own.
        digest: the second, of whatever the sounds depend on.
        sounds: how many there are, as ``*/*/*.wav``.
        table: the file that lists them.
    """

    builder: str
    digest: str
    sounds: int
    table: str

    def made(self, folder: Path) -> bool:
        """Whether the folder holds all of it."""
        fresh = _text_of(folder) == f"{self.builder}\n{self.digest}\n"
        return fresh and len(list(folder.glob("*/*/*.wav"))) == self.sounds

    def owns(self, folder: Path) -> bool:
        """Whether the folder may be replaced: it is free, or this builder's, in whatever state."""
        text = _text_of(folder)
        # Before the first line named the builder, a digest was all that recipes held.
        older = re.fullmatch("[0-9a-f]{64}", text) and (folder / self.table).is_file()
        return bool(older) or text.split("\n", 1)[0] == self.builder or is_free(folder)

    def write(self, folder: Path) -> None:
        (folder / RECIPE).write_text(f"{self.builder}\n{self.digest}\n", encoding="utf-8")


def digest(settings: object, sources: Iterable[str | os.PathLike]) -> str:
    """64 hexadecimal digits that change with the settings and the content of the files."""
    hashed = hashlib.sha256(f"{settings}".encode())
    for source in sources:
        hashed.update(Path(source).read_bytes())
    return hashed.hexdigest()


def write_sound(path: Path, waveform: np.ndarray, sample_rate: int) -> None:
    """Write (samples,) in 16 bits; the format is that of the suffix, folders are made."""
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, waveform, sample_rate, subtype="PCM_16")


def is_free(folder: Path) -> bool:
    """Whether nothing is there, or an empty folder."""
    return not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir()))


@contextlib.contextmanager
def built_beside(
    folder: Path, made: Callable[[Path], bool], owns: Callable[[Path], bool]
) -> Iterator[Path]:
    """A new folder to work in, which takes the place of ``folder`` if the work ends well.

    Args:
        folder: its parents are made.
        made: whether a folder holds what is being made. Where another process puts that there in
            the meantime it stays, as it is as good.
        owns: whether a folder may be replaced.

    Raises `DatasetError` for a folder that may not be replaced, and `OSError` where none can be
    made, both before any work.
    """
    try:
        _refuse(folder, owns)
        folder.parent.mkdir(parents=True, exist_ok=True)
        workshop = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        workshop.chmod(0o755)  # mkdtemp's 0700 would shut out others of a shared machine
    except OSError as error:
        remedy = "choose another folder, or set QVIM_DATA to one"
        raise OSError(f"{folder}: cannot be made ({error.strerror}); {remedy}") from None
    try:
        yield workshop
        _move(workshop, folder, made, owns)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def _refuse(folder: Path, owns: Callable[[Path], bool]) -> None:
    if not owns(folder):
        remedy = "Choose another folder, or move it away."
        raise DatasetError(folder, ["is there already, and holds something else"], remedy)


def _move(
    workshop: Path, folder: Path, made: Callable[[Path], bool], owns: Callable[[Path], bool]
) -> None:
    older = workshop.with_name(f"{workshop.name}-old")
    for last in (False, True):
        try:
            workshop.rename(folder)
            break
        except OSError:
            if made(folder):
                break
            _refuse(folder, owns)
            if last:
                raise
            with contextlib.suppress(OSError):
                folder.rename(older)
    shutil.rmtree(older, ignore_errors=True)


def _text_of(folder: Path) -> str:
    """Its recipe, "" where there is none."""
    try:
        return (folder / RECIPE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
