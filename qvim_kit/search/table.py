"""Embedded sounds and what they can be asked: which are closest, which have a word in the name.

Notebook: 06_search_by_voice.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from qvim_kit.search.building import Row
from qvim_kit.search.queries import class_set, embed_query, searched_text, unit, words_of
from qvim_kit.search.ranking import nearest

if TYPE_CHECKING:
    import pandas as pd

    from qvim_kit.systems import EmbeddingSystem

    Query = str | os.PathLike | np.ndarray
    Where = str | np.ndarray | Callable[[pd.DataFrame], np.ndarray] | None


COLUMNS = ("rank", "name", "class", "score", "path")  # of what a search finds


class SoundTable:
    """What `index.SoundIndex` can be asked.

    Attributes: sounds, embeddings, system and system_name, as `SoundIndex` describes them, and
    rows, the sounds as they are stored.
    """

    system: EmbeddingSystem | None
    system_name: str

    def _show(self, rows: list[Row], embeddings: np.ndarray) -> None:
        """Show these sounds from now on."""
        import pandas as pd

        name, path, class_name, seconds = list(zip(*(r[:4] for r in rows), strict=True)) or [()] * 4
        # Beside the table, as a result is cut from one array in a microsecond.
        self._texts = np.empty((3, len(rows)), dtype=object)
        self._texts[:] = name, class_name, path
        texts = {"name": name, "path": path, "class": class_name}
        self.sounds = pd.DataFrame({key: pd.Series(texts[key], dtype=object) for key in texts})
        self._index = pd.Index(np.arange(len(rows)))
        self.sounds["seconds"] = np.array(seconds, dtype=np.float64)
        self.rows, self.embeddings = rows, embeddings
        self._searched: list[str] | None = None  # the text of each sound, when first asked for

    def __len__(self) -> int:
        return len(self.embeddings)

    @property
    def classes(self) -> list[str]:
        """The names of all classes, sorted."""
        return sorted(set(self._texts[1]))

    def where(self, contains: str = "", classes: str | Iterable[str] | None = None) -> np.ndarray:
        """Which sounds may be found: a mask (sounds,) to give to `search`.

        Args:
            contains: words that all have to occur in a sound's name or class, as parts of words,
                too; capitals do not matter.
            classes: only sounds of these; all if left out, none for an empty list.
        """
        if self._searched is None:
            self._searched = [searched_text(*both) for both in self._texts[:2].T]
        mask = np.ones(len(self), dtype=bool)
        for word in words_of(contains):
            mask &= np.fromiter((word in text for text in self._searched), bool, len(self))
        if classes is not None:
            chosen = class_set(classes)
            mask &= np.fromiter((kind in chosen for kind in self._texts[1]), bool, len(self))
        return mask

    def embed_query(
        self, query: str | os.PathLike | np.ndarray, sample_rate: float | None = None
    ) -> np.ndarray:
        """Embed a recording, a path or a waveform at ``sample_rate`` → (dim,), length 1.

        Raises as `queries.embed_query`.
        """
        return embed_query(self._need_system("embed_query"), query, sample_rate)

    def search(
        self,
        query: Query,
        k: int = 10,
        where: Where = None,
        *,
        sample_rate: float | None = None,
    ) -> pd.DataFrame | list[pd.DataFrame]:
        """The k sounds closest to a query, best first; equally close ones in the index's order.

        Args:
            query: a path; a waveform with its ``sample_rate`` in Hz; or an embedding (dim,), such
                as a row of `embeddings`. For embeddings (queries, dim), a list of tables.
            k: how many at most.
            where: which sounds are ranked at all: words that have to occur in name or class, a
                mask (sounds,) such as `where` makes, or a function from `sounds` to a mask.

        Returns a table with columns rank (from 1), name, class, score (cosine) and path; its
        index is the sound's row number.

        Raises `ValueError` for a query, k or mask that does not fit, and as `embed_query`.
        """
        embeddings = self._query_rows(query, sample_rate)
        rows, scores = self.nearest(np.atleast_2d(embeddings), k, where)
        tables = [
            results(self._texts[:, row], score, self._index[row])
            for row, score in zip(rows, scores, strict=True)
        ]
        return tables[0] if embeddings.ndim == 1 else tables

    def nearest(
        self, embeddings: np.ndarray, k: int = 10, where: Where = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """`search` for many: unit rows (queries, dim) → row numbers and scores, (queries, found).

        Exact: one matrix product; no full sort.
        """
        check_k(k)
        mask = None if where is None else self._mask(where)
        if not len(self):
            return np.empty((len(embeddings), 0), np.intp), np.empty((len(embeddings), 0))
        return nearest(self.embeddings, embeddings, int(k), mask)

    def _mask(self, where: Where) -> np.ndarray:
        if isinstance(where, str):
            return self.where(where)
        mask = np.asarray(where(self.sounds) if callable(where) else where)
        if mask.shape != (len(self),) or mask.dtype != bool:
            raise ValueError(
                f"where: found {mask.dtype} of shape {mask.shape}, expected words, or a mask of "
                f"{len(self)} true or false"
            )
        return mask

    def _query_rows(self, query: Query, sample_rate: float | None) -> np.ndarray:
        """The query's embedding (dim,), or several (queries, dim), as unit rows."""
        if sample_rate is not None or isinstance(query, (str, os.PathLike)):
            return self.embed_query(query, sample_rate)
        rows = np.asarray(query)
        dim = self.embeddings.shape[1]
        if rows.ndim not in (1, 2) or (len(self) and rows.shape[-1] != dim):
            raise ValueError(
                f"query: found an array of shape {rows.shape}, expected an embedding ({dim},) or "
                f"(queries, {dim}); a waveform needs its sample_rate="
            )
        if rows.ndim == 1:
            return unit(rows, "query")
        found = [unit(row, f"query {number}") for number, row in enumerate(rows)]
        return np.stack(found) if found else np.empty((0, dim), np.float32)

    def _need_system(self, what: str) -> EmbeddingSystem:
        if self.system is None:
            raise ValueError(
                f"{what}: the index was loaded without its system, {self.system_name}; use "
                "SoundIndex.load(folder, system)"
            )
        return self.system


