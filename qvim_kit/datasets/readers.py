"""Reads the published data sets of vocal imitations: folder → `RetrievalDataset`.

Notebook: 01_explore_the_data.
"""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from qvim_kit.datasets.listings import AudioFolder, key_of, read_names, require, settle, unique_ids
from qvim_kit.datasets.tables import ITEM_COLUMNS, QUERY_COLUMNS, RetrievalDataset


def read_vimsketch(folder: str | os.PathLike, *, allow_missing: bool = False) -> RetrievalDataset:
    """Read VimSketch: 542 references, 12 543 imitations (Zenodo 2596911, CC BY 4.0).

    ``NNN_<rest>.wav`` in ``references/`` is imitated by every ``NNNNN_<rest>.wav`` in
    ``vocal_imitations/`` with the same rest. The class is the concept's label: the first four
    characters of the rest, which keep ``001A…`` (Vocal Imitation Set) and ``001-…`` (VocalSketch)
    apart. A warning names the files that are in no list.

    Raises `DatasetError` listing all that is wrong: files that are listed but not there,
    imitations of no listed reference, two references with one rest. With ``allow_missing`` the
    imitations of missing references are left out, too, with a warning that names them.
    """
    folder = Path(folder).resolve()
    lists = ("reference_file_names.csv", "vocal_imitation_file_names.csv")
    wanted = [*lists, "references", "vocal_imitations"]
    require(folder, wanted, "the folder Vim_Sketch_Dataset of the archive")
    references, imitations = (AudioFolder(folder / name) for name in wanted[2:])
    problems: list[str] = []
    missing: dict[str, str] = {}
    item_of, names = _references_by_key(read_names(folder / lists[0]), references, problems)
    missing |= {name: f"missing {name}" for name in names if names[name] is None}
    listed, queries = set(), {}
    for name in read_names(folder / lists[1]):
        found = imitations.find(name)
        listed.add(found)
        key = _rest(name)
        if found is None:
            missing[f"vocal_imitations/{name}"] = f"missing vocal_imitations/{name}"
        elif key not in item_of:
            line = f"vocal_imitations/{name} has no reference in {lists[0]}"
            missing[f"vocal_imitations/{name}"] = line
        elif item_of[key] is not None:
            queries[found] = item_of[key]
        elif allow_missing:
            missing[f"vocal_imitations/{name}"] = ""
    unlisted = [f"references/{n}" for n in references.paths if n not in names.values()]
    unlisted += [f"vocal_imitations/{n}" for n in imitations.paths if n not in listed]
    settle(folder, problems, missing, unlisted, allow_missing)
    return _paired(references, imitations, queries, list(filter(None, names.values())))


def _rest(name: str) -> str:
    """What pairs an imitation with its reference: all after the first underscore."""
    return key_of(name).partition("_")[2]


def _references_by_key(
    listed: list[str], references: AudioFolder, problems: list[str]
) -> tuple[dict[str, str | None], dict[str, str | None]]:
    """Two dicts to a reference's name on disk (None if missing): by rest, and by path listed."""
    by_key: dict[str, str | None] = {}
    by_name: dict[str, str | None] = {}
    first: dict[str, str] = {}
    for name in dict.fromkeys(listed):
        key = _rest(name)
        if len(key) < 4:
            problems.append(f"references/{name}: expected a name of the form NNN_<rest>.wav")
        elif key in first:
            problems.append(f"references {first[key]} and {name} differ only in their number")
        first.setdefault(key, name)
        found = references.find(name)
        by_name[f"references/{name}"] = found
        by_key.setdefault(key, found)
    return by_key, by_name


def _paired(
    references: AudioFolder, imitations: AudioFolder, queries: dict[str, str], items: list[str]
) -> RetrievalDataset:
    """VimSketch's tables, of names on disk; queries: imitation → reference."""

    def row(files: AudioFolder, name: str) -> tuple[str, str, str]:
        concept = name.partition("_")[2][:4]
        return f"{concept}/{name}", str(files.paths[name]), concept

    return RetrievalDataset(
        items=pd.DataFrame([row(references, n) for n in sorted(set(items))], columns=ITEM_COLUMNS),
        queries=pd.DataFrame(
            [(*row(imitations, n), row(references, queries[n])[0]) for n in sorted(queries)],
            columns=QUERY_COLUMNS,
        ),
        name="VimSketch",
    )


def read_vocal_imitation_set(
    folder: str | os.PathLike, *, allow_missing: bool = False
) -> RetrievalDataset:
    """Read the Vocal Imitation Set: 302 concepts (Zenodo 1340763).

    Items are the ``reference`` and ``non_reference`` recordings in ``original_recordings/``, told
    apart by the column ``kind``; queries are the imitations in ``vocal_imitations/included/``.
    All imitate the reference of their concept. The class is the concept's number, the first three
    characters of the file name, or of its folder's where recordings lie in one folder a concept.

    Raises `DatasetError` listing imitations whose concept has no reference (left out with a
    warning if ``allow_missing``), concepts with two references, and names without number.
    """
    folder = Path(folder).resolve()
    places = {
        "reference": "original_recordings/reference",
        "non_reference": "original_recordings/non_reference",
        "query": "vocal_imitations/included",
    }
    require(folder, list(places.values()), "the folder that holds original_recordings")
    problems: list[str] = []
    missing: dict[str, str] = {}
    rows: list[tuple[str, str, str, str]] = []  # class, file name, kind, path
    for kind, place in places.items():
        for name, path in AudioFolder(folder / place, "**/*").paths.items():
            if not name[:3].isdecimal():
                problems.append(f"{place}/{name}: expected a name that begins with three digits")
            rows.append((name[:3], path.name, kind, str(path)))
    items = [row for row in rows if row[2] != "query"]
    item_ids = unique_ids([row[:3] for row in items])
    reference: dict[str, str] = {}
    for identifier, (concept, _, kind, _) in zip(item_ids, items, strict=True):
        if kind == "reference" and reference.setdefault(concept, identifier) != identifier:
            both = f"{reference[concept]} and {identifier}"
            problems.append(f"concept {concept} has two references: {both}")
    queries = [row for row in rows if row[2] == "query"]
    for concept, name, _, _ in queries:
        if concept not in reference:
            missing[f"{places['query']}/{name}"] = f"{places['query']}/{name} has no reference"
    settle(folder, problems, missing, (), allow_missing)
    queries = [row for row in queries if row[0] in reference]
    return RetrievalDataset(
        items=pd.DataFrame(
            [(i, row[3], row[0], row[2]) for i, row in zip(item_ids, items, strict=True)],
            columns=[*ITEM_COLUMNS, "kind"],
        ),
        queries=pd.DataFrame(
            [
                (i, row[3], row[0], reference[row[0]])
                for i, row in zip(unique_ids([r[:3] for r in queries]), queries, strict=True)
            ],
            columns=QUERY_COLUMNS,
        ),
        name="Vocal Imitation Set",
    )
