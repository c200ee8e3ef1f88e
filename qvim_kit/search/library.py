"""Which sounds a library holds: a folder, a list of paths, or the items of a data set.

Notebook: 06_search_by_voice.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qvim_kit.audio import AUDIO_SUFFIXES, AudioError, audio_files

if TYPE_CHECKING:
    from qvim_kit.datasets import RetrievalDataset


class Sound(NamedTuple):
    """A file of the library, as a look at the folder shows it."""

    name: str  # posix path relative to the library's root
    path: str
    class_name: str
    size: int  # bytes
    mtime: int  # ns


@dataclass(frozen=True)
class Library:
    """Where the sounds are; `scan` tells which are there now.

    Args:
        root: the folder, absolute.
        listing: (name, path, class) of each file; None for whatever the folder holds.
    """

    root: str
    listing: tuple[tuple[str, str, str], ...] | None = None

    @classmethod
    def of(
        cls, source: str | os.PathLike | Iterable[str | os.PathLike] | RetrievalDataset | Library
    ) -> Library:
        """The library of a folder, of a list of paths, or of a data set's items.

        A sound's class is the name of the folder it lies in; none, "", for a file directly in
        the library's root; in a data set, its class there.

        Raises `ValueError` for a folder that is not there, and `TypeError` for anything else.
        """
        if isinstance(source, Library):
            return source
        if isinstance(source, (str, os.PathLike)):
            check_folder(source)
            return cls(os.path.abspath(source))
        from qvim_kit.datasets import RetrievalDataset

        if isinstance(source, RetrievalDataset):
            rows = source.items[["item_id", "path", "class"]].itertuples(index=False, name=None)
            listing = tuple((name, os.path.abspath(path), kind) for name, path, kind in rows)
            return cls(_common_folder([path for _, path, _ in listing]), listing)
        if not isinstance(source, Iterable):
            raise TypeError(
                f"source: found {type(source).__name__}, expected a folder, a list of paths or "
                "a RetrievalDataset"
            )
        paths = list(dict.fromkeys(os.path.abspath(path) for path in source))
        root = _common_folder(paths)
        listing = tuple(
            (PurePath(os.path.relpath(path, root)).as_posix(), path, Path(path).parent.name)
            for path in paths
        )
        return cls(root, listing)

    def scan(self, may_be_empty: bool = False) -> tuple[list[Sound], list[AudioError]]:
        """The sounds that are there, a folder's by name, and what cannot be listed.

        Raises `ValueError` if the folder is gone: a drive that is not plugged in is no library
        without sounds; and if there is nothing to list, unless it ``may_be_empty``.
        """
        sounds, errors, listing = [], [], self.listing
        if listing is None:
            check_folder(self.root)
            listing = _listing(self.root, errors)
        for name, path, class_name in listing:
            try:
                path.encode()
                status = os.stat(path)
            except UnicodeEncodeError:
                shown = os.fsencode(path).decode(errors="replace")
                errors.append(AudioError(shown, "its path is not valid UTF-8; rename it"))
            except OSError as error:
                errors.append(AudioError.unreadable(path, error))
            else:
                sounds.append(Sound(name, path, class_name, status.st_size, status.st_mtime_ns))
        if not (sounds or errors or may_be_empty):
            kinds = " ".join(sorted(AUDIO_SUFFIXES))
            raise ValueError(f"{self.root}: no audio files in it (looked for {kinds})")
        return sounds, errors


def named_or_folder(source: str | os.PathLike) -> RetrievalDataset | Path:
    """What `Library.of` takes: a data set, of which only the items are searched, or a folder.

    Args:
        source: a folder, which is a data set where it has the layout of one (also if that begins
            in the only folder in it); or the name of a data set, if there is no such folder.

    Raises `DatasetError` for a data set that cannot be read, but for files that are missing, and
    `ValueError` for what is no folder.
    """
    from qvim_kit.datasets import DATASETS, DatasetError, find_layout, open_dataset, read_captioned

    name, path = os.fspath(source), Path(source).expanduser()
    if not path.exists():
        if name in DATASETS:
            return open_dataset(name, allow_missing=True)
        names = ", ".join(DATASETS)
        raise ValueError(
            f"{name}: found nothing, expected a folder of sounds or the name of a data set: {names}"
        )
    check_folder(path)
    try:
        read, found = find_layout(path.resolve())
    except DatasetError:
        return path
    if read is read_captioned and not (found / "Queries").is_dir():
        return path  # nothing in it is a query, and a sound without caption can be found, too
    beside = [p for p in path.iterdir() if p.is_dir() and not p.name.startswith((".", "__"))]
    if found != path.resolve() and len(beside) > 1:  # a library that also holds a data set
        return path
    return open_dataset(found, allow_missing=True)


def check_folder(folder: str | os.PathLike) -> None:
    """Raise `ValueError` for what is no folder."""
    if not os.path.isdir(folder):
        found = "a file" if os.path.exists(folder) else "nothing"
        raise ValueError(f"{os.fspath(folder)}: found {found}, expected a folder of sounds")


def _common_folder(paths: list[str]) -> str:
    if not paths:
        raise ValueError("source: found no paths, expected at least one")
    try:
        return os.path.commonpath([os.path.dirname(path) for path in paths])
    except ValueError:  # on several drives of Windows
        return os.path.dirname(paths[0])


def _listing(root: str, errors: list[AudioError]) -> list[tuple[str, str, str]]:
    """(name, path, class) of each audio file below the folder, by name."""
    found = []
    for path in audio_files(root, errors):
        name = path[len(root) :].lstrip(os.sep).replace(os.sep, "/")
        found.append((name, path, name.rpartition("/")[0].rpartition("/")[2]))
    return sorted(found)


def is_silent(path: str | os.PathLike, seconds: float) -> bool:
    """Whether the first seconds of a sound never reach -60 dBFS; read as far as is needed."""
    import soundfile

    from qvim_kit.datasets.listening import SILENCE

    try:
        with Path(path).open("rb") as handle, soundfile.SoundFile(handle) as sound:
            frames = int(seconds * sound.samplerate)
            blocks = sound.blocks(1 << 14, frames=frames, dtype="float32")
            return not any(np.abs(block).max(initial=0) >= SILENCE for block in blocks)
    except (OSError, TypeError, soundfile.LibsndfileError):
        return False  # whatever it is, it is not silence


def seconds_of(path: str | os.PathLike) -> float:
    """Length of a sound by its header, s; NaN if the header does not tell."""
    import soundfile

    try:
        with Path(path).open("rb") as handle, soundfile.SoundFile(handle) as sound:
            return sound.frames / sound.samplerate
    except (OSError, TypeError, ZeroDivisionError, soundfile.LibsndfileError):
        return float("nan")
