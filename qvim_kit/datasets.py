"""Folders on disk → `RetrievalDataset`: items to find and queries that imitate them."""

from __future__ import annotations

import csv
import hashlib
import os
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

ITEM_COLUMNS = ("item_id", "path", "class")
QUERY_COLUMNS = ("query_id", "path", "class", "item_id")
QVIM_DEV_TABLE = "DEV Dataset.csv"
QVIM_DEV_COLUMNS = ("Label", "Class", "Items", "Query 1", "Query 2", "Query 3")


class DatasetError(ValueError):
    """A data set cannot be used; the message lists every problem, not only the first."""

    def __init__(self, where: str | os.PathLike, problems: list[str], remedy: str = ""):
        shown = problems[:50]
        if len(problems) > len(shown):
            shown = [*shown, f"… and {len(problems) - len(shown)} more"]
        lines = [f"{where}: {len(problems)} problem(s)", *(f"  {line}" for line in shown)]
        super().__init__("\n".join(lines + ([remedy] if remedy else [])))
        self.problems = problems


@dataclass(frozen=True, eq=False, repr=False)
class RetrievalDataset:
    """What is searched, and what it is searched with.

    Notebook: 01_explore_the_data.

    Args:
        items: one row an item; columns item_id, path, class.
        queries: one row a query; columns query_id, path, class, item_id (the imitated item).
        name: for tables and messages.

    The readers make ids of the form ``Class/file.wav``, unique by construction. Raises
    `DatasetError` with every missing column, repeated id, and query whose item is unknown or of
    another class.
    """

    items: pd.DataFrame
    queries: pd.DataFrame
    name: str = "data set"

    def __post_init__(self):
        problems = [
            f"{table}: there is no column {column!r}, found {list(getattr(self, table).columns)}"
            for table, columns in (("items", ITEM_COLUMNS), ("queries", QUERY_COLUMNS))
            for column in columns
            if column not in getattr(self, table)
        ]
        if not problems:
            # Tables of our own, numbered from 0, so that a caller's later edits do not reach us.
            object.__setattr__(self, "items", self.items.reset_index(drop=True))
            object.__setattr__(self, "queries", self.queries.reset_index(drop=True))
            problems = self._problems()
        if problems:
            raise DatasetError(self.name, problems)

    def _problems(self) -> list[str]:
        problems = [f"there are no {t}" for t in ("items", "queries") if getattr(self, t).empty]
        for ids in (self.items["item_id"], self.queries["query_id"]):
            repeated = ids[ids.duplicated()].unique()
            problems += [f"{ids.name} {repeat} stands in more than one row" for repeat in repeated]
        class_of = dict(zip(self.items["item_id"], self.items["class"], strict=True))
        for query in self.queries.to_dict("records"):
            name, item = query["query_id"], query["item_id"]
            if item not in class_of:
                problems.append(f"query {name} imitates the unknown item {item}")
            elif class_of[item] != query["class"]:
                problems.append(
                    f"query {name} is of class {query['class']}, its item {item} is of class "
                    f"{class_of[item]}"
                )
        return problems

    @property
    def item_paths(self) -> dict[str, str]:
        """Item id → file path, as `QVIMModel.compute_similarities` takes it."""
        return dict(zip(self.items["item_id"], self.items["path"].map(str), strict=True))

    @property
    def query_paths(self) -> dict[str, str]:
        """Query id → file path, as `QVIMModel.compute_similarities` takes it."""
        return dict(zip(self.queries["query_id"], self.queries["path"].map(str), strict=True))

    def fingerprint(self) -> str:
        """16 hexadecimal digits of a hash over ids, classes, pairs and the files' content.

        Results are comparable only where the fingerprints agree. The place on disk and the order
        of the rows do not matter; a file that is not there counts as missing.
        """
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        lines = [
            "\t".join([*(str(row[c]) for c in columns if c != "path"), hash_file(row["path"])])
            for table, columns in ((self.items, ITEM_COLUMNS), (self.queries, QUERY_COLUMNS))
            for row in table.to_dict("records")
        ]
        return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16]

    def __repr__(self) -> str:
        return (
            f"RetrievalDataset {self.name}: {len(self.queries)} queries, {len(self.items)} items "
            f"in {self.items['class'].nunique()} classes"
        )


