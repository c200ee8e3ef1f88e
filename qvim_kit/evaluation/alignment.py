"""Similarities as people hand them in → a checked matrix in the data set's order."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from qvim_kit.datasets import DatasetError

if TYPE_CHECKING:
    from qvim_kit.datasets import RetrievalDataset

FINE, MISSING, NAN, INFINITE, NO_NUMBER = range(5)
WORDS = {
    MISSING: "missing",
    NAN: "NaN",
    INFINITE: "infinite",
    NO_NUMBER: "not a plain number; use float(score)",
}
MOST_NAMED = 20
# Other files that are taken for similarities.json, by what only they hold.
OTHER_FILES = {
    "nbformat": "is a notebook; run it (qvim submission run) and give the similarities.json that "
    "it writes",
    "exit_code": "is the report of a run; give the similarities.json beside it",
}
REMEDY = "Every query of the data set needs one finite score for every item."


class SimilarityError(DatasetError):
    """Similarities cannot be scored; the message lists every problem by name."""


class Aligned(NamedTuple):
    """Scores (queries, items) in the data set's order, and what was wrong but harmless."""

    scores: np.ndarray
    missing: int  # scores that were not given, here -inf
    ignored: int  # names of queries and items that the data set does not know


class _Grid(NamedTuple):
    """A table as it was given: names of its rows and columns, values, and what each value is."""

    queries: list[str]
    items: list[str]
    values: np.ndarray  # (queries, items) float64
    kinds: np.ndarray  # (queries, items), FINE or what is wrong


def align(
    similarities: Mapping | pd.DataFrame | str | os.PathLike,
    dataset: RetrievalDataset,
    missing: str = "error",
) -> Aligned:
    """Bring similarities into the data set's order.

    Args:
        similarities: query id → item id → score, as nested dict, as table query_id × item_id, or
            as the path of a JSON file. Ids are the data set's (``Class/file.wav``), or base names
            that no two files share; a name that is itself an id is that id.
        missing: "error", or "worst" to let a score that is not given rank below all others.

    Raises `SimilarityError` saying how many queries and items are missing, and listing every score
    that is NaN, infinite or not a number, and every name that fits two files.
    """
    if missing not in ("error", "worst"):
        raise ValueError(f"missing: found {missing!r}, expected 'error' or 'worst'")
    where = "similarities"
    if isinstance(similarities, (str, os.PathLike)):
        where, similarities = os.fspath(similarities), read_similarities(similarities)
    query_ids, item_ids = list(dataset.queries["query_id"]), list(dataset.items["item_id"])
    grid = _grid(similarities, where)
    problems: list[str] = []
    row = _places(grid.queries, query_ids, "query", problems)
    column = _places(grid.items, item_ids, "item", problems)
    _check_names(where, grid, row, column, query_ids, item_ids)
    scores, kinds = _rearranged(grid, row, column)
    absent = kinds == MISSING
    if missing == "worst":
        scores[absent], kinds[absent] = -np.inf, FINE
    else:
        problems += _missing("queries", query_ids, row) + _missing("items", item_ids, column)
        kinds[row < 0], kinds[:, column < 0] = FINE, FINE  # said already
    problems += _describe(kinds, query_ids, item_ids)
    if problems:
        raise SimilarityError(where, problems, REMEDY)
    known = int(np.count_nonzero(row >= 0) + np.count_nonzero(column >= 0))
    ignored = len(grid.queries) + len(grid.items) - known
    return Aligned(scores, int(absent.sum()), ignored)


def read_similarities(path: str | os.PathLike) -> dict[str, dict[str, float]]:
    """Read similarities.json: query id → item id → score.

    Raises `SimilarityError` for a missing file, broken JSON, or a name that stands twice in one
    table (of which json would silently keep the last).
    """
    repeated: list[str] = []

    def table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = pd.Series([name for name, _ in pairs], dtype=object)
        repeated.extend(names[names.duplicated()])
        return dict(pairs)

    try:
        similarities = json.loads(Path(path).read_text("utf-8"), object_pairs_hook=table)
    except FileNotFoundError:
        raise SimilarityError(path, ["no such file"]) from None
    except (ValueError, OSError, RecursionError) as error:
        raise SimilarityError(path, [f"cannot be read as JSON ({error})"]) from None
    if repeated:
        raise SimilarityError(path, [f"{name} stands twice in one table" for name in repeated])
    return similarities


def _grid(similarities: Mapping | pd.DataFrame, where: str) -> _Grid:
    if isinstance(similarities, pd.DataFrame):
        queries, items = map(str, similarities.index), map(str, similarities.columns)
        return _Grid(list(queries), list(items), *_as_numbers(similarities.to_numpy()))
    expected = "expected a nested dict query id → item id → score"
    if not isinstance(similarities, Mapping):
        raise SimilarityError(where, [f"found {type(similarities).__name__}, {expected}"])
    wrong = [query for query, row in similarities.items() if not isinstance(row, Mapping)]
    if wrong:
        if other := next((OTHER_FILES[key] for key in OTHER_FILES if key in wrong), ""):
            raise SimilarityError(where, [other])
        found = type(similarities[wrong[0]]).__name__
        problem = f"{len(wrong)} queries hold no dict; query {wrong[0]} holds {found}"
        raise SimilarityError(where, [f"{problem}, {expected}"])
    items = list(dict.fromkeys(item for row in similarities.values() for item in row))
    shape = (len(similarities), len(items))
    values, kinds = np.full(shape, np.nan), np.zeros(shape, dtype=np.int8)
    for place, row in enumerate(similarities.values()):
        values[place], kinds[place] = _as_numbers([row.get(item, _ABSENT) for item in items])
    return _Grid(list(map(str, similarities)), list(map(str, items)), values, kinds)


