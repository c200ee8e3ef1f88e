"""A query, what was marked for it, and what an index answers.

Notebook: 06_search_by_voice.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from qvim_kit.search import SoundIndex


@dataclass(eq=False)
class Query:
    """What is searched with: a recording, or a sound of the library.

    Attributes:
        name: for people.
        recording: waveform (samples,) and its rate in Hz, or None.
        sound: name of the library's sound, or "".
        take: the recording's take's id, or 0.
        embeddings: system → (dim,), before any mark.
        marks: name of a sound → "right" or "wrong".
    """

    name: str
    recording: tuple[np.ndarray, int] | None = None
    sound: str = ""
    take: int = 0
    embeddings: dict[str, np.ndarray] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Answer:
    """One system's answer.

    Attributes:
        table: as `SoundIndex.search` returns it, with the column seconds.
        allowed: how many sounds the filter left.
        embedding_ms, ranking_ms: how long it took.
    """

    table: pd.DataFrame
    allowed: int
    embedding_ms: float
    ranking_ms: float


def answer(
    index: SoundIndex,
    system: str,
    query: Query,
    k: int,
    contains: str = "",
    classes: Sequence[str] = (),
) -> Answer:
    """The k sounds that answer a query best, among those that the filter leaves.

    Marks of the query move it (`rocchio`), whichever system's list they were made in; what was
    marked wrong comes last of the k.

    Args:
        index: of the library, by the system called ``system``.
        contains: words that have to occur in a sound's name or class.
        classes: of which a sound has to be; all if empty.

    Raises as `SoundIndex.embed_query`, and `ValueError` for a sound that is not there.
    """
    from qvim_kit.search.rocchio import rocchio

    start = time.perf_counter()
    if system not in query.embeddings:
        query.embeddings[system] = _embed(query, index)
    embedded = time.perf_counter()
    embedding = query.embeddings[system]
    if query.marks:
        marks = index.sounds["name"].map(query.marks)
        right, wrong = (index.embeddings[(marks == v).to_numpy()] for v in ("right", "wrong"))
        embedding = rocchio(embedding, right, wrong)
    mask = index.where(contains=contains, classes=list(classes) or None)
    if query.sound:
        mask = mask & (index.sounds["name"] != query.sound).to_numpy()
    table = _wrong_last(index.search(embedding, k, where=mask), query.marks)
    table = table.assign(seconds=index.sounds["seconds"].reindex(table.index))
    done = time.perf_counter()
    return Answer(table, int(mask.sum()), 1e3 * (embedded - start), 1e3 * (done - embedded))


def _embed(query: Query, index: SoundIndex) -> np.ndarray:
    if query.recording is not None:
        return index.embed_query(*query.recording)
    rows = np.flatnonzero(index.sounds["name"] == query.sound)
    if not len(rows):
        raise ValueError(f"{query.sound} is not in the library any more.")
    return index.embeddings[rows[0]]


def _wrong_last(table: pd.DataFrame, marks: dict[str, str]) -> pd.DataFrame:
    wrong = (table["name"].map(marks) == "wrong").to_numpy()
    order = np.argsort(wrong, kind="stable")
    return table.iloc[order].assign(rank=table["rank"].to_numpy())
