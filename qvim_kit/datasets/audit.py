"""Is a data set whole and sound? Listens to every file; `qvim data check` prints the result.

Notebook: 01_explore_the_data.
"""

from __future__ import annotations

import os
import re
import warnings
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from qvim_kit.audio import AudioError, audio_files
from qvim_kit.datasets import (
    DATASETS,
    DatasetError,
    DatasetWarning,
    RetrievalDataset,
    find_layout,
    load_mini,
)
from qvim_kit.datasets.audit_report import COLUMNS, PROBLEMS, Audit
from qvim_kit.datasets.listening import Sound, listen
from qvim_kit.datasets.listings import UnlistedFiles

# Folders that a query or an item lies in, for files of which no reader knows the part they play.
QUERY_FOLDERS = {"queries", "vocal_imitations", "vocal_imitations_set2"}
ITEM_FOLDERS = {"items", "references", "original_recordings", "sound_recordings"}


class Published(NamedTuple):
    """What a whole data set holds; None where that is not published."""

    items: int | None = None
    queries: int | None = None
    imitated: int | None = None  # items that some query imitates
    classes: int | None = None


# By `RetrievalDataset.name`, as the readers give it.
PUBLISHED = {
    "VimSketch": Published(items=542, queries=12_543),
    "qvim-dev": Published(items=125, queries=985, imitated=121),
    "Vocal Imitation Set": Published(classes=302),
}
# Folders, without signs and version, that are meant to hold the whole of it.
WHOLE = {
    "VimSketch": ("vimsketch", "vimsketchdataset"),
    "Vocal Imitation Set": ("vocalimitationset",),
}


class File(NamedTuple):
    """A file to listen to: its name in the table, and whether it is "query", "item" or ""."""

    name: str
    path: str
    part: str


def audit(folder_or_dataset: str | os.PathLike | RetrievalDataset) -> Audit:
    """Check a data set and listen to every one of its files.

    Compares with the published counts, where the folder's name says that it holds the published set
    (else the difference is a note only), and finds files that are missing, unlisted or unreadable,
    silent (peak below -60 dBFS), clipped (see `listening.clipped_share`), shorter than 0.1 s or
    longer than 60 s, duplicated (the same samples, whatever the container), queries that are
    items, and mixed sample rates. No bad file stops it; some milliseconds a file.

    Args:
        folder_or_dataset: as `datasets.open_dataset` takes it, or a data set already read. Where
            its reader fails, the reader's problems are in the table, and the audio files that
            are in the folder are listened to all the same; so are those of any other folder.

    Raises `DatasetError` only if there is no such folder.
    """
    found: list[tuple[str, str, str]] = []
    if isinstance(folder_or_dataset, RetrievalDataset):
        dataset, name, files = folder_or_dataset, folder_or_dataset.name, None
        paths = [path for part in (dataset.items, dataset.queries) for path in part["path"] if path]
        root = Path(os.path.commonpath([os.path.dirname(os.path.abspath(p)) for p in paths]))
    else:
        dataset, root = _read(folder_or_dataset, found)
        name = dataset.name if dataset else root.name
        files = None if dataset else _audio_files(root, found)
    if files is None:
        files = _dataset_files(dataset, root)
        found += _count_problems(dataset, root)
    if not files:
        found.append(("layout", "", "there are no audio files"))
    sounds = listen([file.path for file in files])
    for file, sound in zip(files, sounds, strict=True):
        found += [(kind, file.name, detail) for kind, detail in sound.problems()]
    found += _repeated(files, sounds) + _sample_rates(files, sounds)
    order = {kind: place for place, kind in enumerate(PROBLEMS)}
    found = sorted(dict.fromkeys(found), key=lambda row: (order[row[0]], row[1:]))
    return Audit(name, pd.DataFrame(found, columns=COLUMNS), _counts(files, dataset, sounds))


