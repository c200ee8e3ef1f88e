"""Reads VocalSketch: recordings and imitations that two tables pair."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from qvim_kit.datasets.listings import AudioFolder, key_of, read_rows, require, settle, unique_ids
from qvim_kit.datasets.tables import ITEM_COLUMNS, QUERY_COLUMNS, DatasetError, RetrievalDataset
from qvim_kit.wording import counted

Row = dict[str, str]


class Query(NamedTuple):
    """One included imitation; recording is a name as the table writes it."""

    recording: str
    name: str
    set: str
    path: str
    stimulus: str


def read_vocalsketch(
    folder: str | os.PathLike, *, second_set: bool = False, allow_missing: bool = False
) -> RetrievalDataset:
    """Read VocalSketch 1.1 (Zenodo 1251982).

    Items are the recordings in ``sound_recordings.csv``; the class is their label. Queries are
    the included imitations in ``vocal_imitations.csv``, with ``second_set`` also those of the
    second set, whose table is published as ``vocal_imitaitons_set2.csv``; either spelling is
    read. Some labels stand for two recordings ("guitar", "trumpet"), so an imitation is paired by
    its ``sound_recording``, else by its ``sound_label_id``, else by its label. The column
    ``stimulus`` says what the imitator was given: "sound recording", or only a "sound label".
    Rows whose column ``included`` is false are passed over; a warning names the files that are
    in no table.

    Raises `DatasetError` listing all that is wrong: missing tables, columns and files (the
    "everyday" recordings may not be distributed freely), imitations without recording, and
    labels that do not tell which recording is meant. With ``allow_missing`` missing recordings
    and their imitations are left out, with a warning that names them.
    """
    folder = Path(folder).resolve()
    require(folder, ["sound_recordings.csv", "sound_recordings"], "the folder of the archive")
    recordings = AudioFolder(folder / "sound_recordings")
    labelled = read_rows(folder / "sound_recordings.csv", ["filename", "sound_label"])
    labelled = list({row["filename"]: row for row in labelled if row["filename"]}.values())
    on_disk = {row["filename"]: recordings.find(row["filename"]) for row in labelled}
    problems: list[str] = []
    missing = {
        f"sound_recordings/{name}": f"missing sound_recordings/{name}"
        for name, found in on_disk.items()
        if found is None
    }
    unlisted = [f"sound_recordings/{n}" for n in recordings.paths if n not in on_disk.values()]

    which = _Recordings(labelled)
    queries: list[Query] = []
    for number in (1, 2)[: 1 + second_set]:
        place, rows = _included(folder, number)
        imitations = AudioFolder(folder / place)
        paired = _pair(imitations, place, rows, which, problems, missing)
        queries += [query._replace(set=f"set{number}") for query in paired if query.recording]
        listed = {query.name for query in paired}
        unlisted += [f"{place}/{name}" for name in imitations.paths if name not in listed]
    problems += which.problems()
    if allow_missing:
        lost = [query.path for query in queries if on_disk[query.recording] is None]
        missing |= {Path(path).relative_to(folder).as_posix(): "" for path in lost}
    settle(folder, problems, missing, unlisted, allow_missing)
    queries = [query for query in queries if on_disk[query.recording]]
    return _tables(labelled, on_disk, recordings, queries)


def _pair(
    imitations: AudioFolder,
    place: str,
    rows: list[Row],
    which: _Recordings,
    problems: list[str],
    missing: dict[str, str],
) -> list[Query]:
    """Each listed imitation that is there, once; where its recording is unclear, that is ""."""
    paired: dict[str, Query] = {}
    for row in rows:
        found, recording = imitations.find(row["filename"]), which.of(row)
        name = f"{place}/{row['filename']}"
        if found is None:
            missing[name] = f"missing {name}"
            continue
        if recording is None:
            missing[name] = f"{name} has no recording with label {row['sound_label']!r}"
        stimulus, path = row.get("stimulus_type", ""), str(imitations.paths[found])
        query = Query(recording or "", found, "", path, stimulus)
        if paired.setdefault(found, query).recording != query.recording:
            problems.append(f"{name} is listed for two recordings")
    return list(paired.values())


def _included(folder: Path, number: int) -> tuple[str, list[Row]]:
    """The folder of a set's included imitations, and their rows of its table."""
    place = f"vocal_imitations{'_set2' * (number == 2)}"
    tables = [f"{place}.csv", f"{place.replace('imitations', 'imitaitons')}.csv"]
    found = [name for name in tables if (folder / name).is_file()]
    if not found:
        raise DatasetError(folder, [f"there is neither {' nor '.join(tables)}"])
    require(folder, [f"{place}/included"], f"a folder {place}/included beside {found[0]}")
    rows = read_rows(folder / found[0], ["filename", "sound_label"])
    false = {"false", "0", "no"}
    rows = [r for r in rows if r["filename"] and r.get("included", "").casefold() not in false]
    return f"{place}/included", rows


class _Recordings:
    """Which recording a row of the imitations' table means."""

    def __init__(self, labelled: list[Row]):
        self.names = {key_of(row["filename"]): row["filename"] for row in labelled}
        self.by_label: dict[str, list[str]] = {}
        self.by_id = {
            row["sound_label_id"]: row["filename"] for row in labelled if row.get("sound_label_id")
        }
        for row in labelled:
            self.by_label.setdefault(_plain(row["sound_label"]), []).append(row["filename"])
        self.unclear: dict[str, int] = {}  # label → how many imitations

    def of(self, row: Row) -> str | None:
        """The file name; "" where the label fits several recordings, None where it fits none."""
        named = self.names.get(key_of(row.get("sound_recording", "")))
        named = named or self.by_id.get(row.get("sound_label_id", ""))
        if named:
            return named
        label = _plain(row["sound_label"])
        fitting = self.by_label.get(label) or [
            name for key, name in self.names.items() if _plain(key) == label
        ]
        if len(fitting) > 1:
            self.unclear[label] = self.unclear.get(label, 0) + 1
            return ""
        return fitting[0] if fitting else None

    def problems(self) -> list[str]:
        """One line for each label that was not enough."""
        return [
            f"label {label!r} fits {' and '.join(self.by_label[label])}; "
            f"{counted(count, 'imitation does', 'imitations do')} not say which of them is meant"
            for label, count in self.unclear.items()
        ]


def _plain(label: str) -> str:
    """A label, whether written as in the tables or as in a file name."""
    return " ".join(key_of(label).replace("_", " ").split())


def _tables(
    labelled: list[Row],
    on_disk: dict[str, str | None],
    recordings: AudioFolder,
    queries: list[Query],
) -> RetrievalDataset:
    label = {row["filename"]: row["sound_label"] or _plain(row["filename"]) for row in labelled}
    items = sorted((label[name], found, name) for name, found in on_disk.items() if found)
    item_ids = {name: f"{sound_class}/{found}" for sound_class, found, name in items}
    queries = sorted(queries, key=lambda query: (label[query.recording], query.name, query.set))
    ids = unique_ids([(label[query.recording], query.name, query.set) for query in queries])
    return RetrievalDataset(
        items=pd.DataFrame(
            [(item_ids[n], str(recordings.paths[found]), c) for c, found, n in items],
            columns=ITEM_COLUMNS,
        ),
        queries=pd.DataFrame(
            [
                (i, q.path, label[q.recording], item_ids[q.recording], q.stimulus)
                for i, q in zip(ids, queries, strict=True)
            ],
            columns=[*QUERY_COLUMNS, "stimulus"],
        ),
        name="VocalSketch",
    )