def _rearranged(grid: _Grid, row: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and kinds at these places, NaN and MISSING for place -1; one copy, row by row."""
    scores = np.full((len(row), len(column)), np.nan)
    kinds = np.full(scores.shape, MISSING, dtype=np.int8)
    given = np.flatnonzero(column >= 0)
    for query in np.flatnonzero(row >= 0):
        scores[query, given] = grid.values[row[query]][column[given]]
        kinds[query, given] = grid.kinds[row[query]][column[given]]
    return scores, kinds


def _check_names(
    where: str,
    grid: _Grid,
    row: np.ndarray,
    column: np.ndarray,
    query_ids: list[str],
    item_ids: list[str],
) -> None:
    """Names of which none is known are one mistake, not one for each file."""
    problems = [
        f"none of the {len(names)} {what} is known, such as {names[0]!r}; "
        f"expected names such as {ids[0]!r} or {ids[0].rsplit('/', 1)[-1]!r}"
        for what, names, places, ids in (
            ("query names", grid.queries, row, query_ids),
            ("item names", grid.items, column, item_ids),
        )
        if names and (places < 0).all()
    ]
    if problems and (_places(grid.queries, item_ids, "item", []) >= 0).any():
        problems.insert(0, "the table looks transposed: its outer ids are items, expected queries")
    if problems:
        raise SimilarityError(where, problems)


_ABSENT = object()


def _as_numbers(given: np.ndarray | list) -> tuple[np.ndarray, np.ndarray]:
    """Values as float64, NaN where there is no number, and what each is; shapes as given."""
    if isinstance(given, list):
        plain = set(map(type, given)) <= {float}
        given = np.fromiter(given, dtype=float if plain else object, count=len(given))
    if given.dtype.kind in "fiu":
        values, kinds = np.asarray(given, dtype=float), np.full(given.shape, FINE, dtype=np.int8)
        kinds[np.isnan(values)], kinds[np.isinf(values)] = NAN, INFINITE
        return values, kinds
    values, kinds = np.full(given.shape, np.nan), np.full(given.shape, NO_NUMBER, dtype=np.int8)
    for place, value in np.ndenumerate(given):
        if value is _ABSENT:
            kinds[place] = MISSING
        elif isinstance(value, Real) and not isinstance(value, (bool, np.bool_)):
            try:
                values[place] = value
            except OverflowError:  # a whole number beyond float64
                values[place] = np.inf
            isnan, isinf = np.isnan(values[place]), np.isinf(values[place])
            kinds[place] = NAN if isnan else INFINITE if isinf else FINE
    return values, kinds


def _places(names: list[str], ids: list[str], what: str, problems: list[str]) -> np.ndarray:
    """For each id of the data set the place of its name among those given, or -1; (ids,)."""
    by_name = defaultdict(list)
    for number, identifier in enumerate(ids):
        by_name[identifier.rsplit("/", 1)[-1]].append(number)
    by_name.update({identifier: [number] for number, identifier in enumerate(ids)})
    places = np.full(len(ids), -1)
    for place, name in enumerate(names):
        fits = by_name.get(name, [])
        if len(fits) > 1:
            files = " and ".join(ids[number] for number in fits)
            problems.append(f"{what} {name} fits {files}; use ids of the form Class/file.wav")
        elif fits and places[fits[0]] >= 0:
            problems.append(f"{what} {ids[fits[0]]} is given twice, also as {name}")
        elif fits:
            places[fits[0]] = place
    return places


def _missing(what: str, ids: list[str], places: np.ndarray) -> list[str]:
    """One problem for all ids without a place: how many, of how many, and the first of them."""
    absent = [ids[number] for number in np.flatnonzero(places < 0)]
    named = ", ".join(absent[:MOST_NAMED]) + (", …" if absent[MOST_NAMED:] else "")
    return [f"{len(absent)} of {len(ids)} {what} missing: {named}"] if absent else []


def _describe(kinds: np.ndarray, query_ids: list[str], item_ids: list[str]) -> list[str]:
    """Every query with scores that are wrong, in words: how many, what, and of which items."""
    problems = []
    for number in np.flatnonzero(kinds.any(axis=1)):
        for kind, word in WORDS.items():
            items = [item_ids[n] for n in np.flatnonzero(kinds[number] == kind)]
            if items:
                named = ", ".join(items[:3]) + (", …" if len(items) > 3 else "")
                are = "score is" if len(items) == 1 else "scores are"
                problems.append(f"query {query_ids[number]}: {len(items)} {are} {word} ({named})")
    return problems
