"""The trials of a listening test: what is shown, and what is hidden behind it.

Notebook: 06_search_by_voice.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, NamedTuple

import numpy as np

from qvim_kit.datasets.tables import DatasetError, hash_file


class TrialSound(NamedTuple):
    """A sound to rate; ``label`` ("A", "B", …) is all that a listener should see of it."""

    label: str
    name: str
    path: str


class Trial(NamedTuple):
    """One query and the sounds found for it, in a hidden order: nothing here says whose they are.

    Attributes:
        id: 16 hexadecimal digits of what is judged: query, systems and sounds, by content.
        query_id, query_path: the imitation, to be played first.
        sounds: one for each *different* first result; systems that agree share one.
    """

    id: str
    query_id: str
    query_path: str
    sounds: tuple[TrialSound, ...]


class HiddenTrial(NamedTuple):
    """A trial and what its listener must not know yet.

    Attributes:
        trial: what is shown.
        query: 16 digits of the query file's hash.
        systems: behind each sound of the trial.
        names: system → its first result.
    """

    trial: Trial
    query: str
    systems: list[list[str]]
    names: dict[str, str]


def make_trials(
    test: str,
    queries: dict[str, str],
    found: dict[str, dict[str, tuple[str, str]]],
    seed: int,
    listener: str,
) -> dict[str, HiddenTrial]:
    """Trial id → trial, one for each query, in the listener's order.

    Args:
        test: name of the test.
        queries: query id → path.
        found: system → query id → (name, path) of its first result.
        seed, listener: orders depend on these; that within a trial not on the other trials.

    Raises `DatasetError` listing every file that is missing.
    """
    paths = {path for results in found.values() for _, path in results.values()}
    content = {path: hash_file(path) for path in sorted(paths | set(queries.values()))}
    missing = [f"missing {path}" for path, digest in content.items() if digest == "missing"]
    if missing:
        raise DatasetError(test, missing)
    trials: dict[str, HiddenTrial] = {}
    for query_id, query_path in queries.items():
        results = {system: of_query[query_id] for system, of_query in found.items()}
        digests = {system: content[path] for system, (_, path) in results.items()}
        identifier = _digest([test, content[query_path], sorted(digests.items())])[:16]
        behind: dict[str, list[str]] = {}
        for system in sorted(digests):
            behind.setdefault(digests[system], []).append(system)
        groups = sorted(behind.values())
        hidden = [groups[n] for n in _shuffled(len(groups), seed, listener, identifier)]
        sounds = (TrialSound(label_of(n), *results[one[0]]) for n, one in enumerate(hidden))
        trial = Trial(identifier, query_id, query_path, tuple(sounds))
        names = {system: name for system, (name, _) in results.items()}
        # The same recording under two names is one trial: the first.
        if identifier not in trials:
            trials[identifier] = HiddenTrial(trial, content[query_path][:16], hidden, names)
    ids = sorted(trials)
    return {ids[n]: trials[ids[n]] for n in _shuffled(len(ids), seed, listener, "order")}


def label_of(number: int) -> str:
    """What a listener sees instead of a system's name: A, B, … Z, then 27, 28, …"""
    return chr(ord("A") + number) if number < 26 else str(number + 1)


def draw(queries: dict[str, str], count: int | None, seed: int) -> dict[str, str]:
    """``count`` random queries, the same for every listener; all if None.

    Raises `ValueError` for a count or seed that does not fit.
    """
    if not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed: found {seed!r}, expected a whole number of 0 or more")
    if count is None:
        return queries
    if not isinstance(count, int) or not 1 <= count <= len(queries):
        raise ValueError(f"count: found {count!r}, expected 1 to {len(queries)}, the queries")
    names = sorted(queries)  # so that their order in the data set is worth nothing
    drawn = np.random.default_rng(seed).choice(len(names), count, replace=False)
    return {names[place]: queries[names[place]] for place in drawn}


def _shuffled(count: int, seed: int, *purpose: str) -> np.ndarray:
    rng = np.random.default_rng([seed, int(_digest(purpose), 16)])
    return rng.permutation(count)


def _digest(of: Any) -> str:
    return hashlib.sha256(json.dumps(of).encode()).hexdigest()
