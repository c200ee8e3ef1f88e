"""The files that an audit listens to, and what only a comparison of all of them shows."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

from qvim_kit.audio import AudioError, audio_files
from qvim_kit.datasets.listening import Sound
from qvim_kit.datasets.tables import RetrievalDataset
from qvim_kit.wording import counted

# Folders that a query or an item lies in, for files of which no reader knows the part they play.
QUERY_FOLDERS = {"queries", "vocal_imitations", "vocal_imitations_set2"}
ITEM_FOLDERS = {"items", "references", "original_recordings", "sound_recordings"}


class File(NamedTuple):
    """A file to listen to: its name in the table, and whether it is "query", "item" or ""."""

    name: str
    path: str
    part: str


def dataset_files(dataset: RetrievalDataset, root: Path) -> list[File]:
    """Every file of a data set, named as it lies below its folder."""
    return [
        File(os.path.relpath(path, root).replace(os.sep, "/"), str(path), part)
        for part, paths in (("item", dataset.items["path"]), ("query", dataset.queries["path"]))
        for path in paths
        if path  # a query in words has none
    ]


def files_below(root: Path, found: list[tuple[str, str, str]]) -> list[File]:
    """Every audio file below a folder that no reader can read; problems go to ``found``.

    What the Vocal Imitation Set's makers excluded is left out.
    """
    files: list[File] = []
    errors: list[AudioError] = []
    for path in sorted(map(Path, audio_files(root, errors))):
        parts = path.relative_to(root).parts
        folders = {part.lower() for part in parts[:-1]}
        if {"vocal_imitations", "excluded"} <= folders:
            continue
        part = "query" if folders & QUERY_FOLDERS else "item" if folders & ITEM_FOLDERS else ""
        files.append(File("/".join(parts), str(path), part))
    found += [("unreadable", os.path.relpath(one.path, root), one.reason) for one in errors]
    return files


def repeated(files: list[File], sounds: list[Sound]) -> list[tuple[str, str, str]]:
    """Sounds that occur twice among the items or the queries, and queries that are items."""
    alike: dict[str, list[File]] = defaultdict(list)
    for file, sound in zip(files, sounds, strict=True):
        # All silence is alike, and reported as silence.
        if sound.digest and not sound.silent:
            alike[sound.digest].append(file)
    found = []
    for group in alike.values():
        by_part: dict[str, list[str]] = defaultdict(list)
        # "bark.wav" is taken for the original of "bark copy.wav".
        for file in sorted(group, key=lambda file: (len(file.name), file.name)):
            by_part[file.part].append(file.name)
        for first, *others in by_part.values():
            found += [("duplicate", other, f"the same sound as {first}") for other in others]
        if "item" in by_part:
            detail = f"the same sound as the item {by_part['item'][0]}"
            found += [("leak", query, detail) for query in by_part["query"]]
    return found


def sample_rates(files: list[File], sounds: list[Sound]) -> list[tuple[str, str, str]]:
    """One row where the files have more than one sample rate."""
    rates = Counter(sound.sample_rate for sound in sounds if sound.sample_rate)
    if len(rates) < 2:
        return []
    first = {
        sound.sample_rate: file.name for file, sound in reversed([*zip(files, sounds, strict=True)])
    }
    detail = "; ".join(
        f"{rate} Hz: {counted(number, 'file')}, such as {first[rate]}"
        for rate, number in rates.most_common()
    )
    return [("sample rates", "", detail)]