def _read(
    name_or_folder: str | os.PathLike, found: list[tuple[str, str, str]]
) -> tuple[RetrievalDataset | None, Path]:
    """The data set as far as its reader can read it, and its folder; problems go to ``found``."""
    if name_or_folder == "qvim-mini":
        load_mini()
    try:
        read, folder = find_layout(name_or_folder)
    except DatasetError as error:
        folder = Path(name_or_folder).expanduser().resolve()
        if os.fspath(name_or_folder) in DATASETS or not folder.is_dir():
            raise
        found += [("layout", "", line) for line in error.problems]
        return None, folder
    folder, dataset, errors = folder.resolve(), None, []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for allow_missing in (False, True):
            try:
                dataset = read(folder, allow_missing=allow_missing)
                break
            except DatasetError as error:
                errors.append(error)
    lines = list(dict.fromkeys(line for error in errors for line in error.problems))
    if dataset is None and (remedy := errors[-1].remedy):
        lines[-1] += f". {remedy}"
    for line in lines:
        missing = line.startswith("missing ")
        found.append(
            ("missing", line.removeprefix("missing "), "") if missing else ("layout", "", line)
        )
    for message in [warning.message for warning in caught]:
        if isinstance(message, UnlistedFiles):
            found += [("unlisted", name, "") for name in message.names]
        elif not isinstance(message, DatasetWarning):
            warnings.warn(message, stacklevel=3)
    return dataset, folder


def _dataset_files(dataset: RetrievalDataset, root: Path) -> list[File]:
    return [
        File(os.path.relpath(path, root).replace(os.sep, "/"), str(path), part)
        for part, paths in (("item", dataset.items["path"]), ("query", dataset.queries["path"]))
        for path in paths
        if path  # a query in words has none
    ]


def _audio_files(root: Path, found: list[tuple[str, str, str]]) -> list[File]:
    """Every audio file below a folder that no reader can read; problems go to ``found``."""
    files: list[File] = []
    errors: list[AudioError] = []
    for path in sorted(map(Path, audio_files(root, errors))):
        parts = path.relative_to(root).parts
        if "excluded" in parts:
            continue
        folders = {part.lower() for part in parts[:-1]}
        part = "query" if folders & QUERY_FOLDERS else "item" if folders & ITEM_FOLDERS else ""
        files.append(File("/".join(parts), str(path), part))
    found += [("unreadable", os.path.relpath(one.path, root), one.reason) for one in errors]
    return files


def size_differences(dataset: RetrievalDataset, name: str) -> list[str]:
    """How a data set's size differs from that of the published one called ``name`` (PUBLISHED)."""
    here = Published(
        items=len(dataset.items),
        queries=len(dataset.queries),
        imitated=dataset.queries["item_id"].nunique(),
        classes=dataset.items["class"].nunique(),
    )
    words = ("items", "queries", "imitated items", "classes")
    return [
        f"{number} {what}, published {wanted}"
        for what, number, wanted in zip(words, here, PUBLISHED[name], strict=True)
        if wanted is not None and number != wanted
    ]


def _count_problems(dataset: RetrievalDataset, root: Path) -> list[tuple[str, str, str]]:
    """An error where the name says that it is the published set, else a note.

    Of some readers the data set's name is that of its folder; of others it is always the same, and
    the folder's own name tells.
    """
    name = dataset.name.lower() if dataset.name.lower() in PUBLISHED else dataset.name
    if name not in PUBLISHED:
        return []
    folders = [
        re.sub(r"[^a-z]|(?<=[^a-z])v[0-9.]+$", "", f.name.lower()) for f in (root, root.parent)
    ]
    meant = name not in WHOLE or any(folder in WHOLE[name] for folder in folders)
    return [("count" if meant else "size", "", line) for line in size_differences(dataset, name)]


def _repeated(files: list[File], sounds: list[Sound]) -> list[tuple[str, str, str]]:
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


def _sample_rates(files: list[File], sounds: list[Sound]) -> list[tuple[str, str, str]]:
    """One row where the files have more than one sample rate."""
    rates = Counter(sound.sample_rate for sound in sounds if sound.sample_rate)
    if len(rates) < 2:
        return []
    first = {
        sound.sample_rate: file.name for file, sound in reversed([*zip(files, sounds, strict=True)])
    }
    detail = "; ".join(
        f"{rate} Hz: {number} file(s), such as {first[rate]}"
        for rate, number in rates.most_common()
    )
    return [("sample rates", "", detail)]


def _counts(
    files: list[File], dataset: RetrievalDataset | None, sounds: list[Sound]
) -> dict[str, float]:
    counts: dict[str, float] = {"files": len(files)}
    if dataset is not None:
        counts["queries"], counts["items"] = len(dataset.queries), len(dataset.items)
        counts["classes"] = dataset.items["class"].nunique()
    counts["seconds"] = sum(sound.seconds for sound in sounds)
    return counts
