"""Embeds what is new or changed in a library, and keeps the rest.

Notebook: 06_search_by_voice.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qvim_kit.audio import AudioError
from qvim_kit.search.library import Library, Sound, is_silent, seconds_of
from qvim_kit.search.queries import unit

if TYPE_CHECKING:
    from qvim_kit.systems import EmbeddingSystem

Progress = Callable[[int, int], None]  # files done, files to do
SETTLED = 2_000_000_000  # ns: a file touched later than this may change and keep its time


class Changes(NamedTuple):
    """What a build or a refresh found; a file whose content is as before has not changed."""

    new: int
    changed: int = 0
    gone: int = 0

    def __str__(self) -> str:
        return f"{self.new} new, {self.changed} changed, {self.gone} gone"


class Row(NamedTuple):
    """A sound of the index, as it is stored."""

    name: str
    path: str
    class_name: str
    seconds: float
    size: int
    mtime: int  # ns; 0 if it is not to be trusted
    key: str  # SHA-256 of the content


class Built(NamedTuple):
    """A library, embedded: rows, their embeddings (rows, dim), errors, and what had changed."""

    rows: list[Row]
    embeddings: np.ndarray
    errors: list[AudioError]
    changes: Changes


def fingerprint_of(system: EmbeddingSystem) -> str | None:
    """Text that changes with whatever the system's embeddings depend on; None if it cannot tell.

    Raises `TypeError` for a system that does not embed.
    """
    from qvim_kit.systems.embedding import EmbeddingSystem

    if not isinstance(system, EmbeddingSystem):
        found = type(system).__name__
        raise TypeError(f"system: found {found}, expected an EmbeddingSystem, such as TwoDFT()")
    sides = [system.trusted_fingerprint(side) for side in ("query", "item")]
    return None if None in sides else " | ".join(sides)


def embed_library(
    library: Library,
    system: EmbeddingSystem,
    old: Built | None = None,
    progress: Progress | None = None,
) -> Built:
    """Embed a library's sounds as items.

    A file of ``old`` whose path, size and time of change are the same is taken over as it is; one
    whose content is the same keeps its embedding; the embedding cache is asked for the others.
    Interrupted, it goes on from there the next time.

    Raises `ValueError` for a library that never held a sound.
    """
    started = time.time_ns()
    sounds, errors = library.scan(may_be_empty=old is not None)
    numbers = {row.path: number for number, row in enumerate(old.rows)} if old else {}
    kept, waiting = {}, []
    for sound in sounds:
        number = numbers.get(sound.path)
        row = None if number is None else old.rows[number]
        if row and (row.size, row.mtime) == (sound.size, sound.mtime):
            kept[sound.path] = row.seconds, row.key, old.embeddings[number]
        else:
            waiting.append(sound.path)
    known = {}
    if waiting and old:
        known = {row.key: old.embeddings[number] for number, row in enumerate(old.rows)}
    with reporting(progress, len(waiting), f"{system.name}: indexing") as report:
        for done, (path, key, embedding) in enumerate(embed_units(system, waiting, known), 1):
            if isinstance(embedding, AudioError):
                errors.append(embedding)
            else:
                kept[path] = seconds_of(path), key, embedding
            report(done)
    rows = [row_of(s, *kept[s.path][:2], started) for s in sounds if s.path in kept]
    if old and [(row.path, row.key) for row in rows] == [(row.path, row.key) for row in old.rows]:
        embeddings = old.embeddings  # mapped from disk, perhaps: not to be copied
    else:
        embeddings = _stacked(system.name, [kept[row.path][2] for row in rows])
    return Built(rows, embeddings, errors, _changes(rows, old, numbers))


def embed_units(
    system: EmbeddingSystem, paths: list[str], known: dict[str, np.ndarray]
) -> Iterator[tuple[str, str, np.ndarray | AudioError]]:
    """As `EmbeddingSystem.embed_each`, with embeddings of length 1, and an error for silence."""
    for path, key, embedding in system.embed_each(paths, "item", known):
        if not isinstance(embedding, AudioError) and is_silent(path, system.heard):
            reason = f"is silent in the {system.heard:g} s that are heard: no voice can imitate it"
            embedding = AudioError(path, reason)
        if not isinstance(embedding, AudioError) and key not in known:
            try:
                embedding = unit(embedding, path)
            except ValueError:
                reason = f"{system.name} embeds it to NaN or infinite numbers"
                embedding = AudioError(path, reason)
        yield path, key, embedding


@contextlib.contextmanager
def reporting(progress: Progress | None, total: int, title: str) -> Iterator[Callable[[int], None]]:
    """What is to be told how many files are done: the caller's function, or a bar."""
    if progress is not None:
        progress(0, total)
        yield lambda done: progress(done, total)
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, desc=title, unit="sound", disable=not total) as bar:
        yield lambda done: bar.update()


def row_of(sound: Sound, seconds: float, key: str, started: int) -> Row:
    """The row of a sound, as it was found by a scan that started at a time in ns."""
    mtime = sound.mtime if sound.mtime < started - SETTLED else 0
    return Row(*sound[:3], seconds, sound.size, mtime, key)


def _stacked(name: str, found: list[np.ndarray]) -> np.ndarray:
    lengths = sorted({len(embedding) for embedding in found})
    if len(lengths) > 1:
        raise ValueError(
            f"{name}: found embeddings of {lengths} numbers, expected one length; its "
            "fingerprint() has to change when its embeddings do"
        )
    return np.stack(found) if found else np.zeros((0, 0), dtype=np.float32)


def _changes(rows: list[Row], old: Built | None, numbers: dict[str, int]) -> Changes:
    if old is None:
        return Changes(len(rows))
    same = [row for row in rows if row.path in numbers]
    changed = sum(old.rows[numbers[row.path]].key != row.key for row in same)
    return Changes(len(rows) - len(same), changed, len(old.rows) - len(same))
