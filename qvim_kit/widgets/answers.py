"""A query, what was marked for it, and what an index answers.

Notebook: 06_search_by_voice.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from qvim_kit.widgets.words import Roles, together

if TYPE_CHECKING:
    import pandas as pd

    from qvim_kit.search import SoundIndex


@dataclass(eq=False)
class Query:
    """What is searched with: a recording or a sound of the library, or words, or both.

    Attributes:
        name: of the recording or sound, for people; "" for words alone.
        recording: waveform (samples,) and its rate in Hz, or None.
        sound: name of the library's sound, or "".
        take: the recording's take's id, or 0.
        words: what was typed, or "".
        embeddings: (system, words or "" for the voice) → (dim,), before any mark.
        marks: name of a sound → "right" or "wrong".
        none: whether it was said that none of the results is right.
    """

    name: str = ""
    recording: tuple[np.ndarray, int] | None = None
    sound: str = ""
    take: int = 0
    words: str = ""
    embeddings: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)
    none: bool = False

    @property
    def kind(self) -> str:
        """What it is in the first place: "take", "sound" or "words"."""
        return "take" if self.take else "sound" if self.sound else "words"

    @property
    def kinds(self) -> list[str]:
        """What it consists of: "voice", "words" or both."""
        heard = self.recording is not None or bool(self.sound)
        return ["voice"] * heard + ["words"] * bool(self.words)


@dataclass(frozen=True, eq=False)
class Answer:
    """One list of answers.

    Attributes:
        table: as `SoundIndex.search` returns it, with the column seconds.
        allowed: how many sounds the filter left.
        embedding_ms, ranking_ms: how long it took.
        kinds: what of the query was used: "voice", "words" or both. Of both, the scores are the
            mean of two scores in standard deviations; else they are cosines.
    """

    table: pd.DataFrame
    allowed: int
    embedding_ms: float
    ranking_ms: float
    kinds: tuple[str, ...] = ("voice",)


def answer(
    indexes: Mapping[str, SoundIndex],
    roles: Roles,
    query: Query,
    k: int,
    contains: str = "",
    classes: Sequence[str] = (),
) -> Answer:
    """The k sounds that answer a query best, among those that the filter leaves.

    Marks of the query move it (`rocchio`), whichever list they were made in. What was marked
    wrong comes after the k, so that the mark can be taken back.

    Args:
        indexes: system → the library, indexed by it.
        roles: "voice" and "words" → the system that is asked it; one of them or both.
        contains: words that have to occur in a sound's name or class.
        classes: of which a sound has to be; all if empty.

    Raises as `SoundIndex.embed_query`, and `ValueError` for a sound that is not there.
    """
    import pandas as pd

    start = time.perf_counter()
    embeddings = [_embedded(query, kind, system, indexes) for kind, system in roles.items()]
    embedded = time.perf_counter()
    parts = [
        (indexes[system], _moved(embedding, query, indexes[system]))
        for system, embedding in zip(roles.values(), embeddings, strict=True)
    ]
    index, embedding = parts[0]
    mask = index.where(contains=contains, classes=list(classes) or None)
    if query.sound:
        mask = mask & (index.sounds["name"] != query.sound).to_numpy()

    def best(k: int, mask: np.ndarray) -> pd.DataFrame:
        alone = len(parts) == 1
        return index.search(embedding, k, where=mask) if alone else together(parts, k, mask)

    wrong = mask & (index.sounds["name"].map(query.marks) == "wrong").to_numpy()
    table = best(k, mask & ~wrong)
    if wrong.any():
        table = pd.concat([table, best(int(wrong.sum()), wrong)])
        table["rank"] = np.arange(1, len(table) + 1)
    table = table.assign(seconds=index.sounds["seconds"].reindex(table.index))
    done = time.perf_counter()
    times = 1e3 * (embedded - start), 1e3 * (done - embedded)
    return Answer(table, int(mask.sum()), *times, tuple(roles))


def _embedded(
    query: Query, kind: str, system: str, indexes: Mapping[str, SoundIndex]
) -> np.ndarray:
    key = system, query.words if kind == "words" else ""
    if key not in query.embeddings:
        query.embeddings[key] = _embed(query, kind, indexes[system])
    return query.embeddings[key]


def _embed(query: Query, kind: str, index: SoundIndex) -> np.ndarray:
    if kind == "words":
        return np.asarray(index.system.embed_text([query.words]))[0]
    if query.recording is not None:
        return index.embed_query(*query.recording)
    rows = np.flatnonzero(index.sounds["name"] == query.sound)
    if not len(rows):
        raise ValueError(f"{query.sound} is not in the library any more.")
    return index.embeddings[rows[0]]


def _moved(embedding: np.ndarray, query: Query, index: SoundIndex) -> np.ndarray:
    """The embedding after the query's marks."""
    from qvim_kit.search.rocchio import rocchio

    if not query.marks:
        return embedding
    marks = index.sounds["name"].map(query.marks)
    right, wrong = (index.embeddings[(marks == v).to_numpy()] for v in ("right", "wrong"))
    return rocchio(embedding, right, wrong)
