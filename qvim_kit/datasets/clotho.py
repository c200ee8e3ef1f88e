"""Reads Clotho: sounds of Freesound, each described by five people.

Drossos, Lipping & Virtanen, "Clotho: an Audio Captioning Dataset", ICASSP 2020; version 2.1,
Zenodo 4783391. Notebook: 07_search_by_text.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pandas as pd

from qvim_kit.datasets.caption_table import Clips, caption_rows
from qvim_kit.datasets.listings import DatasetWarning, require, settle
from qvim_kit.datasets.tables import ITEM_COLUMNS, QUERY_COLUMNS, DatasetError, RetrievalDataset
from qvim_kit.downloads.catalogue import SPLITS  # and how many clips each has in version 2.1

CAPTION_COLUMNS = tuple(f"caption_{n}" for n in range(1, 6))
TABLE = "clotho_captions_{}.csv"


def read_clotho(folder: str | os.PathLike, *, allow_missing: bool = False) -> RetrievalDataset:
    """Read Clotho: 5929 clips, 29 645 captions, in three splits.

    Items are the clips in ``development/``, ``validation/`` and ``evaluation/``; queries are
    their captions, from ``clotho_captions_development.csv`` and so on. Both have a column
    ``split``; see `clotho_split`. There are no classes, so every clip is its own. Equal captions
    of different clips stay: each asks for its own clip. A warning names clips without captions,
    which are left out, and splits whose size is not the published one. Splits that are not there
    at all are passed over.

    Raises `DatasetError` listing all that is wrong, with file and row: captions without a clip
    (left out with a warning if ``allow_missing``), empty ones, such that are not UTF-8, clips
    that stand in two rows.
    """
    folder = Path(folder).resolve()
    present = [s for s in SPLITS if (folder / s).exists() or _table(folder, s).exists()]
    if not present:
        require(folder, [TABLE.format("development"), "development"], "the folder of the data set")
    wanted = [name for split in present for name in (TABLE.format(split), split)]
    require(folder, wanted, "a table and a folder for each split")
    problems: list[str] = []
    missing: dict[str, str] = {}
    unlisted: list[str] = []
    items, queries = [], []
    for split in present:
        clips = Clips(folder / split)
        rows = caption_rows(_table(folder, split), problems, CAPTION_COLUMNS)
        for where, row, captions in rows:
            name = row["file_name"]
            found = clips.find(name)
            if found is None:
                missing[f"{split}/{name}"] = f"{where}: there is no {split}/{name}"
                continue
            item = f"{split}/{found}"
            items.append((item, str(clips.files.paths[found]), item, split))
            numbered = enumerate(captions.values(), start=1)
            queries += [(f"{item}#{n}", "", item, item, text, split) for n, text in numbered]
        known = {clips.find(row["file_name"]) for _, row, _ in rows}
        unlisted += [f"{split}/{name}" for name in clips.files.paths if name not in known]
    settle(folder, problems, missing, unlisted, allow_missing)
    _warn_of_counts(folder, present, [item[3] for item in items])
    return RetrievalDataset(
        pd.DataFrame(items, columns=[*ITEM_COLUMNS, "split"]),
        pd.DataFrame(queries, columns=[*QUERY_COLUMNS, "text", "split"]),
        "Clotho",
    )


def clotho_split(dataset: RetrievalDataset, split: str) -> RetrievalDataset:
    """One split of what `read_clotho` returns: "development", "validation" or "evaluation".

    Raises `DatasetError` where it is not there.
    """
    parts = []
    for table in (dataset.items, dataset.queries):
        found = sorted(set(table["split"])) if "split" in table else []
        if split not in found:
            problem = f"there is no split {split!r}, found {', '.join(found) or 'none'}"
            raise DatasetError(dataset.name, [problem], "Fetch it: `qvim data fetch clotho`.")
        parts.append(table[table["split"] == split])
    return RetrievalDataset(*parts, f"{dataset.name}, {split}")


def _table(folder: Path, split: str) -> Path:
    return folder / TABLE.format(split)


def _warn_of_counts(folder: Path, present: list[str], found: list[str]) -> None:
    odd = [
        f"{split} has {found.count(split)} clips, published are {SPLITS[split]}"
        for split in present
        if found.count(split) != SPLITS[split]
    ]
    if odd:
        what = "{} of another size than in Clotho 2.1"
        warnings.warn(DatasetWarning(folder, what, odd, "split"), stacklevel=3)
