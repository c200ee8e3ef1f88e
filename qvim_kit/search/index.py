"""A library of sounds in memory, searched by voice.

Notebook: 06_search_by_voice.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qvim_kit.downloads.locks import locked
from qvim_kit.search import storage
from qvim_kit.search.building import Built, Changes, Progress, embed_library, fingerprint_of
from qvim_kit.search.library import Library
from qvim_kit.search.table import SoundTable
from qvim_kit.wording import counted

if TYPE_CHECKING:
    from qvim_kit.datasets import RetrievalDataset
    from qvim_kit.systems import EmbeddingSystem

    Source = str | os.PathLike | Iterable[str | os.PathLike] | RetrievalDataset | Library

NO_NAME = "the system has no fingerprint() that tells it from others"


class SoundIndex(SoundTable):
    """The sounds of a library, embedded: find the one that a voice imitates.

    Made by `build`, `open` or `load`. Its attributes are for reading; `refresh` changes them.

    Attributes:
        sounds: one row a sound; columns name (path relative to the library's root, with "/"),
            path, class, seconds (NaN if unknown).
        embeddings: (sounds, dim) float32, rows of length 1, or 0 for a sound that embeds to zeros.
        system: what embeds queries; None if the index was loaded without.
        errors: an `AudioError` for each file that could not be indexed.
        changes: what the last build or refresh found: new, changed, gone.
        library: where the sounds are.

    >>> index = SoundIndex.build("my sounds", system)  # doctest: +SKIP
    >>> index.search("hum.wav", k=5, where="door")  # doctest: +SKIP
    """

    def __init__(
        self,
        library: Library,
        built: Built,
        system: EmbeddingSystem | None,
        fingerprint: str | None,
        system_name: str,
    ):
        self.library, self.system = library, system
        self.fingerprint, self.system_name = fingerprint, system_name
        self._keep(built)

    def _keep(self, built: Built) -> None:
        self._show(built.rows, built.embeddings)
        self._built, self.errors, self.changes = built, built.errors, built.changes

    @classmethod
    def build(
        cls,
        source: Source,
        system: EmbeddingSystem,
        *,
        previous: SoundIndex | None = None,
        progress: Progress | None = None,
    ) -> SoundIndex:
        """Embed a library's sounds.

        Embeddings are cached by content, so a build that was interrupted goes on where it was. A
        file that cannot be used is named in `errors` and stops nothing.

        Args:
            source: a folder (with all below it, without hidden files), a list of paths, or a data
                set, of which the items are taken. A sound's class is the name of the folder it
                lies in, "" directly in the library's root; in a data set its class there.
            system: what embeds sounds and, later, queries.
            previous: an earlier index, from which unchanged files are taken over unread.
            progress: called with (files done, files to do); a bar is shown if left out.

        Raises `ValueError` for a folder that is not there or holds no audio files, and
        `TypeError` for a system that does not embed.
        """
        fingerprint, library = fingerprint_of(system), Library.of(source)
        old = None
        if previous is not None:
            same = previous.system is system if fingerprint is None else True
            old = previous._built if same and previous.fingerprint == fingerprint else None
        built = embed_library(library, system, old, progress)
        return cls(library, built, system, fingerprint, system.name)

    @classmethod
    def open(
        cls,
        source: Source,
        system: EmbeddingSystem,
        folder: str | os.PathLike | None = None,
        *,
        progress: Progress | None = None,
    ) -> SoundIndex:
        """The saved index of a library, brought up to date and saved; built if there is none.

        Args:
            source, system, progress: as for `build`.
            folder: where the index is kept; by default below the cache folder, one for each
                library and system. A system without a fingerprint is indexed, but not kept.

        Processes that open one index take turns. A damaged one is built again, with a warning.
        Raises as `build`, and `SavedIndexError` if the folder holds another system's index.
        """
        library, fingerprint = Library.of(source), fingerprint_of(system)
        if fingerprint is None:
            if folder is not None:
                warnings.warn(f"{folder}: the index is not kept ({NO_NAME})", stacklevel=2)
            return cls.build(library, system, progress=progress)
        folder = Path(folder or storage.default_folder(library, fingerprint))
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            warnings.warn(f"{folder}: the index is not kept ({error})", stacklevel=2)
            return cls.build(library, system, progress=progress)
        with locked(folder / storage.TABLE):
            previous = None
            if storage.is_saved(folder):
                try:
                    previous = cls._read(folder, system)
                except storage.DamagedIndexError as error:
                    warnings.warn(f"{error}; it is built again", stacklevel=2)
            index = cls.build(library, system, previous=previous, progress=progress)
            if previous is None or index._state() != previous._state():
                storage.write_index(folder, *index._document())
        return index

    def refresh(self, progress: Progress | None = None) -> Changes:
        """Look at the library again: embed new and changed files, drop those that are gone.

        Changed are files of another size or time of change whose content differs, too. Row
        numbers change. Nothing changes if it is interrupted. Returns what was found.
        """
        self._need_system("refresh")
        newer = type(self).build(self.library, self.system, previous=self, progress=progress)
        self.fingerprint = newer.fingerprint
        self._keep(newer._built)
        return self.changes

    def save(self, folder: str | os.PathLike) -> None:
        """Write the index into a folder, which is made; an index that is there is replaced.

        Whoever reads it meanwhile sees the old one or the new one, whole.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / storage.TABLE):
            storage.write_index(folder, *self._document())

    @classmethod
    def load(cls, folder: str | os.PathLike, system: EmbeddingSystem | None = None) -> SoundIndex:
        """Open a saved index as it is; its embeddings are mapped into memory, not read.

        Args:
            folder: where `save` or `open` put it.
            system: the one it was built with; without, only embeddings can be searched with.

        Warns if the library's folder is not there any more. Raises `SavedIndexError` if there is
        no index, if it is damaged, or if it was built with another system, or with one that has no
        fingerprint to tell it by.
        """
        index = cls._read(Path(folder), system)
        if gone := storage.moved(folder, index.library):
            warnings.warn(gone, stacklevel=2)
        return index

    @classmethod
    def _read(cls, folder: Path, system: EmbeddingSystem | None) -> SoundIndex:
        table, library, built = storage.read_index(folder)
        if system is not None:
            found = fingerprint_of(system)
            if found is None or found != table["fingerprint"]:
                was, now = table["system"], system.name
                reason = NO_NAME if found is None else f"built with {was}, found {now}"
                raise storage.SavedIndexError(
                    f"{folder}: not an index of this system ({reason}); load it with the system "
                    "it was built with, or build an index in another folder"
                )
        return cls(library, built, system, table["fingerprint"], table["system"])

    def _document(self) -> tuple[dict, np.ndarray]:
        table = storage.packed(self.library, self._built)
        names = {"fingerprint": self.fingerprint, "system": self.system_name}
        return {**table, **names}, self.embeddings

    def _state(self) -> tuple:
        return self._built.rows, [str(error) for error in self.errors], self.library

    @property
    def contents(self) -> str:
        """How many sounds in how many classes, in words."""
        classes = counted(len(self.classes), "class", "classes")
        return counted(len(self), "sound") + (f" in {classes}" if any(self.classes) else "")

    def __repr__(self) -> str:
        unusable = f", {counted(len(self.errors), 'file')} not usable" if self.errors else ""
        numbers = counted(self.embeddings.shape[1], "number")
        return f"SoundIndex of {self.system_name}: {self.contents}, {numbers} each{unusable}"

    def _repr_html_(self) -> str:
        head = self.sounds[["name", "class", "seconds"]].head().round(2).to_html()
        return f"<p>{escape(repr(self))}; the first of them:</p>{head}"
