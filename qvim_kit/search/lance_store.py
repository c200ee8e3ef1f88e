"""The table of a `lance.LanceIndex`: opened, read and written. Needs the package lancedb.

Notebook: 06_search_by_voice.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qvim_kit.audio import AudioError
from qvim_kit.downloads.locks import locked
from qvim_kit.search.building import (
    Changes,
    Progress,
    Row,
    embed_units,
    reporting,
    row_of,
)
from qvim_kit.search.library import Library, seconds_of
from qvim_kit.search.queries import searched_text
from qvim_kit.search.ranking import exact_scores
from qvim_kit.search.storage import SavedIndexError

if TYPE_CHECKING:
    import pyarrow

    from qvim_kit.systems import EmbeddingSystem

TABLE = "sounds"
ROWS_AT_ONCE = 1024  # embeddings in memory until they are written
NAMED_AT_ONCE = 500  # paths in one condition


class Store:
    """One table of sounds in a LanceDB database; it is made when the first rows are written.

    Args:
        uri: a folder or an address in object storage.
        connection: for ``lancedb.connect``.

    Raises `ImportError` without lancedb.
    """

    def __init__(self, uri: str | os.PathLike, connection: dict[str, Any]):
        try:
            import lancedb
        except ImportError:
            raise ImportError(
                "LanceIndex needs the package lancedb: pip install 'qvim-kit[lance]'"
            ) from None
        self.uri = os.fspath(uri)
        self.local = "://" not in self.uri
        if self.local:
            self.uri = os.path.abspath(os.path.expanduser(self.uri))
        try:
            self._database = lancedb.connect(self.uri, **connection)
            names = self._database.list_tables().tables
            self.table = self._database.open_table(TABLE) if TABLE in names else None
        except (OSError, RuntimeError, ValueError) as error:
            raise SavedIndexError(f"{uri}: cannot be opened ({error})") from error

    def turns(self) -> AbstractContextManager:
        """Held while writing: processes that write to one folder take turns."""
        if not self.local:
            return nullcontext()
        Path(self.uri).mkdir(parents=True, exist_ok=True)
        return locked(Path(self.uri) / TABLE)

    def described(self) -> dict[str, str]:
        """What the table says of its system: fingerprint and name; nothing if there is none."""
        if self.table is None:
            return {}
        stored = self.table.schema.metadata or {}
        return {key.decode(): value.decode() for key, value in stored.items()}

    def check(self, fingerprint: str, name: str) -> None:
        """Raises `SavedIndexError` if the table is another system's."""
        found = self.described()
        if found and found.get("fingerprint") != fingerprint:
            raise SavedIndexError(
                f"{self.uri}: not an index of this system (built with {found.get('system')}, "
                f"found {name}); open it with the system it was built with, or choose another place"
            )

    def stamps(self) -> dict[str, tuple[str, tuple[int, int, str, str]]]:
        """Path → content's hash, and size, time of change, name and class, of each sound."""
        if self.table is None:
            return {}
        columns = ["path", "key", "size", "mtime", "name", "class_name"]
        stored = self.table.search().select(columns).limit(self.table.count_rows()).to_arrow()
        rows = zip(*(stored[column].to_pylist() for column in columns), strict=True)
        return {path: (key, tuple(stamp)) for path, key, *stamp in rows}

    def first_path(self) -> str:
        """The path of one sound; "" if there is none."""
        found = self.table.search().select(["path"]).limit(1).to_arrow()["path"].to_pylist()
        return found[0] if found else ""

    def put(self, rows: Sequence[Row], embeddings: np.ndarray, about: dict[str, str]) -> None:
        """Write rows and their embeddings (rows, dim); rows of the same paths are replaced."""
        if not rows:
            return
        data = _as_arrow(rows, embeddings, about)
        if self.table is None:
            self.table = self._database.create_table(TABLE, data)
            return
        if embeddings.shape[1] != self.dim:
            raise ValueError(
                f"{about['system']}: found embeddings of {embeddings.shape[1]} numbers, expected "
                f"{self.dim}; its fingerprint() has to change when its embeddings do"
            )
        merge = self.table.merge_insert("path").when_matched_update_all()
        merge.when_not_matched_insert_all().execute(data)

    def remove(self, paths: Iterable[str]) -> None:
        """Remove the rows of these paths."""
        paths = list(paths)
        for start in range(0, len(paths), NAMED_AT_ONCE):
            self.table.delete(is_one_of("path", paths[start : start + NAMED_AT_ONCE]))

    @property
    def dim(self) -> int:
        """How many numbers an embedding has; 0 as long as there is none."""
        return 0 if self.table is None else self.table.schema.field("embedding").type.list_size

    def closest(
        self, embedding: np.ndarray, k: int, condition: str | None, probes: int | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The rows closest to a unit embedding (dim,), exact unless only partitions are probed.

        Returns texts (3, found), which are name, class and path, and scores (found,), cosines.
        Raises `ValueError` if there are no partitions.
        """
        if self.table is None or k == 0:
            return np.empty((3, 0), dtype=object), np.empty(0)
        search = self.table.search(embedding, vector_column_name="embedding")
        search = search.distance_type("dot").limit(k)
        search = search.select(["name", "class_name", "path", "embedding", "_distance"])
        if condition is not None:
            search = search.where(condition, prefilter=True)
        if probes is None:
            search = search.bypass_vector_index()
        elif not self.table.list_indices():
            raise ValueError(f"probes: found {probes}, but no partitions; call create_index first")
        else:
            search = search.nprobes(probes)
        found = search.to_arrow()
        texts = np.empty((3, len(found)), dtype=object)
        texts[:] = [found[column].to_pylist() for column in ("name", "class_name", "path")]
        rows = found["embedding"].combine_chunks().flatten().to_numpy().reshape(-1, self.dim)
        # LanceDB's own distances, 1 - cosine in float32, cannot tell small cosines apart.
        return texts, exact_scores(rows, np.arange(len(rows)), embedding)

    def partition(self, partitions: int) -> None:
        """Sort the rows into partitions by their embeddings."""
        from lancedb.index import IvfFlat

        config = IvfFlat(distance_type="dot", num_partitions=partitions)
        self.table.create_index("embedding", config=config, replace=True)


def update(
    store: Store,
    library: Library,
    system: EmbeddingSystem,
    fingerprint: str,
    progress: Progress | None,
) -> tuple[list[AudioError], Changes]:
    """Bring a table up to date with a library; what is embedded is written as it comes."""
    started = time.time_ns()
    sounds, errors = library.scan(may_be_empty=store.table is not None)
    stamps, about = store.stamps(), {"fingerprint": fingerprint, "system": system.name}
    waiting = {
        sound.path: sound
        for sound in sounds
        if stamps.get(sound.path, ("", ()))[1]
        != (sound.size, sound.mtime, sound.name, sound.class_name)
    }
    kept = {sound.path for sound in sounds} - waiting.keys()
    new, changed, ready = 0, 0, []
    with reporting(progress, len(waiting), f"{system.name}: indexing") as report:
        for done, (path, key, embedding) in enumerate(embed_units(system, list(waiting), {}), 1):
            if isinstance(embedding, AudioError):
                errors.append(embedding)
            else:
                ready.append((row_of(waiting[path], seconds_of(path), key, started), embedding))
                kept.add(path)
                new += path not in stamps
                changed += path in stamps and stamps[path][0] != key
            if len(ready) == ROWS_AT_ONCE or (ready and done == len(waiting)):
                rows, embeddings = zip(*ready, strict=True)
                store.put(rows, np.stack(embeddings), about)
                ready.clear()
            report(done)
    gone = stamps.keys() - kept
    store.remove(gone)
    if new or changed or gone:
        store.table.optimize()  # a few large files instead of one a write
    return errors, Changes(new, changed, len(gone))


def _as_arrow(rows: Sequence[Row], embeddings: np.ndarray, about: dict[str, str]) -> pyarrow.Table:
    import pyarrow

    texts = [searched_text(row.name, row.class_name) for row in rows]
    columns = dict(zip(Row._fields, map(list, zip(*rows, strict=True)), strict=True))
    flat = pyarrow.array(np.ascontiguousarray(embeddings, dtype=np.float32).ravel())
    vectors = pyarrow.FixedSizeListArray.from_arrays(flat, embeddings.shape[1])
    table = pyarrow.table({**columns, "searched": texts, "embedding": vectors})
    return table.replace_schema_metadata(about)


def quoted(text: str) -> str:
    """Text as it stands in SQL."""
    return "'" + text.replace("'", "''") + "'"


def is_one_of(column: str, values: Iterable[str]) -> str:
    """SQL: the column holds one of these; false if there are none."""
    listed = ", ".join(map(quoted, values))
    return f"{column} IN ({listed})" if listed else "1 = 0"
