"""The first sound that each system finds for each query; for the listening test.

Notebook: 06_search_by_voice.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from qvim_kit.datasets.tables import RetrievalDataset


def named_systems(systems: Sequence[Any] | Mapping[str, Any]) -> dict[str, Any]:
    """Name → index, system or table. Raises `ValueError` unless there are two or more names."""
    if not isinstance(systems, Mapping):
        names = [getattr(one, "system_name", getattr(one, "name", None)) for one in systems]
        if None in names or len(set(names)) < len(names):
            raise ValueError(
                f"systems: found the names {names}, expected different ones; pass a dict name → "
                "system"
            )
        systems = dict(zip(names, systems, strict=True))
    if len(systems) < 2 or not all(isinstance(name, str) for name in systems):
        raise ValueError(f"systems: found {list(systems)}, expected two names or more to compare")
    return dict(systems)


def named_queries(
    queries: RetrievalDataset | Mapping[str, str | os.PathLike] | Iterable[str | os.PathLike],
) -> dict[str, str]:
    """Query id → path. Raises `ValueError` where there is none."""
    if isinstance(queries, RetrievalDataset):
        return queries.query_paths
    if isinstance(queries, (str, os.PathLike)):
        raise ValueError(f"queries: found one path, expected a list, such as [{queries!r}]")
    if not isinstance(queries, Mapping):
        queries = {os.fspath(path): path for path in queries}
    if not queries:
        raise ValueError("queries: found none, expected at least one")
    return {str(name): os.fspath(path) for name, path in queries.items()}


def first_results(
    name: str,
    system: Any,
    queries: Mapping[str, str],
    items: Mapping[str, str | os.PathLike] | None = None,
) -> dict[str, tuple[str, str]]:
    """Query id → (name, path) of the sound that ranks first.

    Args:
        name: of the system, for messages.
        system: a `SoundIndex`, a `QVIMModel`, or a table of similarities query_id × item_id.
        queries: query id → path.
        items: item id → path, of what is ranked; an index brings its own.

    Raises `ValueError` for a system that finds nothing, or without items, or with scores that
    are missing or NaN.
    """
    if hasattr(system, "search"):
        paths = list(queries.values())
        embed = getattr(getattr(system, "system", None), "embed_queries", None)
        # Embedded in batches and cached, where that can be: a test that goes on asks the same.
        asked = paths if embed is None else embed(paths)
        return {
            query: _first_of_search(name, system, one, path)
            for (query, path), one in zip(queries.items(), asked, strict=True)
        }
    if not items:
        raise ValueError(f"items: found none, expected item id → path for {name}")
    paths = {item: os.fspath(path) for item, path in items.items()}
    if isinstance(system, pd.DataFrame):
        table = system
    elif hasattr(system, "compute_similarities"):
        similarities = system.compute_similarities(paths, dict(queries))
        table = pd.DataFrame.from_dict(similarities, orient="index")
    else:
        found = type(system).__name__
        raise ValueError(f"{name}: found {found}, expected an index, a system or a table")
    table = table.reindex(index=list(queries), columns=list(paths))
    scores = table.to_numpy(dtype=float)
    if not np.isfinite(scores).all():
        row, column = np.argwhere(~np.isfinite(scores))[0]
        where = f"query {table.index[row]} and item {table.columns[column]}"
        raise ValueError(f"{name}: found no finite score for {where}; every pair needs one")
    best = [table.columns[place] for place in scores.argmax(axis=1)]
    return {query: (item, paths[item]) for query, item in zip(queries, best, strict=True)}


def _first_of_search(name: str, index: Any, query: str | np.ndarray, path: str) -> tuple[str, str]:
    results = index.search(query, k=1)
    if not len(results):
        raise ValueError(f"{name}: found nothing for {path}; is the index empty?")
    first = results.iloc[0]
    return str(first["name"]), os.fspath(first["path"])