def results(texts: np.ndarray, scores: np.ndarray, index: pd.Index | None = None) -> pd.DataFrame:
    """The table of a search: texts (3, k), which are name, class and path, and scores (k,)."""
    import pandas as pd

    index = pd.RangeIndex(len(scores)) if index is None else index
    return _framer()(np.arange(1, len(scores) + 1), texts, scores, index)


@cache
def _framer() -> Callable[..., pd.DataFrame]:
    """What makes that table: a function of ranks, texts, scores and index.

    pandas' constructor looks into each column, which takes longer than to search 10 000 sounds;
    what pandas 3 offers to other libraries takes blocks of columns as they are.
    """
    import pandas as pd

    try:
        from pandas.api.internals import create_dataframe_from_blocks as from_blocks
    except ImportError:

        def framed(ranks, texts, scores, index):
            columns = (ranks, *texts[:2], scores, texts[2])
            return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)), index=index)

        return framed
    columns = pd.Index(COLUMNS)
    first, middle, fourth = np.array([0]), np.array([1, 2, 4]), np.array([3])

    def framed(ranks, texts, scores, index):  # type: ignore[no-redef]
        blocks = [(ranks[None], first), (texts, middle), (scores[None], fourth)]
        return from_blocks(blocks, index=index, columns=columns)

    return framed


def check_k(k: int) -> None:
    """Raises `ValueError` unless k is a whole number, 0 or more."""
    if not isinstance(k, (int, np.integer)) or isinstance(k, bool) or k < 0:
        raise ValueError(f"k: found {k!r}, expected a whole number, 0 or more")