def hash_file(path: str | os.PathLike) -> str:
    """SHA-256 of a file's content in hexadecimal, or "missing"."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except FileNotFoundError:
        return "missing"


def read_qvim_dev(folder: str | os.PathLike, *, allow_missing: bool = False) -> RetrievalDataset:
    """Read a data set in the challenge's layout: ``Items/``, ``Queries/``, ``DEV Dataset.csv``.

    Every file in Items is an item, also those that no query imitates. Suffixes match in any case,
    a blank Label keeps its row, and a row without an item continues the one above.

    Raises `DatasetError` listing all that is wrong: missing table, folders, columns or files,
    queries listed for two items. With ``allow_missing`` the rows of missing files are left out,
    with a warning that names them.
    """
    folder = Path(folder).resolve()
    rows = _read_pairs(folder)
    items, queries = _wav_files(folder / "Items"), _wav_files(folder / "Queries")
    pairs: dict[str, str] = {}
    problems, missing = [], []
    for sound_class, item_name, query_name in rows:
        item = _find(items, sound_class, item_name)
        query = _find(queries, sound_class, query_name)
        if item is None:
            missing.append(f"Items/{sound_class}/{item_name}")
        if query is None:
            missing.append(f"Queries/{sound_class}/{query_name}")
        if item is None or query is None:
            continue
        if pairs.setdefault(query, item) != item:
            problems.append(f"query {query} is listed for two items: {pairs[query]} and {item}")
    missing = list(dict.fromkeys(missing))
    if missing and allow_missing:
        listing = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
        warnings.warn(f"{folder}: left out {len(missing)} files: {listing}", stacklevel=2)
    elif missing:
        problems += [f"missing {name}" for name in missing]
    if problems:
        remedy = "Unpack the data set again, or pass allow_missing=True to leave those rows out."
        raise DatasetError(folder, problems, remedy if missing else "")
    return RetrievalDataset(
        items=pd.DataFrame(
            [(key, str(path), key.split("/")[0]) for key, path in items.items()],
            columns=ITEM_COLUMNS,
        ),
        queries=pd.DataFrame(
            [(q, str(queries[q]), q.split("/")[0], item) for q, item in sorted(pairs.items())],
            columns=QUERY_COLUMNS,
        ),
        name=folder.name,
    )


def _read_pairs(folder: Path) -> list[tuple[str, str, str]]:
    """(class, item name, query name) for each query in the table, in order."""
    path = folder / QVIM_DEV_TABLE
    wanted = [path, folder / "Items", folder / "Queries"]
    absent = [f"there is no {p.name}" for p in wanted if not p.exists()]
    if absent:
        inside = [p.parent.name for p in folder.glob(f"*/{QVIM_DEV_TABLE}")]
        remedy = f"Did you mean its folder {inside[0]}?" if inside else "Expected a folder that "
        remedy += "" if inside else f"holds Items, Queries and {QVIM_DEV_TABLE!r}."
        raise DatasetError(folder, absent, remedy)
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            lines = [[cell.strip() for cell in line] for line in csv.reader(handle)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(path, [f"not a UTF-8 CSV file ({error})"], "Save it as UTF-8.") from None
    header = next((n for n, line in enumerate(lines) if {"Class", "Items"} <= set(line)), None)
    columns = lines[header] if header is not None else []
    absent = [f"there is no column {c!r}" for c in QVIM_DEV_COLUMNS[1:] if c not in columns]
    if absent:
        raise DatasetError(path, absent, "Expected a banner row, then the header row.")
    pairs, above = [], ("", "")
    for line in lines[header + 1 :]:
        row = dict(zip(columns, line, strict=False))
        item = (row.get("Class", ""), row.get("Items", ""))
        above = item if item[1] else above
        pairs += [(*above, row[c]) for c in QVIM_DEV_COLUMNS[3:] if row.get(c)]
    return pairs


def _wav_files(folder: Path) -> dict[str, Path]:
    """``Class/file.wav`` → path, for every WAV file in the folder's class folders."""
    paths = sorted(p for p in folder.glob("*/*") if p.suffix.lower() == ".wav" and p.is_file())
    return {f"{path.parent.name}/{path.name}": path for path in paths if path.name[0] != "."}


def _find(files: dict[str, Path], sound_class: str, name: str) -> str | None:
    """The id of a file named in the table: exactly, else in any case, with or without suffix."""
    wanted = f"{sound_class}/{name}"
    if wanted in files:
        return wanted
    loose = {wanted.casefold(), f"{wanted}.wav".casefold()}
    alike = [key for key in files if key.casefold() in loose]
    return alike[0] if len(alike) == 1 else None


def load_mini(folder: str | os.PathLike | None = None) -> RetrievalDataset:
    """The mini data set: 96 synthesised effects in 12 classes, 192 synthetic vocal imitations.

    It is built on first use (about ten seconds, with a progress bar), always the same, in the
    challenge's layout under ``data/qvim-mini``, or in ``folder``.

    >>> load_mini()  # doctest: +SKIP
    RetrievalDataset qvim-mini: 192 queries, 96 items in 12 classes
    """
    from qvim_kit.mini import build_mini
    from qvim_kit.paths import data_folder

    return read_qvim_dev(build_mini(folder or data_folder() / "qvim-mini"))
