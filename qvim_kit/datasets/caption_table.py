"""Reads sounds with a table of captions beside them: one's own, or what `build_captioned` wrote.

Notebook: 07_search_by_text.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path, PureWindowsPath

import pandas as pd

from qvim_kit.datasets.listings import AudioFolder, read_table, require, settle
from qvim_kit.datasets.tables import ITEM_COLUMNS, QUERY_COLUMNS, DatasetError, RetrievalDataset

CAPTION_TABLE = "captions.csv"
LONGEST_CELL = 2**24  # characters; the csv module's own limit makes no difference between rows


def read_captioned(folder: str | os.PathLike, *, allow_missing: bool = False) -> RetrievalDataset:
    """Read a folder of sounds with ``captions.csv``, a UTF-8 table such as

        file_name,caption
        dogs/rex.wav,a large dog barks twice
        dogs/rex.wav,"two barks, deep and far away"

    A row may also hold several captions, in columns ``caption_1``, ``caption_2`` and so on. Files
    are named from the table's folder, or from its folder ``Items`` if there is one. Items are the
    sounds that have captions; the class is the folder that a sound lies in, or its own name where
    it lies beside the table. Each caption is a query; a row with a file of the folder ``Queries``
    in the column ``imitation`` asks with voice and words at once. Equal captions stay, of one sound
    and of several: each asks for its own. A warning names sounds without captions.

    Raises `DatasetError` listing all that is wrong, with its line in the file: captions without a
    sound (left out with a warning if ``allow_missing``), captions that are empty, not UTF-8, cut
    by a comma, as they are not in quotes, or run on over several lines, as a quote is not closed,
    and imitations of two sounds.
    """
    folder = Path(folder).resolve()
    require(folder, [CAPTION_TABLE], f"a folder of sounds with {CAPTION_TABLE}")
    sounds = Clips(folder / "Items" if (folder / "Items").is_dir() else folder, "**/*")
    voices = Clips(folder / "Queries", "**/*")
    problems: list[str] = []
    missing: dict[str, str] = {}
    items: dict[str, tuple] = {}
    imitated: dict[str, str] = {}
    counts: dict[str, int] = {}
    queries = []
    for where, row, captions in caption_rows(folder / CAPTION_TABLE, problems):
        item, named = sounds.find(row["file_name"]), row.get("imitation", "")
        voice = voices.find(named) if named else ""
        for found, name in ((item, row["file_name"]), (voice, f"Queries/{named}")):
            if found is None:
                missing.setdefault(name, f"{where}: {_absent(name, sounds.files.folder)}")
        if item is None or voice is None:
            continue
        kind = item.rpartition("/")[0] or item
        items[item] = (item, str(sounds.files.paths[item]), kind)
        if voice and (other := imitated.setdefault(voice, item)) != item:
            problems.append(f"{where}: Queries/{voice} imitates {other}, too; expected one sound")
        path = str(voices.files.paths[voice]) if voice else ""
        for text in captions.values():
            counts[voice or item] = n = counts.get(voice or item, 0) + 1
            query = voice if voice and n == 1 else f"{voice or item}#{n}"
            queries.append((query, path, kind, item, text))
    unlisted = [f"Queries/{name}" for name in voices.files.paths if name not in imitated]
    unlisted += [n for n in sounds.files.paths if n not in items and n[:8] != "Queries/"]
    settle(folder, problems, missing, unlisted, allow_missing)
    if not queries:
        raise DatasetError(folder / CAPTION_TABLE, ["there are no captions of sounds"])
    return RetrievalDataset(
        pd.DataFrame(list(items.values()), columns=ITEM_COLUMNS),
        pd.DataFrame(queries, columns=[*QUERY_COLUMNS, "text"]),
        folder.name,
    )


def caption_rows(
    path: Path, problems: list[str], columns: tuple[str, ...] = ()
) -> list[tuple[str, dict[str, str], dict[str, str]]]:
    """(where it stands, row, column → caption) of each row with a file name; adds what is wrong.

    Args:
        columns: that must all hold a caption, and a file then has one row; if left out, at least
            one of those that are called caption or caption_1 and so on.
    """
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        header, table = read_table(path, ["file_name", *columns])
    finally:
        csv.field_size_limit(before)
    named = [c for c in header if c == "caption" or c.startswith("caption_")]
    if not named:
        raise DatasetError(path, [f"there is no column 'caption', found {header}"])
    rows, seen = [], {}
    for line, cells in table:
        row = dict(zip(header, cells, strict=False))
        name = row["file_name"]
        where = f"{path.name}, line {line}" + (f" ({name})" if name else "")
        texts = {column: " ".join(row.get(column, "").split()) for column in columns or named}
        wrong = [
            f"{c} is not UTF-8; save the table as UTF-8" for c in texts if "\ufffd" in texts[c]
        ]
        wrong += [f"{column} is empty" for column in columns if not texts[column]]
        if not columns and any(sign in row[c] for c in named for sign in "\r\n"):
            wrong += ["a caption goes on over several lines; close its quotes, or make it one line"]
        texts = {column: text for column, text in texts.items() if text}
        cut = any(cells[len(header) :])
        # With a caption a row, two people may have said the same of a sound.
        first = seen.setdefault(name, line) if columns and not cut else line
        if cut:
            wrong = [
                f"found {len(cells)} columns, expected {len(header)}; put captions with commas in "
                "quotes"
            ]
            row, texts = {"file_name": name}, {}
        elif not name:
            wrong = ["file_name is empty"]
        elif not texts and not wrong:
            wrong = ["there is no caption"]
        elif first != line:
            wrong = [f"{name} stands in line {first}, too"]
        problems += [f"{where}: {what}" for what in wrong]
        if name and first == line:
            rows.append((where, row, texts))
    return rows


def _absent(name: str, folder: Path) -> str:
    """Why no file is found by a name, which may be a whole path of any system."""
    if not (name.startswith(("/", "\\")) or PureWindowsPath(name).is_absolute()):
        return f"there is no {name}"
    base = f"the folder of {CAPTION_TABLE}" + ("/Items" if folder.name == "Items" else "")
    return f"found the whole path {name}; file names are relative to {base}"


class Clips:
    """The sounds of a folder, also by names that lost the spaces at their ends."""

    def __init__(self, folder: Path, pattern: str = "*"):
        self.files = AudioFolder(folder, pattern)
        self._stripped = {name.strip(): name for name in self.files.paths}

    def find(self, name: str) -> str | None:
        return self.files.find(name) or self._stripped.get(name)
