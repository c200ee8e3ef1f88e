"""Reads the challenge's layout: QVIM-dev, the mini data set, and data of your own."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import pandas as pd

from qvim_kit.datasets.listings import AudioFolder, read_text, require, separated_otherwise, settle
from qvim_kit.datasets.tables import ITEM_COLUMNS, QUERY_COLUMNS, DatasetError, RetrievalDataset

QVIM_DEV_TABLE = "DEV Dataset.csv"
QVIM_DEV_COLUMNS = ("Label", "Class", "Items", "Query 1", "Query 2", "Query 3")


def read_qvim_dev(folder: str | os.PathLike, *, allow_missing: bool = False) -> RetrievalDataset:
    """Read a data set in the challenge's layout: ``Items/``, ``Queries/``, ``DEV Dataset.csv``.

    Every file in a folder of Items is an item, also those that no query imitates. Suffixes match in
    any case, a blank Label keeps its row, and a row without an item continues the one above. The
    table's first line is a title, its second the header. A warning names the files in Queries that
    the table does not list, and such in Items that lie in no class's folder, or deeper.

    Raises `DatasetError` listing all that is wrong: missing table, folders, title, columns, files,
    queries listed for two items. With ``allow_missing`` the rows of missing files are left out,
    with a warning that names them.
    """
    folder = Path(folder).resolve()
    rows = _read_pairs(folder)
    items, queries = AudioFolder(folder / "Items", "**/*"), AudioFolder(folder / "Queries", "**/*")
    pairs: dict[str, str] = {}
    problems: list[str] = []
    missing: dict[str, str] = {}
    listed: dict[str, set[str | None]] = {"Items": set(), "Queries": set()}
    for sound_class, item_name, query_name in rows:
        item, query = (
            files.find(f"{sound_class}/{name}")
            for files, name in ((items, item_name), (queries, query_name))
        )
        listed["Items"].add(item)
        listed["Queries"].add(query)
        if item is None:
            name = f"Items/{sound_class}/{item_name}"
            missing[name] = f"missing {name}"
        if query is None:
            name = f"Queries/{sound_class}/{query_name}"
            missing[name] = f"missing {name}"
        if item is None or query is None:
            continue
        if pairs.setdefault(query, item) != item:
            problems.append(f"query {query} is listed for two items: {pairs[query]} and {item}")
    listed["Items"] |= {name for name in items.paths if name.count("/") == 1}
    unlisted = [
        f"{files.folder.name}/{name}"
        for files in (queries, items)
        for name in files.paths
        if name not in listed[files.folder.name]
    ]
    settle(folder, problems, missing, unlisted, allow_missing)
    return RetrievalDataset(
        items=pd.DataFrame(
            [
                (name, str(path), name.split("/")[0])
                for name, path in items.paths.items()
                if name in listed["Items"]
            ],
            columns=ITEM_COLUMNS,
        ),
        queries=pd.DataFrame(
            [
                (q, str(queries.paths[q]), q.split("/")[0], item)
                for q, item in sorted(pairs.items())
            ],
            columns=QUERY_COLUMNS,
        ),
        name=folder.name,
    )


def _read_pairs(folder: Path) -> list[tuple[str, str, str]]:
    """(class, item name, query name) for each query in the table, in order."""
    path = folder / QVIM_DEV_TABLE
    expected = f"a folder that holds Items, Queries and {QVIM_DEV_TABLE!r}"
    require(folder, [QVIM_DEV_TABLE, "Items", "Queries"], expected)
    try:
        text = io.StringIO(read_text(path), newline="")
        lines = [[cell.strip() for cell in line] for line in csv.reader(text)]
    except csv.Error as error:
        raise DatasetError(path, [f"not a UTF-8 CSV file ({error})"], "Save it as UTF-8.") from None
    header = next((n for n, line in enumerate(lines) if {"Class", "Items"} <= set(line)), None)
    columns = lines[header] if header is not None else []
    absent = [f"there is no column {c!r}" for c in QVIM_DEV_COLUMNS[1:] if c not in columns]
    if header == 0:
        absent.insert(0, f"there is no title above the header, found {lines[0]}")
    if absent:
        remedy = f"The first line is a title, the second the header {', '.join(QVIM_DEV_COLUMNS)}."
        otherwise = next(filter(None, map(separated_otherwise, lines)), "")
        raise DatasetError(path, absent, f"{remedy} {otherwise}".strip())
    pairs, above = [], ("", "")
    for line in lines[header + 1 :]:
        row = dict(zip(columns, line, strict=False))
        item = (row.get("Class", ""), row.get("Items", ""))
        above = item if item[1] else above
        pairs += [(*above, row[c]) for c in QVIM_DEV_COLUMNS[3:] if row.get(c)]
    return pairs
