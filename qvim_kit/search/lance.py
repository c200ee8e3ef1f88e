"""A library larger than memory, on disk or in object storage, by the optional package LanceDB.

Notebook: 06_search_by_voice.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from qvim_kit.audio import AudioError
from qvim_kit.search.building import Changes, Progress, fingerprint_of
from qvim_kit.search.lance_store import Store, is_one_of, quoted, update
from qvim_kit.search.library import Library
from qvim_kit.search.queries import class_set, embed_query, unit, words_of
from qvim_kit.search.storage import SavedIndexError
from qvim_kit.search.table import check_k, results

if TYPE_CHECKING:
    import pandas as pd

    from qvim_kit.search.index import SoundIndex, Source
    from qvim_kit.systems import EmbeddingSystem

COPIED_AT_ONCE = 65_536


class Condition(str):
    """A filter in SQL that `LanceIndex.where` made; any other text is words to look for."""


class LanceIndex:
    """As `index.SoundIndex`, but names and embeddings stay on disk or in object storage.

    A search reads all embeddings that the filter lets through; after `create_index` it may be
    content with the closest part of them. Needs LanceDB: ``pip install 'qvim-kit[lance]'``.

    Attributes:
        uri: a folder, or an address such as "s3://bucket/index".
        system: what embeds queries; None if the index was loaded without.
        errors: an `AudioError` for each file that this build could not index.
        changes: what this build found: new, changed, gone.

    >>> index = LanceIndex.build("my sounds", system, "index")  # doctest: +SKIP
    >>> index.search("hum.wav", k=5, where="door")  # doctest: +SKIP
    """

    def __init__(self, store: Store, system: EmbeddingSystem | None):
        self._store, self.uri, self.system = store, store.uri, system
        self.errors: list[AudioError] = []
        self.changes = Changes(0)

    @classmethod
    def build(
        cls,
        source: Source,
        system: EmbeddingSystem,
        uri: str | os.PathLike,
        *,
        progress: Progress | None = None,
        **connection: Any,
    ) -> LanceIndex:
        """Embed a library's sounds; an index that is there is brought up to date.

        1024 embeddings at a time are written and stay: an interrupted build goes on from there.
        In a folder, processes take turns; in object storage, let one at a time write.

        Args:
            source, system, progress: as for `SoundIndex.build`.
            uri: a folder, which is made, or an address in object storage.
            connection: for ``lancedb.connect``, such as ``storage_options``.

        Raises `ImportError` without LanceDB; `ValueError` as `SoundIndex.build`, and for a system
        without a fingerprint; `SavedIndexError` if another system's index is there.
        """
        library, fingerprint = Library.of(source), fingerprint_of(system)
        if fingerprint is None:
            raise ValueError(
                f"system: {system.name} has no fingerprint(), by which a stored index is told from "
                "another system's; write one, or use SoundIndex.build"
            )
        with Store(uri, connection).turns():
            store = Store(uri, connection)  # as it is now that it is our turn
            store.check(fingerprint, system.name)
            index = cls(store, system)
            index.errors, index.changes = update(store, library, system, fingerprint, progress)
        return index

    @classmethod
    def load(
        cls, uri: str | os.PathLike, system: EmbeddingSystem | None = None, **connection: Any
    ) -> LanceIndex:
        """Open an index as it is. Without a system, only embeddings can be searched with.

        Warns if the library's first sound is not there any more. Raises `SavedIndexError` if there
        is no index or another system's; `ImportError` as `build`.
        """
        store = Store(uri, connection)
        if store.table is None:
            raise SavedIndexError(f"{uri}: holds no index; make one with LanceIndex.build")
        if system is not None:
            store.check(fingerprint_of(system) or "", system.name)
        first = store.first_path()
        if first and not os.path.exists(first):
            warnings.warn(
                f"{uri}: {first}, a sound of this index, is not there any more; if the library was "
                "moved, LanceIndex.build(folder, system, uri) finds it where it is now",
                stacklevel=2,
            )
        return cls(store, system)

    @classmethod
    def copy(cls, index: SoundIndex, uri: str | os.PathLike, **connection: Any) -> LanceIndex:
        """Write what is embedded already, a `SoundIndex`, to a place that holds no index yet."""
        store = Store(uri, connection)
        if store.table is not None:
            raise SavedIndexError(f"{uri}: holds an index already; choose another place")
        about = {"fingerprint": index.fingerprint or "", "system": index.system_name}
        with store.turns():
            for start in range(0, len(index), COPIED_AT_ONCE):
                part = slice(start, start + COPIED_AT_ONCE)
                store.put(index.rows[part], index.embeddings[part], about)
        copied = cls(store, index.system)
        copied.errors, copied.changes = list(index.errors), Changes(len(index))
        return copied

    def where(
        self, contains: str = "", classes: str | Iterable[str] | None = None
    ) -> Condition | None:
        """Which sounds may be found, to give to `search`; arguments as `SoundIndex.where`."""
        parts = [f"contains(searched, {quoted(word)})" for word in words_of(contains)]
        if classes is not None:
            parts.append(is_one_of("class_name", sorted(class_set(classes))))
        return Condition(" AND ".join(parts)) if parts else None

    def embed_query(
        self, query: str | os.PathLike | np.ndarray, sample_rate: float | None = None
    ) -> np.ndarray:
        """As `SoundIndex.embed_query`."""
        if self.system is None:
            name = self._store.described().get("system")
            raise ValueError(f"the index was loaded without its system, {name}; load it with it")
        return embed_query(self.system, query, sample_rate)

    def search(
        self,
        query: str | os.PathLike | np.ndarray,
        k: int = 10,
        where: str | None = None,
        *,
        sample_rate: float | None = None,
        probes: int | None = None,
    ) -> pd.DataFrame:
        """The k sounds closest to a query, best first; equally close ones by name.

        Args:
            query, k, sample_rate: as for `SoundIndex.search`, but one query at a time.
            where: which sounds are ranked at all: words that have to occur in name or class, or
                what `where` made.
            probes: look only into the partitions closest to the query, this many of those that
                `create_index` made; if left out, at every sound.

        Returns a table with columns rank (from 1), name, class, score (cosine) and path.
        Raises `ValueError` for a query or k that does not fit, and as `embed_query`.
        """
        check_k(k)
        if not isinstance(where, (str, type(None))):
            raise ValueError(f"where: found {type(where).__name__}, expected words or a condition")
        if sample_rate is not None or isinstance(query, (str, os.PathLike)):
            embedding = self.embed_query(query, sample_rate)
        else:
            embedding = self._unit_row(query)
        condition = where if isinstance(where, Condition) else self.where(where or "")
        texts, scores = self._store.closest(embedding, int(k), condition, probes)
        order = np.lexsort((texts[0].astype(str), -scores))
        return results(texts[:, order], scores[order])

    def _unit_row(self, query: np.ndarray) -> np.ndarray:
        query, dim = np.asarray(query), self._store.dim
        if query.shape != (dim,) and dim:
            raise ValueError(
                f"query: found an array of shape {query.shape}, expected an embedding ({dim},); "
                "a waveform needs its sample_rate="
            )
        return unit(query, "query")

    def create_index(self, partitions: int | None = None) -> None:
        """Sort the embeddings into partitions of like ones, so that `search` may probe a few.

        An inverted file of whole embeddings (IVF_FLAT; Jégou et al., "Product quantization for
        nearest neighbor search", PAMI 2011, section IV): what is found is scored exactly, but a
        sound in a partition that is not probed is missed. `recall` measures how many are.

        Args:
            partitions: how many; the root of the number of sounds if left out.
        """
        self._store.partition(partitions or max(1, round(len(self) ** 0.5)))

    def recall(self, queries: np.ndarray, probes: int, k: int = 10) -> float:
        """Share of the k sounds that are closest to queries (queries, dim) which probing finds."""
        check_k(k)
        shares = []
        for query in np.atleast_2d(queries):
            exact = set(self.search(query, k)["path"])
            found = set(self.search(query, k, probes=probes)["path"])
            shares.append(len(exact & found) / max(1, len(exact)))
        return float(np.mean(shares))

    def __len__(self) -> int:
        return 0 if self._store.table is None else self._store.table.count_rows()

    def __repr__(self) -> str:
        name = self._store.described().get("system")
        return f"LanceIndex of {name}: {len(self)} sounds at {self.uri}"
