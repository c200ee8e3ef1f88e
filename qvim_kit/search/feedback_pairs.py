"""Stored feedback → training pairs: kept recordings and the sounds that were right for them.

Notebook: 06_search_by_voice.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from qvim_kit.datasets.listings import AudioFolder, DatasetWarning
from qvim_kit.datasets.tables import ITEM_COLUMNS, QUERY_COLUMNS, DatasetError, RetrievalDataset

REMEDY = "Record with keep_audio=True (the box in the widget) and mark a sound as right."


def training_pairs(
    events: Iterable[dict[str, Any]],
    audio_of: Callable[[str], Path | None],
    library_root: str | os.PathLike | pd.DataFrame,
    *,
    allow_missing: bool = False,
) -> RetrievalDataset:
    """A data set whose queries are kept recordings and whose items the sounds marked right.

    The last verdict on a sound counts. What was marked in another library is left out, with a
    warning: in a folder that is still there and holds nothing of this library. Where that folder
    is gone, or the library was a data set, sounds are looked for by their names.

    A recording with several right sounds makes several pairs; if a batch may hold two of them,
    train with ``labels="class"``, where both sounds are of one class, or each is the other's wrong
    answer. Nothing keeps voices apart: split by speaker yourself where you know who spoke.

    Args:
        events: of kind "feedback"; others are passed over.
        audio_of: the kept recording of a query, or None. Queries without are left out.
        library_root: the folder below which the chosen names lie, directly (``Class/file.wav``)
            or as the only file that ends so; or a table with columns name, path and class, such
            as ``index.sounds``. In a folder, a sound's class is the name of the folder it
            lies in; none, "", for one directly in the root.
        allow_missing: leave out sounds that are not in the library, with a warning.

    Raises `DatasetError` listing every sound that is not found or fits several files, or where
    no pair is left.
    """
    is_table = isinstance(library_root, pd.DataFrame)
    where = "library" if is_table else os.fspath(library_root)
    right = _right(events, audio_of)
    others = _others({library for library, _ in right}, library_root)
    if elsewhere := [f"{library}: {pair[1]}" for library, pair in right if library in others]:
        what = "left out {} marked in another library"
        warnings.warn(DatasetWarning(where, what, elsewhere, "sound"), stacklevel=3)
    # Once each: a library may be known by several names.
    pairs = list(dict.fromkeys(pair for library, pair in right if library not in others))
    find = _in_table if is_table else _in_folder
    found, problems = find(library_root, sorted({sound for _, sound, _ in pairs}))
    if problems and not allow_missing:
        raise DatasetError(where, list(problems.values()), "Name the library that was searched.")
    if problems:
        warning = DatasetWarning(where, "left out {}, not found", list(problems), "sound")
        warnings.warn(warning, stacklevel=3)
    pairs = [pair for pair in pairs if pair[1] in found]
    if not pairs:
        problem = "no kept recording has a right sound in this library"
        raise DatasetError("feedback", [problem], REMEDY)
    return _dataset(pairs, found)


def _right(
    events: Iterable[dict[str, Any]], audio_of: Callable[[str], Path | None]
) -> list[tuple[str, tuple[str, str, Path]]]:
    """Library ("" if unknown) and (query, sound, recording) of each sound that is right."""
    verdicts: dict[tuple[str, str, str], str] = {}
    for event in events:
        if event["kind"] == "feedback" and event.get("query") and event.get("chosen") is not None:
            library = str(event.get("library") or "")
            verdicts[library, event["query"], event["chosen"]] = event["verdict"]
    return [
        (library, (query, sound, audio))
        for (library, query, sound), verdict in verdicts.items()
        if verdict == "right" and (audio := audio_of(query)) is not None
    ]


def _others(libraries: Iterable[str], root: str | os.PathLike | pd.DataFrame) -> set[str]:
    """Those libraries that are folders, and have no part in ``root``."""
    if isinstance(root, pd.DataFrame):
        folders = {os.path.dirname(path) for path in root.get("path", ())}
    else:
        folders = {os.path.expanduser(root)}
    held = [Path(folder).resolve() for folder in folders]
    places = {library: Path(library).expanduser() for library in libraries}
    return {
        library
        for library, place in places.items()
        # One that is not absolute may be relative to any folder, or a data set's name.
        if place.is_absolute()
        and place.is_dir()
        and not any(_overlap(place.resolve(), folder) for folder in held)
    }


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def _dataset(
    pairs: list[tuple[str, str, Path]], found: dict[str, tuple[str, str]]
) -> RetrievalDataset:
    """(query, sound, recording) and sound → (path, class) → the tables."""
    items, queries, used = {}, [], {}
    for query, sound, audio in pairs:
        path, sound_class = found[sound]
        item = (
            sound if not sound_class else f"{sound_class}/{sound.removeprefix(sound_class + '/')}"
        )
        items[item] = (item, path, sound_class)
        used[query] = used.get(query, 0) + 1
        suffix = f" {used[query]}" if used[query] > 1 else ""
        name = f"{sound_class}/{query}{suffix}{audio.suffix}".removeprefix("/")
        queries.append((name, str(audio), sound_class, item))
    return RetrievalDataset(
        items=pd.DataFrame(sorted(items.values()), columns=ITEM_COLUMNS),
        queries=pd.DataFrame(queries, columns=QUERY_COLUMNS),
        name="feedback",
    )


def _in_table(
    table: pd.DataFrame, sounds: list[str]
) -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    """Sound → (path, class), and sound → what is wrong, by the names of a table."""
    if absent := [c for c in ("name", "path", "class") if c not in table]:
        raise DatasetError("library", [f"there is no column {column!r}" for column in absent])
    found, problems = {}, {}
    rows = table[table["name"].isin(sounds)].groupby("name")
    for sound in sounds:
        fits = rows.get_group(sound) if sound in rows.groups else table[:0]
        if len(fits) == 1 and Path(fits["path"].iloc[0]).is_file():
            found[sound] = (str(fits["path"].iloc[0]), str(fits["class"].iloc[0]))
        else:
            problems[sound] = f"{sound}: {_how_many(len(fits))}"
    return found, problems


def _in_folder(
    root: str | os.PathLike, sounds: list[str]
) -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    """As `_in_table`, by the files below a folder."""
    root = Path(root).expanduser().absolute()
    if not root.is_dir():
        raise DatasetError(root, [f"no such folder (now in {Path.cwd()})"])
    paths = AudioFolder(root, "**/*").paths
    found, problems = {}, {}
    for sound in sounds:
        fits = [sound] if sound in paths else [n for n in paths if n.endswith(f"/{sound}")]
        if len(fits) == 1:
            found[sound] = (str(paths[fits[0]]), PurePosixPath(fits[0]).parent.name)
        else:
            problems[sound] = f"{sound}: {_how_many(len(fits))}"
    return found, problems


def _how_many(fits: int) -> str:
    return f"fits {fits} sounds, expected one" if fits > 1 else "there is no such file"
