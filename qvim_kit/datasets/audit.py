"""Is a data set whole and sound? Listens to every file; `qvim data check` prints the result.

Notebook: 01_explore_the_data.
"""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from qvim_kit.audio import AUDIO_SUFFIXES
from qvim_kit.datasets import (
    DATASETS,
    LAYOUTS,
    DatasetError,
    DatasetWarning,
    RetrievalDataset,
    find_layout,
    load_mini,
)
from qvim_kit.datasets.audit_files import File, dataset_files, files_below, repeated, sample_rates
from qvim_kit.datasets.audit_report import COLUMNS, PROBLEMS, Audit
from qvim_kit.datasets.listening import Sound, listen
from qvim_kit.datasets.listings import UnlistedFiles
from qvim_kit.downloads.catalogue import SOURCES


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
            are in the folder are listened to all the same. A folder with nothing of a data set's
            layout is a library of sounds, as `qvim search` takes it.

    Raises `DatasetError` only if there is no such folder.
    """
    found: list[tuple[str, str, str]] = []
    library = False
    if isinstance(folder_or_dataset, RetrievalDataset):
        dataset, name, files = folder_or_dataset, folder_or_dataset.name, None
        paths = [path for part in (dataset.items, dataset.queries) for path in part["path"] if path]
        root = Path(os.path.commonpath([os.path.dirname(os.path.abspath(p)) for p in paths]))
    else:
        dataset, root = _read(folder_or_dataset, found)
        library = dataset is None and not found
        name = dataset.name if dataset else root.name
        files = None if dataset else files_below(root, found)
    if files is None:
        files = dataset_files(dataset, root)
        found += _count_problems(dataset, root)
    if not files:
        found.append(("empty", "", f"looked for {' '.join(sorted(AUDIO_SUFFIXES))}"))
    sounds = listen([file.path for file in files])
    for file, sound in zip(files, sounds, strict=True):
        found += [(kind, file.name, detail) for kind, detail in sound.problems()]
    found += repeated(files, sounds) + sample_rates(files, sounds)
    order = {kind: place for place, kind in enumerate(PROBLEMS)}
    found = sorted(dict.fromkeys(found), key=lambda row: (order[row[0]], row[1:]))
    table = pd.DataFrame(found, columns=COLUMNS)
    return Audit(name, table, _counts(files, dataset, sounds), library)


def _read(
    name_or_folder: str | os.PathLike, found: list[tuple[str, str, str]]
) -> tuple[RetrievalDataset | None, Path]:
    """The data set as far as its reader can read it, and its folder; problems go to ``found``.

    No data set and no problem: a library of sounds.
    """
    if name_or_folder == "qvim-mini":
        load_mini()
    try:
        read, folder = find_layout(name_or_folder)
    except DatasetError as error:
        folder = Path(name_or_folder).expanduser().resolve()
        if os.fspath(name_or_folder) in DATASETS or not folder.is_dir():
            raise
        if parts := _parts_of_layouts(folder):
            *others, last = error.problems
            last += f" (found {', '.join(parts)}). {error.remedy}"
            found += [("layout", "", line) for line in (*others, last)]
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


def _parts_of_layouts(folder: Path) -> list[str]:
    """What layouts are known by, and tables that belong to them, here or one folder deeper."""
    names = {name for layout in LAYOUTS.values() for mark in layout.marks for name in mark}
    markers = (marker for source in SOURCES.values() for marker in source.markers)
    names |= {marker for marker in markers if marker.endswith(".csv")}
    return sorted(
        path.relative_to(folder).as_posix()
        for place in (folder, *folder.glob("*/"))
        for name in names
        if (path := place / name).exists()
    )


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


def _counts(
    files: list[File], dataset: RetrievalDataset | None, sounds: list[Sound]
) -> dict[str, float]:
    counts: dict[str, float] = {"files": len(files)}
    if dataset is not None:
        counts["queries"], counts["items"] = len(dataset.queries), len(dataset.items)
        counts["classes"] = dataset.items["class"].nunique()
    counts["seconds"] = sum(sound.seconds for sound in sounds)
    return counts
